"""What a test has: a server and a bench of its own."""

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = ("--db-root-username", "root", "--db-root-password", "root-password")
LIMIT = 30

# How the program under test calls bench.
SHIM = """
import json, sys
request = json.load(sys.stdin)
if request.get("lock_wait_secs"):
    import importlib, os
    statement = "SET SESSION lock_wait_timeout = %d" % request["lock_wait_secs"]
    for name in ("MySQLdb", "pymysql"):
        try:
            driver = importlib.import_module(name)
        except ImportError:
            continue
        def bounded(connect):
            return lambda *args, **kwargs: connect(*args, **{"init_command": statement, **kwargs})
        driver.connect = bounded(driver.connect)
    os.environ["PGOPTIONS"] = "-c lock_timeout=%ds" % request["lock_wait_secs"]
sys.argv = ["bench_helper.py", "frappe", *request["argv"]]
import frappe.utils.bench_helper
frappe.utils.bench_helper.main()
"""


def wait_until(condition):
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("nothing came of it in %d s" % LIMIT)
        time.sleep(0.005)


class Case(unittest.TestCase):
    """A server and a bench of its own for every test."""

    KIND = "mariadb"
    SCOPE = "--no-mariadb-socket"
    ENVIRONMENT = {}
    BENCH = ("--requires", "beta:alpha", "--apps-txt")

    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)
        self.db, self.bench, self.trace = (os.path.join(self.dir, name) for name in ("db", "bench", "trace"))
        self.sites = os.path.join(self.bench, "sites")
        self.tool("make-server", self.db, "--type", self.KIND)
        self.tool("make-bench", self.bench, *self.BENCH)
        common = {"STANDIN_ALLOW_ROOT": "1", "STANDIN_SPEED": "20", "STANDIN_DB": self.db, "STANDIN_TRACE": self.trace}
        self.environment = {"PATH": os.environ["PATH"], **common, **self.ENVIRONMENT}

    @staticmethod
    def tool(name, *words):
        """In this process: there are many."""
        with unittest.mock.patch.object(sys, "argv", [name, *words]):
            runpy.run_path(os.path.join(HERE, name))

    def start(self, *argv, lock_wait_secs=None, **environment):
        python = os.path.join(self.bench, "env/bin/python")
        process = subprocess.Popen([python, "-c", SHIM], cwd=self.sites, env={**self.environment, **environment},
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   start_new_session=True)
        process.stdin.write(json.dumps({"argv": argv, "lock_wait_secs": lock_wait_secs}))
        process.stdin.close()
        process.stdin = None
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        """Also what it has left behind in its process group."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        process.stdout.close()
        process.stderr.close()

    def finish(self, process):
        out, err = process.communicate(timeout=LIMIT)
        return process.returncode, out + err

    def call(self, *argv, **more):
        return self.finish(self.start(*argv, **more))

    def works(self, *argv, **more):
        code, text = self.call(*argv, **more)
        self.assertEqual(code, 0, text)
        return text

    def fails(self, words, *argv, code=1, **more):
        got, text = self.call(*argv, **more)
        self.assertEqual(got, code, text)
        self.assertIn(words, text)
        return text

    def new_site(self, *more, site="a.localhost"):
        root = ("--db-root-password", "root-password", "--admin-password", "admin-password")
        return ("new-site", site, *((self.SCOPE,) if self.KIND == "mariadb" else ()), *root, *more)

    def stop(self, where, *argv, number=signal.SIGKILL):
        """Runs until a phase is reached, and kills exactly there."""
        process = self.start(*argv, STANDIN_STOP_AT=where)
        stopped = os.path.join(self.db, "stopped-at")
        wait_until(lambda: os.path.exists(stopped) or process.poll() is not None)
        with open(stopped, encoding="utf-8") as file:
            report = json.load(file)
        os.kill(process.pid, number)
        process.wait()
        os.unlink(stopped)
        return process.returncode, report

    def python(self, script, *words):
        python = os.path.join(self.bench, "env/bin/python")
        done = subprocess.run([python, *(["-c", script] if script else []), *words], cwd=self.sites,
                              env=self.environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def check(self, *words):
        return json.loads(self.python("", os.path.join(HERE, "check"), self.bench, *words))

    def state(self, site="a.localhost"):
        return self.check("--site", site)["sites"][site]

    def touch(self, name, directory=None):
        open(os.path.join(directory or self.db, name), "w").close()

    def events(self):
        if not os.path.exists(self.trace):
            return []
        with open(self.trace, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def phases(self, command):
        return [event["phase"] for event in self.events() if event["event"] == "phase" and event["command"] == command]

    def path(self, *names):
        return os.path.join(self.sites, *names)
