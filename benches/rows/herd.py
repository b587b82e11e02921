#!/usr/bin/python3
"""Many replicas at once on one Redis: a thousand of ours in one process, a hundred real ones, a hundred that poll."""

import json
import os
import re
import resource
import time
from collections import Counter

from report import at_most, exactly, kib, millis, row, secs, times
from server import Monitor
from stand import BUILT, Ours, Polling, Stand

# How long each is watched from its first request on, and how long the step lasts after the last one's.
FIRST, STEP = 5, 11
REV = "v1"


class InOne(Ours):
    """A program that embeds the library."""

    def start_all(self, count):
        redis = "redis://127.0.0.1:%d" % self.stand.redis.port
        command = [os.path.join(BUILT, "herd"), str(count), REV, self.volume, self.plan, redis, self.stand.pipe]
        return [self.stand.spawn(command, {}, self.kill)]


def pss(pid):
    """KiB: what several processes share counts once in all of them."""
    with open("/proc/%d/smaps_rollup" % pid) as rollup:
        return int(re.search(r"^Pss:\s*(\d+) kB", rollup.read(), re.MULTILINE).group(1))


def entries(pid, kind):
    """How many it has."""
    return len(os.listdir("/proc/%d/%s" % (pid, kind)))


def memory(processes, pids_of):
    """KiB of all."""
    total = 0
    for pid in [pid for process in processes for pid in pids_of(process.pid)]:
        try:
            total += pss(pid)
        except (FileNotFoundError, ProcessLookupError, AttributeError):
            # It has just ended.
            pass
    return total


def with_children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as pids:
            return [pid] + [each for child in pids.read().split() for each in with_children(int(child))]
    except FileNotFoundError:
        return []


class Herd:
    """What was seen of one."""

    def __init__(self, replicas, count, is_waiting, pids_of=lambda pid: [pid]):
        stand, self.count = replicas.stand, count
        monitor = Monitor(stand.redis)
        begun = time.time()
        if isinstance(replicas, InOne):
            processes = replicas.start_all(count)
        else:
            processes = [replicas.start(REV) for _ in range(count)]
        stand.expect("step")
        is_waiting(count)
        self.started = time.time() - begun
        time.sleep(STEP)
        self.memory = memory(processes, pids_of) / count
        self.threads, self.files = (sum(entries(process.pid, kind) for process in processes) / count for kind in ("task", "fd"))
        early = monitor.requests()
        stand.open_gate()
        # A second step would be a second leader's.
        served = [stand.expect("served") for _ in range(count)]
        self.last = max(served) - replicas.ready_at(REV)
        late = monitor.requests()
        waited = [request for request in early if request.at > begun + self.started + STEP - FIRST]
        self.per_second = len(waited) / FIRST
        self.peak = max(Counter(int(request.at) for request in early + late).values())
        self.mean, self.most = self.first_requests(early)

    def first_requests(self, requests):
        """Of each replica in its first seconds: the mean, and the sum of the busiest connections of either kind."""
        of = {}
        for request in requests:
            of.setdefault(request.client, []).append(request)
        first = {client: sum(one.at < of[client][0].at + FIRST for one in of[client]) for client in of}
        listen = {client for client in of if any(request.verb == "SUBSCRIBE" for request in of[client])}
        busiest = [max((first[client] for client in kind), default=0) for kind in (listen, first.keys() - listen)]
        return sum(first.values()) / self.count, sum(busiest)


def raise_limit():
    """Each replica has two connections, and the server an end of each."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def leaders(replicas):
    """As many as were elected, by the volume's history."""
    with open(replicas.volume + "/.bellwether/history.jsonl") as history:
        return sum(json.loads(line)["event"] == "elected" for line in history)


def measure(kind, count, **more):
    with Stand() as stand:
        replicas = kind(stand, "volume", "gate")
        herd = Herd(replicas, count, replicas.settle, **more)
        return herd, leaders(replicas) if isinstance(replicas, Ours) else 1


def rows(what, herd, elected, rival):
    of_rival = "100 polling: "
    row(what + ": leaders", str(elected), "", "", exactly(elected, 1))
    row(what + ": ready → the last command", millis(herd.last), of_rival + millis(rival.last), times(herd.last / rival.last),
        at_most(herd.last, 1, secs))
    # Each of the rival's requests has a connection of its own.
    polled = rival.per_second * FIRST / rival.count
    row(what + ": Redis commands in a replica's first %d s, the most" % FIRST, str(herd.most), of_rival + "%.0f in the mean" % polled,
        times(herd.most / polled), at_most(herd.most, 10, "{:.0f}".format))
    row(what + ": Redis commands in 1 s, of all, while they wait", "%.0f" % herd.per_second, of_rival + "%.0f" % rival.per_second,
        times(herd.per_second / herd.count / (rival.per_second / rival.count)) + " (each)")
    row(what + ": Redis commands in 1 s, of all, at the most", str(herd.peak), of_rival + str(rival.peak))
    row(what + ": memory of each (PSS)", kib(herd.memory), of_rival + kib(rival.memory), times(herd.memory / rival.memory))
    row(what + ": threads and open files of each", "%.1f and %.1f" % (herd.threads, herd.files))


raise_limit()
rival, _ = measure(Polling, 100, pids_of=with_children)
rows("1,000 replicas in one process", *measure(InOne, 1000), rival)
rows("100 real replicas", *measure(Ours, 100), rival)
