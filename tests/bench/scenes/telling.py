"""What is told of a run: each event with its time, and nothing that belongs to this machine."""

import re
import time


class Failed(Exception):
    """A scene did not go as it has to."""


class Teller:
    """The lines of one scene. `neutral`: what of this machine is written otherwise."""

    def __init__(self, neutral):
        self.neutral = sorted(neutral.items(), key=lambda pair: -len(pair[0]))
        self.lines = []
        self.start()

    def start(self):
        self.begun = time.time()

    def neutralized(self, text):
        for own, neutral in self.neutral:
            text = text.replace(own, neutral)
        return text

    def say(self, text, at=None, who="—"):
        text = self.neutralized(text)
        # A port or a process number is nobody's business.
        text = re.sub(r"\b(here )?pid[ =]\d+", r"\1pid …", text)
        self.lines.append("%7.1f s  %s  %s" % ((at or time.time()) - self.begun, who, text))

    def say_all(self, logs):
        """What is needed to understand a failure."""
        for name, log in logs.items():
            self.lines += ["", "%s said:" % name, *self.neutralized(log).strip().split("\n")[-60:]]

    @property
    def seconds(self):
        return time.time() - self.begun


def need(condition, text):
    if not condition:
        raise Failed(text)
