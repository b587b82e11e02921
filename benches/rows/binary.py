#!/usr/bin/python3
"""The size of the static binary, which the linker has stripped."""

import os

from report import at_most, mib, row
from stand import BUILT

size = os.stat(os.path.join(BUILT, "bellwether")).st_size / 1024
row("binary, static and stripped", mib(size), "", "", at_most(size, 5 * 1024, mib))
