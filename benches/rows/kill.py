#!/usr/bin/python3
"""From the last beat of a leader that is killed to the start of the next leader's step."""

import os
import random
import threading
import time

from report import at_most, row, secs, times
from stand import Ours, Polling, Stand

ROUNDS, REPLICAS = 10, 3
STALE = [1, 2]


def measure(replicas, last_beat, settle, late):
    for number in range(ROUNDS):
        rev = "v%d" % number
        for _ in range(REPLICAS):
            replicas.start(rev)
        replicas.stand.expect("step")
        settle(REPLICAS)
        # Anywhere between two beats.
        time.sleep(random.uniform(0, 0.5))
        leader, before = replicas.leader(rev), time.time()
        replicas.kill(leader)
        last = last_beat(rev, before)
        late.append(replicas.stand.expect("step") - last)
        replicas.stand.open_gate()
        for _ in range(REPLICAS - 1):
            replicas.stand.expect("served")


def ours(stale, late):
    with Stand() as stand:
        replicas = Ours(stand, "volume", "gate", STEP_STALE_SECS=str(stale))
        measure(replicas, lambda rev, _: os.stat(replicas.in_progress(rev)).st_mtime, replicas.settle, late)


def polling(ttl, late):
    with Stand() as stand:
        replicas = Polling(stand, "volume", "gate", ttl)
        # It has no beat: its lock is renewed now and then, and this is not earlier than the last time.
        measure(replicas, lambda _, killed: killed, lambda count: replicas.settle(count, longest=0.2), late)


# All at once: nearly all of the time they wait. Whoever ends this does not wait for them.
late = {(kind, stale): [] for kind in (ours, polling) for stale in STALE}
threads = [threading.Thread(target=kind, args=(stale, late[kind, stale]), daemon=True) for kind, stale in late]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for stale in STALE:
    our, their = late[ours, stale], late[polling, stale]
    if len(our) != ROUNDS or len(their) != ROUNDS:
        raise AssertionError("not every leader that was killed was followed by another")
    row("SIGKILL of the leader, STEP_STALE_SECS=%d: last beat → next leader's step started, worst of %d" % (stale, ROUNDS),
        secs(max(our)), "polling, a TTL of %d s: %s" % (stale, secs(max(their))), times(max(our) / max(their)),
        at_most(max(our), stale + 1, secs))
