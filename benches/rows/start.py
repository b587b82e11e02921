#!/usr/bin/python3
"""What happens at every probe and every start, against `/usr/bin/test -f`; in turns, so that what else the machine does hits all."""

import json
import os
import statistics
import subprocess
import sys
import tempfile

from report import at_most, kib, micros, row, times
from stand import BENCHES, BUILT

TURNS, RUNS, WARMUP = 50, 20, 20
MOST_DRIFT = 0.1


def kept(name):
    return os.path.join(BUILT, name)


def peak(*command):
    """VmHWM in KiB."""
    return int(subprocess.run([kept("peak"), *command], check=True, stdout=subprocess.PIPE).stdout)


def turn(commands, scratch):
    """The median of each, one command after another."""
    figures = os.path.join(scratch, "times.json")
    named = [word for name, command in commands for word in ("--command-name", name, command)]
    subprocess.run(["hyperfine", "-N", "--style", "none", "--warmup", str(WARMUP), "--runs", str(RUNS), "--export-json", figures,
                    *named], check=True, stderr=subprocess.DEVNULL)
    with open(figures) as file:
        return {result["command"]: result["median"] for result in json.load(file)["results"]}


def turns(commands, scratch):
    """Every other one backwards: whoever is first is last as often."""
    forwards = list(commands.items())
    return [turn(forwards[::-1] if number % 2 else forwards, scratch) for number in range(TURNS)]


def prepare(scratch):
    volume, plan = os.path.join(scratch, "volume"), os.path.join(scratch, "plan.json")
    os.mkdir(volume)
    with open(plan, "w") as file:
        json.dump({"steps": [{"name": "work", "run": ["/bin/true"]}]}, file)
    # For the rival as well: whoever has more variables starts later.
    os.environ.update(IMAGE_REV="bench", BELLWETHER_VOLUME=volume, VOLUME=volume, BELLWETHER_PLAN=plan, BELLWETHER_LOG="warn")
    # A real boot leaves a real volume behind.
    subprocess.run([kept("bellwether"), "run", "--", kept("no-op")], check=True, stderr=subprocess.DEVNULL)
    subprocess.run([kept("bellwether"), "ready"], check=True)
    return volume + "/.ready_bench"


with tempfile.TemporaryDirectory() as scratch:
    marker = prepare(scratch)
    test = "/usr/bin/test -f " + marker
    took = turns({
        # The yardstick first and last.
        "test": test,
        "ready": kept("bellwether") + " ready",
        "warm": "%s run -- %s" % (kept("bellwether"), kept("no-op")),
        "sh": "sh -c 'test -f %s'" % marker,
        "polling": "%s/polling-entrypoint %s" % (BENCHES, kept("no-op")),
        "no-op": kept("no-op"),
        "test again": test,
    }, scratch)
    peaks = peak(kept("bellwether"), "ready"), peak("/usr/bin/test", "-f", marker)

for each in took:
    # The faster of the two, which is the stricter.
    each["unit"] = min(each["test"], each["test again"])
# Budgets that were measured on a machine too busy to tell.
drifted = []


def typical(name):
    return micros(statistics.median(each[name] for each in took))


def ratio_in(some, name, rival):
    return statistics.median(each[name] / each[rival] for each in some)


def compare(what, name, rival_says, rival, limit=None):
    """By the ratio in each turn. A machine that is too busy to tell is noticed by its two halves."""
    ratio, halves = ratio_in(took, name, rival), [ratio_in(half, name, rival) for half in (took[:TURNS // 2], took[TURNS // 2:])]
    drift = max(halves) / min(halves) - 1
    if limit is not None and drift > MOST_DRIFT:
        drifted.append("%s drifted by %.0f %%" % (what, drift * 100))
    row(what, typical(name), rival_says + ": " + typical(rival), times(ratio), at_most(ratio, limit, times) if limit is not None else None)


compare("`ready`, median of %d turns of %d" % (TURNS, RUNS), "ready", "`test -f`", "unit", 0.35)
compare("`ready`", "ready", "`sh -c 'test -f …'`", "sh")
row("`ready`, VmHWM", kib(peaks[0]), "`test -f`: " + kib(peaks[1]), times(peaks[0] / peaks[1]), at_most(peaks[0], 1024, kib))
compare("warm `run` of a static no-op, whole", "warm", "`test -f`", "unit", 0.75)
compare("warm `run` of a static no-op, whole", "warm", "polling", "polling")
compare("(the no-op alone)", "no-op", "`test -f`", "unit")
if drifted:
    sys.exit("start: the machine is too busy to tell, measure again: " + "; ".join(drifted))
