#!/usr/bin/python3
"""From SIGTERM of the leader, whose step dies at once, to the start of the next leader's step."""

import os
import signal
import time

from report import at_most, millis, quantile, row, times
from stand import Ours, Polling, Stand

REPLICAS = 3


def measure(replicas, rounds, settle):
    running = [replicas.start("v1") for _ in range(REPLICAS)]
    replicas.stand.expect("step")
    late = []
    for _ in range(rounds):
        settle(REPLICAS)
        leader = next(process for process in running if process.pid == replicas.leader("v1"))
        before = time.time()
        os.kill(leader.pid, signal.SIGTERM)
        late.append(replicas.stand.expect("step") - before)
        leader.wait()
        running.remove(leader)
        running.append(replicas.start("v1"))
    return late


with Stand() as stand:
    ours, polling = Ours(stand, "ours", "wait"), Polling(stand, "polling", "wait")
    late = measure(ours, 100, ours.settle)
    theirs = measure(polling, 30, lambda count: polling.settle(count, longest=0.2))

for name, share, budget in [("p50", 0.5, None), ("p99", 0.99, 0.05)]:
    our, their = quantile(late, share), quantile(theirs, share)
    row("SIGTERM of the leader → next leader's step started, %s of %d" % (name, len(late)), millis(our),
        "polling: " + millis(their), times(our / their), budget and at_most(our, budget, millis))
