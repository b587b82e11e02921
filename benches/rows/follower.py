#!/usr/bin/python3
"""What a waiting follower costs."""

import ctypes
import os
import re
import time

from report import at_most, mib, percent, row, times
from server import Monitor
from stand import Ours, Polling, Stand

FOLLOWERS, WINDOW = 4, 32
TICKS = os.sysconf("SC_CLK_TCK")
LIBC = ctypes.CDLL(None)


def own_cpu(pid):
    """Seconds, of all its threads, to the nanosecond."""
    clock = ctypes.c_int()
    if LIBC.clock_getcpuclockid(pid, ctypes.byref(clock)) != 0:
        raise ProcessLookupError(pid)
    return time.clock_gettime(clock.value)


def cpu(pid):
    """With the children it has waited for, which are counted in ticks."""
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return own_cpu(pid) + (int(fields[13]) + int(fields[14])) / TICKS


def rss(pid):
    """KiB, with what it has started."""
    with open("/proc/%d/status" % pid) as status:
        own = int(re.search(r"VmRSS:\s*(\d+) kB", status.read()).group(1))
    with open("/proc/%d/task/%d/children" % (pid, pid)) as pids:
        return own + sum(rss(int(child)) for child in pids.read().split())


class Waiting:
    """Followers while a step runs."""

    def __init__(self, replicas, is_followers):
        self.is_followers, self.stand = is_followers, replicas.stand
        replicas.start("v1")
        self.stand.expect("step")
        self.pids = [replicas.start("v1").pid for _ in range(FOLLOWERS)]
        replicas.settle(FOLLOWERS + 1)

    def begin(self):
        self.monitor, self.begun = Monitor(self.stand.redis), time.monotonic()
        self.spent = [cpu(pid) for pid in self.pids]

    def end(self):
        took = time.monotonic() - self.begun
        requests = [request for request in self.monitor.requests() if self.is_followers(request)]
        if len(requests) < FOLLOWERS:
            raise AssertionError("a follower asked nothing of Redis, or was not recognized")
        spent = [(cpu(pid) - before) / took for pid, before in zip(self.pids, self.spent)]
        self.requests = len(requests) / FOLLOWERS / took * 5
        self.cpu, self.rss = max(spent), max(resident(pid) for pid in self.pids)


def resident(pid):
    """Of a moment at which what it has started does not change."""
    while True:
        try:
            return rss(pid)
        except (FileNotFoundError, ProcessLookupError, AttributeError):
            pass


with Stand() as stand, Stand() as other:
    replicas = Ours(stand, "volume", "wait")
    ours = Waiting(replicas, lambda request: mark not in request.text)
    mark = replicas.mark()
    theirs = Waiting(Polling(other, "volume", "wait"), lambda request: request.verb == "SET")
    # Both at once.
    for waiting in (ours, theirs):
        waiting.begin()
    time.sleep(WINDOW)
    for waiting in (ours, theirs):
        waiting.end()

row("waiting follower: Redis commands in 5 s, mean of %d over %d s" % (FOLLOWERS, WINDOW), "%.2f" % ours.requests,
    "polling: %.1f" % theirs.requests, times(ours.requests / theirs.requests), at_most(ours.requests, 1, "{:.2f}".format))
row("waiting follower: RSS, the largest", mib(ours.rss), "polling: " + mib(theirs.rss), times(ours.rss / theirs.rss),
    at_most(ours.rss, 6 * 1024, mib))
row("waiting follower: CPU, the most", percent(ours.cpu), "polling: " + percent(theirs.cpu), times(ours.cpu / theirs.cpu),
    at_most(ours.cpu, 0.001, percent))
