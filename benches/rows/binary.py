#!/usr/bin/python3
"""The size of the binary, which is static and which the linker has stripped."""

import os
import struct

from report import at_most, mib, row
from stand import BUILT

BINARY = os.path.join(BUILT, "bellwether")
INTERPRETER, SYMBOLS = 3, 2


def table(image, offset_at, shape_at, kind_at):
    """The kinds of entries in one of the two tables of a 64-bit ELF file: of segments, or of sections."""
    offset, = struct.unpack_from("<Q", image, offset_at)
    size, count = struct.unpack_from("<HH", image, shape_at)
    return [struct.unpack_from("<I", image, offset + number * size + kind_at)[0] for number in range(count)]


def dead_weight():
    """What a static and stripped binary has not."""
    with open(BINARY, "rb") as file:
        image = file.read()
    if image[:6] != b"\x7fELF\x02\x01":
        raise ValueError("%s is no 64-bit little-endian ELF file" % BINARY)
    segments, sections = table(image, 32, 54, 0), table(image, 40, 58, 4)
    if not segments:
        raise ValueError("%s has no segments" % BINARY)
    found = {"an interpreter": INTERPRETER in segments, "a symbol table": SYMBOLS in sections}
    return [name for name in found if found[name]]


size, found = os.stat(BINARY).st_size / 1024, dead_weight()
row("binary", mib(size), "", "", at_most(size, 5 * 1024, mib))
row("binary: interpreter and symbol table", " and ".join(found) or "none", "", "",
    ("none: static and stripped", "missed: has " + " and ".join(found) if found else "yes"))
