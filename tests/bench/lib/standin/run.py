"""One call of bench: what it tells the tests' referee, where it stops, where it fails, and how long things take.

A phase is reached when its first effect is there and its last is not; `README.md` says which for each of them.
"""

import json
import os
import time

from . import environ
from .lines import append_line

# Milliseconds that a call spends in each phase; 10 where nothing is said.
PACE = {
    "new-site": {"look": 30, "database": 40, "schema": 80, "administrator": 60, "finish": 20, "sync": 40,
                 "after_install": 30},
    "drop-site": {"database": 20, "move": 10},
    "install-app": {"sync": 50, "after_install": 40},
    "migrate": {"patches": 100, "schema": 150, "finish": 50},
    "backup": {"dump": 60},
    "restore": {"load": 60},
    "build": {"manifest": 40, "bundles": 100},
}


class Failed(Exception):
    """What a test asked for."""


class Run:
    def __init__(self, argv, command=None):
        self.argv = argv
        self.command = command
        self.password = None

    def event(self, name, **details):
        trace = environ.text("STANDIN_TRACE")
        if trace:
            whence = {"at": time.monotonic_ns(), "pid": os.getpid(), "ppid": os.getppid()}
            append_line(trace, {**whence, "event": name, "argv": self.argv, "command": self.command, **details})

    def phase(self, name):
        """Reaches a phase, and stays in it for a while, or until it is let go, or fails in it."""
        self.event("phase", phase=name)
        here = "%s:%s" % (self.command, name)
        for wish in environ.text("STANDIN_STOP_AT").split():
            command, phase, *times = wish.split(":")
            if (command, phase) == (self.command, name) and self.stops(name, here, times):
                while not os.path.exists(os.path.join(environ.database_dir(), "go-on")):
                    time.sleep(0.01)
        for wish in environ.text("STANDIN_FAIL_AT").split():
            command, phase, *times = wish.split(":")
            if (command, phase) == (self.command, name) and is_left(here, times):
                self.fail(name, self.password)
        self.pause(name)

    def pause(self, name):
        time.sleep(environ.scaled(self.milliseconds(name) / 1000))

    def milliseconds(self, name):
        """STANDIN_PACE="migrate:patches=500 build:bundles=2000" changes what the table says."""
        for wish in environ.text("STANDIN_PACE").split():
            where, _, value = wish.partition("=")
            if where == "%s:%s" % (self.command, name):
                return float(value)
        return PACE.get(self.command, {}).get(name, 10)

    def stops(self, name, here, times):
        """Whether this call has to stop here, a number of times at most; each is noted in a file, before anybody sees it."""
        if not times:
            return self.is_first_to_stop(name)
        notes = (os.path.join(environ.database_dir(), "stopped-at-%s-%d" % (here, 1 + n)) for n in range(int(times[0])))
        note = next((note for note in notes if not os.path.exists(note)), None)
        if note is None:
            return False
        os.close(os.open(note, os.O_WRONLY | os.O_CREAT))
        if self.is_first_to_stop(name):
            return True
        os.unlink(note)
        return False

    def is_first_to_stop(self, name):
        """Whoever reads `stopped-at` reads all of it."""
        final = os.path.join(environ.database_dir(), "stopped-at")
        temporary = "%s.%d" % (final, os.getpid())
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump({"pid": os.getpid(), "ppid": os.getppid(), "phase": name, "argv": self.argv}, file)
        try:
            os.link(temporary, final)
        except FileExistsError:
            return False
        finally:
            os.unlink(temporary)
        return True

    @staticmethod
    def fail(phase, db_password):
        """Hazard: what is printed of this shows the local variables, the site's password among them."""
        raise Failed("the test wants %s to fail" % phase)


def is_left(where, times):
    """Whether a failure that is wanted a number of times is still wanted; each is noted in a file."""
    if not times:
        return True
    for number in range(int(times[0])):
        note = os.path.join(environ.database_dir(), "failed-at-%s-%d" % (where, number + 1))
        try:
            os.close(os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            return True
        except FileExistsError:
            continue
    return False
