"""What a run was made with."""

import os
import platform
import re
import shutil
import subprocess

from . import place


def of(given, root_password):
    """A table for the head of a transcript."""
    here = place.Real(given, root_password)
    rows = {
        "Bellwether": first_line([given.bellwether, "--version"]),
        "Frappe": here.shell("env/bin/python -c 'import frappe; print(frappe.__version__)'").strip() + commit(here),
        "apps": here.shell("ls apps").split(),
        "Python": first_line([here.python, "--version"]),
        "node": first_line(["node", "--version"]),
        "MariaDB": first_line(["mariadbd", "--version"]),
        "Redis": first_line(["redis-server", "--version"]),
        "bench": first_line([given.bench_command, "--version"]),
        "replicas run as": given.user or "root, their steps as the volume's owner",
        "machine": "%s %s, %d processors" % (platform.system(), platform.machine(), len(processors())),
    }
    shutil.rmtree(here.scratch)
    rows = {key: " ".join(value) if isinstance(value, list) else value for key, value in rows.items()}
    return "| | |\n|---|---|\n%s\n" % "".join("| %s | %s |\n" % row for row in rows.items())


def commit(here):
    found = here.shell("git -C apps/frappe log -1 --format='%H of %cs'", check=False).strip()
    return ", commit " + found if re.match("[0-9a-f]{40}", found) else ""


def first_line(words):
    try:
        done = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError:
        return "none"
    return done.stdout.strip().split("\n")[0]


def processors():
    return os.sched_getaffinity(0)
