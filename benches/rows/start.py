#!/usr/bin/python3
"""What happens at every probe and every start, against `/usr/bin/test -f`; all in one run of hyperfine."""

import json
import os
import subprocess
import sys
import tempfile

from report import at_most, kib, micros, row, times
from stand import BENCHES, BUILT

RUNS, WARMUP = 1000, 100


def kept(name):
    return os.path.join(BUILT, name)


def peak(*command):
    """VmHWM in KiB."""
    return int(subprocess.run([kept("peak"), *command], check=True, stdout=subprocess.PIPE).stdout)


def medians(commands, scratch):
    figures = os.path.join(scratch, "times.json")
    named = [word for name, command in commands.items() for word in ("--command-name", name, command)]
    subprocess.run(["hyperfine", "-N", "--style", "none", "--warmup", str(WARMUP), "--runs", str(RUNS), "--export-json", figures,
                    *named], check=True, stderr=subprocess.DEVNULL)
    with open(figures) as file:
        return {result["command"]: result["median"] for result in json.load(file)["results"]}


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
    took = medians({
        # The yardstick first and last: a machine that changes its pace is noticed.
        "test": test,
        "ready": kept("bellwether") + " ready",
        "warm": "%s run -- %s" % (kept("bellwether"), kept("no-op")),
        "sh": "sh -c 'test -f %s'" % marker,
        "polling": "%s/polling-entrypoint %s" % (BENCHES, kept("no-op")),
        "no-op": kept("no-op"),
        "test again": test,
    }, scratch)
    peaks = peak(kept("bellwether"), "ready"), peak("/usr/bin/test", "-f", marker)

# The faster of the two, which is the stricter.
unit = min(took["test"], took["test again"])
ready, warm, sh, polling = (took[name] for name in ("ready", "warm", "sh", "polling"))
row("`ready`, median of %d" % RUNS, micros(ready), "`test -f`: " + micros(unit), times(ready / unit),
    at_most(ready / unit, 0.35, times))
row("`ready`", micros(ready), "`sh -c 'test -f …'`: " + micros(sh), times(ready / sh))
row("`ready`, VmHWM", kib(peaks[0]), "`test -f`: " + kib(peaks[1]), times(peaks[0] / peaks[1]), at_most(peaks[0], 1024, kib))
row("warm `run` of a static no-op, whole", micros(warm), "`test -f`: " + micros(unit), times(warm / unit),
    at_most(warm / unit, 0.75, times))
row("warm `run` of a static no-op, whole", micros(warm), "polling: " + micros(polling), times(warm / polling))
row("(the no-op alone)", micros(took["no-op"]), "`test -f`: " + micros(unit), times(took["no-op"] / unit))
drift = abs(took["test"] / took["test again"] - 1)
if drift > 0.1:
    print("test -f changed by %.0f %% meanwhile: the machine is busy, measure again" % (drift * 100), file=sys.stderr)
