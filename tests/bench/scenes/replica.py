"""A replica: `bellwether run -- COMMAND`, everything it starts, and what it says."""

import datetime
import os
import re
import signal
import subprocess
import time

# Its command: it serves until somebody ends it.
SERVER = ["/bin/sh", "-c", "echo serves; exec sleep 1000"]

LINE = re.compile(r"^(\S+Z) +(INFO|WARN|ERROR) (.*)$")
OF_STEP = re.compile(r" step=\w+$")
# Of what a step says: the commands, and what the preset itself says.
TOLD = re.compile(
    r"^(\S+: )?(bench |.*left half-made|.*default site|backup: |jobs are |database and Redis|.*maintenance"
    r"|.*written step=|assets |.*nothing is migrated|step )"
)
SILENT = re.compile(r"a lease in Redis elects")
ENDS = re.compile(r"( took_ms=\d+| pid=\d+| step=\w+(?= took_ms)| ttl_secs=\S+)+$")


class Replica:
    def __init__(self, name, mark, process, directory):
        self.name = name
        self.mark = mark
        self.process = process
        self.paths = {kind: os.path.join(directory, kind) for kind in ("out", "err")}
        self.told = 0
        self.kept = {}

    @classmethod
    def start(cls, name, words, environment, directory):
        """`words`: what it is started with, but for its command."""
        mark = "SCENARIO_REPLICA=%s" % directory
        os.makedirs(directory)
        with open(os.path.join(directory, "out"), "w") as out, open(os.path.join(directory, "err"), "w") as err:
            process = subprocess.Popen([*words, "--", *SERVER], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                       cwd="/", env={**environment, "SCENARIO_REPLICA": directory})
        return cls(name, mark, process, directory)

    def log(self):
        return self.read("err")

    def read(self, kind):
        """Scenes look often, and it changes seldom."""
        size, text = self.kept.get(kind, (None, None))
        if size != os.path.getsize(self.paths[kind]):
            with open(self.paths[kind], "rb") as file:
                content = file.read()
            size, text = len(content), content.decode(errors="replace")
            self.kept[kind] = size, text
        return text

    @property
    def serves(self):
        return self.read("out") == "serves\n"

    @property
    def leads(self):
        return "LEADER" in self.log()

    @property
    def is_running(self):
        return self.process.poll() is None

    def calls(self):
        """The bench commands that its steps have run, as it logs them: without secrets."""
        found = re.findall(r" INFO (?:\S+: )?(bench .*) step=\w+$", self.log(), re.MULTILINE)
        return [call for call in found if not re.search(r" (ended|was ended) ", call)]

    def tell(self, teller):
        """What it has said since, without the output of commands."""
        lines = self.log().split("\n")[:-1]
        for line in lines[self.told:]:
            found = LINE.match(line)
            if found and not SILENT.match(found[3]) and (not OF_STEP.search(line) or TOLD.match(found[3])):
                teller.say(ENDS.sub("", found[3])[:300], at=seconds_of(found[1]), who=self.name)
        self.told = len(lines)

    # Its end

    def processes(self):
        """Of all it has started, by what only they have in their environment: (id, command line)."""
        return [(pid, command_line(pid)) for pid in all_processes() if self.mark in environment_of(pid)]

    def kill(self):
        """As a container ends: everything at once. First all are stopped, so that none sees another's end."""
        gone = 0
        while True:
            alive = [pid for pid, _ in self.processes()]
            if not alive:
                break
            for number in (signal.SIGSTOP, signal.SIGKILL):
                send(alive, number)
            gone += len(alive)
            time.sleep(0.02)
        self.process.wait()
        return gone

    def terminate(self):
        """As an orchestrator asks it to stop."""
        self.process.send_signal(signal.SIGTERM)


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def all_processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def environment_of(pid):
    """Empty for a process that is gone, or only waited for."""
    return words_of("/proc/%d/environ" % pid)


def command_line(pid):
    return " ".join(words_of("/proc/%d/cmdline" % pid))


def words_of(path):
    try:
        with open(path, "rb") as file:
            return [word.decode(errors="replace") for word in file.read().split(b"\0")]
    except OSError:
        return []


def seconds_of(stamp):
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
