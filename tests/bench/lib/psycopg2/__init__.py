"""The PostgreSQL driver. `PGOPTIONS` bounds waiting for locks as libpq has it."""

import os
import re

from standin.dbapi import Connection

from . import errors
from .errors import DatabaseError, Error, IntegrityError, OperationalError, ProgrammingError  # noqa: F401

REACHING = 'connection to server at "{host}", port {port} failed: '

STATEMENTS = {
    "refused": ("OperationalError", REACHING + "Connection refused\n\tIs the server running on that host and accepting"
                " TCP/IP connections?\n"),
    "timeout": ("OperationalError", REACHING + "timeout expired\n"),
    "unknown-host": ("OperationalError", 'could not translate host name "{host}" to address: Name or service not known\n'),
    "starting": ("OperationalError", "FATAL:  the database system is starting up\n"),
    "busy": ("OperationalError", "FATAL:  sorry, too many clients already\n"),
    "denied": ("OperationalError", 'FATAL:  password authentication failed for user "{user}"\n'),
    "denied-database": ("InsufficientPrivilege", "permission denied for database {database}\n"),
    "no-database": ("OperationalError", 'FATAL:  database "{database}" does not exist\n'),
    "in-use": ("ObjectInUse", 'database "{database}" is being accessed by other users\n'
               "DETAIL:  There is 1 other session using the database.\n"),
    "lock-wait": ("LockNotAvailable", "canceling statement due to lock timeout\n"),
    "database-exists": ("DuplicateDatabase", 'database "{database}" already exists\n'),
    "user-exists": ("DuplicateObject", 'role "{user}" already exists\n'),
    "no-user": ("UndefinedObject", 'role "{user}" does not exist\n'),
    "no-table": ("UndefinedTable", 'relation "{table}" does not exist\n'),
    "duplicate": ("UniqueViolation", 'duplicate key value violates unique constraint "{key}"\n'),
    "syntax": ("SyntaxError", "syntax error: {text}\n"),
}


def raised(fault):
    name, text = STATEMENTS[fault.kind]
    return getattr(errors, name)(text.format(**fault.values))


def connect(host="localhost", port=5432, user=None, password="", dbname=None, connect_timeout=10, **_others):
    connection = Connection(raised, "postgres", host, port or 5432, user, password, dbname or user, connect_timeout)
    bound = re.search(r"lock_timeout=(\d+)s", os.environ.get("PGOPTIONS", ""))
    if bound:
        connection.session.bound_waits(bound.group(1))
    return connection
