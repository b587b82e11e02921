"""What tests set: every variable that the stand-in reads."""

import os


def text(name, default=""):
    return os.environ.get(name) or default


def number(name, default):
    return float(text(name, str(default)))


def is_on(name):
    return text(name) == "1"


def is_new():
    """Whether to be a bench of 2025 and not one of January 2024."""
    return is_on("STANDIN_NEW")


def scaled(seconds):
    """How long something takes here that the stand-in's tables say takes `seconds`."""
    return seconds / number("STANDIN_SPEED", 1)


def database_dir():
    """The directory that stands for the database server."""
    directory = text("STANDIN_DB")
    if not directory:
        raise RuntimeError("STANDIN_DB is not set: it names the directory that stands for the database server")
    return directory
