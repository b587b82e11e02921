"""Replicas on one volume in memory and one Redis: ours, and those that poll. Both begin, stop and tell in the same way."""

import atexit
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from server import DYING_WITH_US, LIMIT, Monitor, RedisServer, wait_until

BENCHES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What `benches/run` has built.
BUILT = os.environ["BENCHES_BUILT"]
PATH = "/usr/local/bin:/usr/bin:/bin"


def terminate(*_):
    """As an exception, so that whoever has begun something ends it, and is not disturbed in that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)


# Each row imports this.
signal.signal(signal.SIGTERM, terminate)


class Stand:
    """A Redis, and a pipe to which steps and commands write that they have begun."""

    def __enter__(self):
        # In memory: what is measured is not the disk.
        self.scratch = tempfile.mkdtemp(dir="/dev/shm")
        self.beginning, self.is_over, self.redis = threading.Lock(), False, None
        self.started, self.kept, self.log = [], b"", os.path.join(self.scratch, "log")
        # A thread does not come to the end of its block when the program is ended.
        atexit.register(self.end)
        self.pipe, self.gate = (os.path.join(self.scratch, name) for name in ("pipe", "gate"))
        os.mkfifo(self.pipe)
        os.mkfifo(self.gate)
        # Open for both, so that nobody waits for the other side.
        self.stamps = os.open(self.pipe, os.O_RDWR)
        self.redis = RedisServer(self.scratch)
        return self

    def __exit__(self, kind, *_):
        if kind is not None and issubclass(kind, Exception) and not self.is_over and os.path.exists(self.log):
            with open(self.log) as log:
                sys.stderr.writelines(log.readlines()[-20:])
        self.end()

    def end(self):
        """Whatever it has begun is ended, and nothing is begun any more."""
        with self.beginning:
            if self.is_over:
                return
            self.is_over = True
        for process, kill in self.started:
            if process.poll() is None:
                kill(process.pid)
                process.wait()
        if self.redis is not None:
            self.redis.stop()
        shutil.rmtree(self.scratch)
        os.close(self.stamps)

    def next_stamp(self):
        """The next word, and when it was written, in seconds."""
        end = time.monotonic() + LIMIT
        while b"\n" not in self.kept:
            if not select.select([self.stamps], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError("nobody has begun anything")
            self.kept += os.read(self.stamps, 65536)
        line, self.kept = self.kept.split(b"\n", 1)
        word, at = line.decode().split()
        return word, int(at) / 1e9

    def expect(self, wanted):
        word, at = self.next_stamp()
        if word != wanted:
            raise AssertionError("%s instead of %s has begun" % (word, wanted))
        return at

    def pids(self):
        return [process.pid for process, _ in self.started]

    def open_gate(self):
        with open(self.gate, "w"):
            pass

    def spawn(self, command, env, kill):
        with self.beginning, open(self.log, "a") as log:
            if self.is_over:
                raise RuntimeError("nothing is begun any more")
            # A session for each, as a container is one.
            process = subprocess.Popen([*DYING_WITH_US, *command], env={"PATH": PATH, **env}, stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, start_new_session=True)
            self.started.append((process, kill))
        return process


class Replicas:
    """Of one kind, on one volume. The step tells that it has begun and waits: until it is stopped (`wait`), or for the gate."""

    def __init__(self, stand, name, until):
        self.stand, self.volume = stand, os.path.join(stand.scratch, name)
        self.stamp = [os.path.join(BUILT, "stamp"), stand.pipe]
        self.step = [*self.stamp, "step", "wait" if until == "wait" else stand.gate]
        self.plan = self.volume + ".json"
        os.mkdir(self.volume)
        with open(self.plan, "w") as plan:
            json.dump({"steps": [{"name": "work", "run": self.step}]}, plan)

    def start(self, rev, word="served"):
        command = [*self.stamp, word]
        return self.stand.spawn([*self.entrypoint, *command], {"IMAGE_REV": rev, **self.env}, self.kill)

    def ready_at(self, rev):
        """The time of the marker's rename by the clock of files, which is up to a tick (1 ms to 10 ms) slow: no figure that
        begins here is too small, and each may be too large by that."""
        return os.stat("%s/.ready_%s" % (self.volume, rev)).st_ctime_ns / 1e9


class Ours(Replicas):
    entrypoint = [os.path.join(BUILT, "bellwether"), "run", "--"]

    def __init__(self, stand, name, until, **settings):
        super().__init__(stand, name, until)
        self.env = {
            "BELLWETHER_VOLUME": self.volume, "BELLWETHER_PLAN": self.plan, "BELLWETHER_LOG": "warn",
            "BELLWETHER_REDIS_URL": "redis://127.0.0.1:%d" % stand.redis.port, **settings,
        }

    @staticmethod
    def kill(pid):
        """The replica alone. Its step ends with it."""
        os.kill(pid, signal.SIGKILL)

    def settle(self, count):
        """Until so many replicas wait."""
        with open(wait_until("the volume's id", lambda: self.has_id() and self.volume + "/.bellwether/id")) as file:
            self.scope = file.read().strip()
        channel = "bellwether:{%s}:events" % self.scope
        wait_until("%d listeners" % count, lambda: self.stand.redis.listeners(channel) == count)
        # Whoever has just subscribed looks and asks once more.
        time.sleep(0.03)

    def has_id(self):
        return os.path.exists(self.volume + "/.bellwether/id")

    def leader(self, rev):
        """Its pid."""
        with open(self.in_progress(rev)) as marker:
            return json.load(marker)["replica"]["pid"]

    def in_progress(self, rev):
        return "%s/.work_in_progress_%s" % (self.volume, rev)

    def mark(self):
        """What is in each of the leader's requests alone. Its token by itself may be the volume's id, too."""
        lease = self.stand.redis.ask("GET", "bellwether:{%s}:lease" % self.scope)
        return r'token\":\"%s' % json.loads(lease)["token"]


class Polling(Replicas):
    """The rival's."""

    entrypoint = [os.path.join(BENCHES, "polling-entrypoint")]

    def __init__(self, stand, name, until, ttl=30):
        super().__init__(stand, name, until)
        self.env = {
            "VOLUME": self.volume, "STEP": " ".join(self.step), "LOCK_TTL": str(ttl),
            "REDIS": "-h 127.0.0.1 -p %d" % stand.redis.port,
        }

    @staticmethod
    def kill(pid):
        """With all that it has started, as the end of a container does."""
        os.killpg(pid, signal.SIGKILL)

    def settle(self, count, longest=2):
        """Until all but one of so many replicas poll, and then to any moment of the seconds between two looks."""
        monitor, tokens = Monitor(self.stand.redis), set()
        wait_until("%d that poll" % (count - 1), lambda: tokens.update(monitor.lock_tokens()) or len(tokens) == count - 1)
        time.sleep(random.uniform(0, longest))

    def leader(self, _rev):
        """The pid of the one that has the step for a child."""
        return wait_until("the leader's step", lambda: next(filter(self.has_step, self.stand.pids()), None))

    def has_step(self, pid):
        return "stamp" in children(pid)


def children(pid):
    """The names of what it has started."""
    names = []
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as pids:
            for child in pids.read().split():
                with open("/proc/%s/comm" % child) as name:
                    names.append(name.read().strip())
    except (FileNotFoundError, ProcessLookupError):
        # It, or one of them, has just ended.
        pass
    return names
