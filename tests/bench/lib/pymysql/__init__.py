"""The MariaDB driver of older benches."""

from standin import environ

if environ.is_new():
    raise ModuleNotFoundError("No module named 'pymysql'")

from standin.mariadb import connect_for

from . import err
from .err import *  # noqa: F403

connect = connect_for("pymysql", err)
