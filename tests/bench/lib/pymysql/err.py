"""The exceptions of PyMySQL."""

from standin.exceptions import *  # noqa: F403
