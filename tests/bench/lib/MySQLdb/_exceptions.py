"""The exceptions of mysqlclient."""

from standin.exceptions import *  # noqa: F403
