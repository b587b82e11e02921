"""Connections and cursors, as both drivers have them. `raised` turns a fault into the driver's own exception."""

from .server import Fault, Server
from .sql import Session


class Connection:
    def __init__(self, raised, kind, host, port, user, password, database, timeout):
        self.raised = raised
        try:
            server = Server.of_environment()
            administrator = server.login(kind, host, port, user, password, database, timeout)
            self.session = Session(server, user, administrator, server_side(kind, server, database))
        except Fault as fault:
            raise raised(fault) from None

    def cursor(self, *_args, **_kwargs):
        return Cursor(self)

    def commit(self):
        self.session.engine.commit()

    def rollback(self):
        self.session.engine.rollback()

    def close(self):
        self.session.engine.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()


class Cursor:
    def __init__(self, connection):
        self.connection = connection
        self.description = None
        self.rowcount = -1
        self.rows = []

    def execute(self, statement, values=None):
        try:
            rows, self.description, self.rowcount = self.connection.session.execute(statement, values)
        except Fault as fault:
            raise self.connection.raised(fault) from None
        self.rows = list(rows)
        if self.rows and not self.description:
            # What the server answers by itself has columns, too.
            self.description = [("column",)] * len(self.rows[0])
        return len(self.rows)

    def fetchone(self):
        return self.rows.pop(0) if self.rows else None

    def fetchall(self):
        rows, self.rows = self.rows, []
        return rows

    def close(self):
        pass

    def __iter__(self):
        return iter(self.fetchall())

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()


def server_side(kind, server, database):
    """PostgreSQL always has the database `postgres`."""
    if kind == "postgres" and database == "postgres" and not server.has_database("postgres"):
        return None
    return database
