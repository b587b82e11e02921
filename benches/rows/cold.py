#!/usr/bin/python3
"""A cold boot of the Frappe preset against the same commands one after another. Both call the stand-in of `tests/bench`, whose assets
take as long as everything else."""

import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time

from report import at_most, row, secs, times
from server import RedisServer
from stand import BENCHES, BUILT

ROOT = os.path.dirname(BENCHES)
ROUNDS = 3
# A tenth of what was measured on a real bench; assets as long as site, apps and migrate together.
PACE = "new-site:schema=700 install-app:sync=300 migrate:patches=400 migrate:schema=300 build:bundles=2300"


class Stack:
    def __init__(self, scratch, name, database):
        self.bench, self.server = os.path.join(scratch, name), os.path.join(scratch, name + "-db")
        tool("make-server", self.server, "--password", "of-the-root")
        tool("make-bench", self.bench, "--apps", "frappe,alpha", "--rev", "v1")
        self.env = {
            "PATH": os.environ["PATH"],
            "STANDIN_DB": self.server,
            "STANDIN_ALLOW_ROOT": "1",
            "STANDIN_PACE": PACE,
            "STANDIN_TRACE": os.path.join(scratch, name + "-trace"),
            "DB_PORT": str(database),
        }

    def boot(self, redis):
        more = {
            "IMAGE_REV": "v1",
            "BELLWETHER_PRESET": "frappe",
            "SITES_DIR": self.bench + "/sites",
            "SITE": "a.localhost",
            "ADMIN_PASSWORD": "of-the-site",
            "DB_HOST": "127.0.0.1",
            "DB_PASSWORD": "of-the-root",
            "REDIS_CACHE": "127.0.0.1:%d" % redis,
            "REDIS_QUEUE": "127.0.0.1:%d" % redis,
        }
        command = [os.path.join(BUILT, "bellwether"), "run", "--", "/bin/true"]
        return timed(lambda: subprocess.run(command, env={**self.env, **more}, check=True, stderr=subprocess.DEVNULL))

    def calls(self):
        with open(self.env["STANDIN_TRACE"]) as trace:
            events = [json.loads(line) for line in trace]
        return [event["argv"] for event in events if event["event"] == "start"]

    def play(self, calls, shim):
        """The same commands, each when the one before has ended."""

        def all_of_them():
            for argv in calls:
                request = json.dumps({"argv": argv})
                python = [self.bench + "/env/bin/python", "-c", shim]
                subprocess.run(python, cwd=self.bench + "/sites", env=self.env, input=request, text=True, check=True,
                               stdout=subprocess.DEVNULL)

        return timed(all_of_them)


def timed(work):
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def tool(name, *arguments):
    subprocess.run(["/usr/bin/python3", os.path.join(ROOT, "tests/bench", name), *arguments], check=True)


def listen():
    """What stands for the port of the database server."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        while True:
            listener.accept()[0].close()

    threading.Thread(target=answer, daemon=True).start()
    return listener.getsockname()[1]


def measure(scratch, redis):
    """How long each boot takes, and all of its commands in a row."""
    with open(os.path.join(ROOT, "src/frappe/python/bench.py")) as script:
        shim = script.read()
    database, took = listen(), []
    for number in range(ROUNDS):
        ours = Stack(scratch, "ours-%d" % number, database)
        boot = ours.boot(redis.port)
        theirs = Stack(scratch, "theirs-%d" % number, database)
        for name in ("common_site_config.json", "apps.txt"):
            shutil.copy(os.path.join(ours.bench, "sites", name), os.path.join(theirs.bench, "sites", name))
        took.append((boot, theirs.play(ours.calls(), shim)))
    return took


with tempfile.TemporaryDirectory() as scratch:
    redis = RedisServer(scratch)
    try:
        took = measure(scratch, redis)
    finally:
        redis.stop()

boot, one_after_another = sorted(took, key=lambda pair: pair[0] / pair[1])[ROUNDS // 2]
row("cold boot of the Frappe plan, assets as long as the rest, median of %d" % ROUNDS, secs(boot),
    "one after another: " + secs(one_after_another), times(boot / one_after_another),
    at_most(boot / one_after_another, 0.75, times))
