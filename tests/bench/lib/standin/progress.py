"""A bar of progress. Hazard: drawn over itself a hundred times, whether or not anybody sees a terminal, and one line in the end."""

import sys

STEPS = 100
WIDTH = 40


def draw(text):
    for done in range(1, STEPS + 1):
        bar = ("=" * (WIDTH * done // STEPS)).ljust(WIDTH)
        sys.stdout.write("\r%s: [%s] %d%%" % (text.ljust(36), bar, done))
        sys.stdout.flush()
    print()
