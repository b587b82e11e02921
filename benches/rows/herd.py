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
        # Not until now: looking at their memory has taken a while.
        end = begun + self.started + STEP
        self.per_second = sum(end - FIRST <= request.at < end for request in early) / FIRST
        self.peak = max(Counter(int(request.at) for request in early + late).values())
        self.early = early


def most_at_first(requests, count):
    """In a replica's first seconds, of `count` that have a connection for requests and one that listens: the sum of the busiest
    of either kind."""
    of = {}
    for request in requests:
        of.setdefault(request.client, []).append(request)
    if len(of) != 2 * count:
        raise AssertionError("%d connections of %d replicas: some have connected again" % (len(of), count))
    first = {client: sum(one.at < of[client][0].at + FIRST for one in of[client]) for client in of}
    listening = {client for client in of if any(request.verb == "SUBSCRIBE" for request in of[client])}
    return max(first[client] for client in listening) + max(first[client] for client in first.keys() - listening)


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
    most = most_at_first(herd.early, herd.count)
    # Each of the rival's requests has a connection of its own.
    polled = rival.per_second * FIRST / rival.count
    row(what + ": Redis commands in a replica's first %d s, the most" % FIRST, str(most), of_rival + "%.0f in the mean" % polled,
        times(most / polled), at_most(most, 10, "{:.0f}".format))
    row(what + ": Redis commands in 1 s, of all, while they wait", "%.0f" % herd.per_second, of_rival + "%.0f" % rival.per_second,
        times(herd.per_second / herd.count / (rival.per_second / rival.count)) + " (each)")
    row(what + ": Redis commands in 1 s, of all, at the most", str(herd.peak), of_rival + str(rival.peak))
    row(what + ": memory of each (PSS)", kib(herd.memory), of_rival + kib(rival.memory), times(herd.memory / rival.memory))
    row(what + ": threads and open files of each", "%.1f and %.1f" % (herd.threads, herd.files))


raise_limit()
rival, _ = measure(Polling, 100, pids_of=with_children)
rows("1,000 replicas in one process", *measure(InOne, 1000), rival)
rows("100 real replicas", *measure(Ours, 100), rival)
