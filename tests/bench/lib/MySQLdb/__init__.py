"""The MariaDB driver of newer benches."""

from standin import environ

if not environ.is_new():
    raise ModuleNotFoundError("No module named 'MySQLdb'")

from standin.mariadb import connect_for

from . import _exceptions
from ._exceptions import *  # noqa: F403

connect = connect_for("MySQLdb", _exceptions)
