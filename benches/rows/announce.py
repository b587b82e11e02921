#!/usr/bin/python3
"""From the ready marker to the start of each follower's command."""

from report import at_most, millis, quantile, row, times
from stand import Ours, Polling, Stand

ROUNDS, FOLLOWERS = 60, 3
# The rival takes up to two seconds each.
POLLING_ROUNDS, POLLING_FOLLOWERS = 6, 8


def measure(replicas, rounds, followers, settle):
    late = []
    for number in range(rounds):
        rev = "v%d" % number
        leader = replicas.start(rev, "leader")
        replicas.stand.expect("step")
        others = [replicas.start(rev, "follower") for _ in range(followers)]
        settle()
        replicas.stand.open_gate()
        served = [replicas.stand.next_stamp() for _ in range(followers + 1)]
        late += [at - replicas.ready_at(rev) for word, at in served if word == "follower"]
        for replica in [leader, *others]:
            if replica.wait() != 0:
                raise AssertionError("a replica ended with %d" % replica.returncode)
    return late


with Stand() as stand:
    ours = Ours(stand, "ours", "gate")
    late = measure(ours, ROUNDS, FOLLOWERS, lambda: ours.settle(FOLLOWERS + 1))
    polling = Polling(stand, "polling", "gate")
    theirs = measure(polling, POLLING_ROUNDS, POLLING_FOLLOWERS, lambda: polling.settle(POLLING_FOLLOWERS + 1))

for name, share, limit in [("p50", 0.5, 0.005), ("p99", 0.99, 0.025)]:
    our, their = quantile(late, share), quantile(theirs, share)
    row("ready marker → follower's command started, %s of %d" % (name, len(late)), millis(our),
        "polling: " + millis(their), times(our / their), at_most(our, limit, millis))
