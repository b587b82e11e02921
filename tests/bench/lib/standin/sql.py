"""What the server understands: the administration of databases and users by patterns, and the rest by SQLite."""

import re
import sqlite3

from . import environ
from .server import PATIENCE, Fault

NAME = r"[`\"']?([\w.-]+)[`\"']?"
HOST = r"(?:@'[^']*')?"


class Session:
    """What one client says. Changes of rows wait for a commit; changes of tables do not, as in MariaDB."""

    def __init__(self, server, user, administrator, database):
        self.server = server
        self.user = user
        self.administrator = administrator
        self.database = database
        self.patience = PATIENCE
        self.engine = server.open_database(database) if database else sqlite3.connect(":memory:")
        self.attached = set()

    def execute(self, statement, values=None):
        """The rows, the names of their columns, and how many rows were changed."""
        statement = statement.strip().rstrip(";")
        for pattern, handle in ADMINISTRATION.get(first_word(statement), ()):
            match = re.fullmatch(pattern, statement, re.IGNORECASE | re.DOTALL)
            if match:
                return handle(self, *match.groups()) or [], None, 0
        return self.query(statement, values)

    def query(self, statement, values):
        if first_word(statement) in ("CREATE", "ALTER", "DROP"):
            self.change_of_tables()
        if self.database and self.database in statement:
            # The engine calls the database that is open `main`.
            statement = re.sub(r"[`\"]%s[`\"]\s*\." % re.escape(self.database), "main.", statement)
        self.prepare(statement)
        try:
            result = self.engine.execute(translated(statement, values), values or ())
        except sqlite3.Error as error:
            raise fault_of(error) from None
        return result.fetchall() if result.description else [], result.description, result.rowcount

    def change_of_tables(self):
        self.engine.commit()
        if self.database:
            self.server.wait_for_tables(self.database, self.patience)

    def prepare(self, statement):
        """Puts in reach what a query asks for: other databases, and the tables that tell about databases and tables."""
        if "." in statement and ("`" in statement or '"' in statement):
            for name in re.findall(r"[`\"]([\w-]+)[`\"]\s*\.", statement):
                self.attach(name)
        lowered = statement.lower()
        if "information_schema." in lowered:
            self.describe_schemas("information_schema.tables" in lowered)
        if "processlist" in lowered:
            self.engine.create_function("CONNECTION_ID", 0, lambda: 0)
            self.fill("information_schema.processlist", "id, db", self.sessions())
        if "pg_stat_activity" in lowered:
            self.fill("temp.pg_stat_activity", "pid, datname", self.sessions())
        for table, names in (("pg_database", self.server.databases), ("pg_roles", self.roles)):
            if table in lowered:
                column = "datname" if table == "pg_database" else "rolname"
                self.fill("temp." + table, column, [(name,) for name in names()])

    def attach(self, name):
        if name == self.database or name in self.attached or name == "information_schema":
            return
        if not self.administrator:
            raise Fault("denied-database", user=self.user, database=name)
        if not self.server.has_database(name):
            raise Fault("no-database", database=name)
        self.engine.execute('ATTACH ? AS "%s"' % name, (self.server.path("databases", name, "tables.sqlite"),))
        self.attached.add(name)

    def describe_schemas(self, with_tables):
        if "information_schema" not in self.attached:
            self.engine.commit()
            self.engine.execute("ATTACH ':memory:' AS information_schema")
            self.attached.add("information_schema")
        names = self.server.databases() if self.administrator else [self.database]
        self.fill("information_schema.schemata", "schema_name", [(name,) for name in names])
        if with_tables:
            if self.server.settings["type"] == "postgres":
                rows = [("public", table) for table in self.server.tables(self.database)] if self.database else []
            else:
                rows = [(name, table) for name in names for table in self.server.tables(name)]
            self.fill("information_schema.tables", "table_schema, table_name", rows)

    def sessions(self):
        return [(pid, name) for name in self.server.databases() for pid in self.server.others_in(name)]

    def roles(self):
        return sorted({self.server.settings["user"], *self.server.users()})

    def fill(self, table, columns, rows):
        self.engine.execute("DROP TABLE IF EXISTS %s" % table)
        self.engine.execute("CREATE TABLE %s (%s)" % (table, columns))
        marks = ", ".join("?" for _ in columns.split(","))
        self.engine.executemany("INSERT INTO %s VALUES (%s)" % (table, marks), rows)
        self.engine.commit()

    def load(self, script):
        """All of a dump, without the checks a statement would get."""
        self.engine.executescript(script)

    # Administration

    def only_administrator(self):
        if not self.administrator:
            raise Fault("denied-database", user=self.user, database="*")

    def nothing(self):
        pass

    def bound_waits(self, seconds):
        self.patience = int(seconds)

    def show_databases(self):
        return [(name,) for name in (self.server.databases() if self.administrator else [self.database])]

    def create_database(self, name):
        self.only_administrator()
        self.server.create_database(name)

    def drop_database(self, if_exists, name):
        self.only_administrator()
        if not self.server.has_database(name):
            if if_exists:
                return
            raise Fault("no-database", database=name)
        if self.server.settings["type"] == "postgres" and self.server.has("metadata-lock-" + name):
            raise Fault("in-use", database=name)
        self.server.wait_for_tables(name, self.patience)
        self.server.drop_database(name)

    def end_sessions(self, name):
        self.only_administrator()
        self.server.end_sessions(name)

    def create_user(self, if_missing, name, password):
        """Hazard: with IF NOT EXISTS a user that is there keeps the password it had."""
        self.only_administrator()
        if self.server.user(name) is None:
            self.server.write_user(name, {"password": password, "databases": []})
        elif not if_missing:
            raise Fault("user-exists", user=name)

    def change_password(self, name, password):
        self.only_administrator()
        account = self.server.user(name)
        if account is None:
            raise Fault("no-user", user=name)
        self.server.write_user(name, {**account, "password": password})

    def drop_user(self, if_exists, name):
        self.only_administrator()
        if not self.server.drop_user(name) and not if_exists:
            raise Fault("no-user", user=name)

    def grant(self, database, name):
        self.only_administrator()
        account = self.server.user(name)
        if account is None:
            raise Fault("no-user", user=name)
        databases = sorted({*account["databases"], database})
        self.server.write_user(name, {**account, "databases": databases})

    def rebuild_table(self, _table):
        """ALTER TABLE … FORCE: takes as long as STANDIN_ALTER_SECS says, with or without the client."""
        self.change_of_tables()
        seconds = environ.number("STANDIN_ALTER_SECS", 0)
        if seconds:
            self.server.alter(self.database, seconds)


# By the first word; of these the first that fits.
ADMINISTRATION = {
    "SET": [
        (r"SET (?:SESSION )?lock_wait_timeout\s*=\s*(\d+)", Session.bound_waits),
        (r"SET .*", Session.nothing),
    ],
    "FLUSH": [(r"FLUSH PRIVILEGES", Session.nothing)],
    "END": [(r"END", Session.nothing)],
    "SHOW": [(r"SHOW DATABASES", Session.show_databases)],
    "SELECT": [(r"SELECT pg_terminate_backend\(.*datname = '([^']*)'", Session.end_sessions)],
    "CREATE": [
        (r"CREATE DATABASE " + NAME + r"(?: .*)?", Session.create_database),
        (r"CREATE USER (IF NOT EXISTS )?" + NAME + HOST + r" (?:IDENTIFIED BY|WITH PASSWORD) '(.*)'", Session.create_user),
    ],
    "DROP": [
        (r"DROP DATABASE (IF EXISTS )?" + NAME, Session.drop_database),
        (r"DROP USER (IF EXISTS )?" + NAME + HOST, Session.drop_user),
    ],
    "ALTER": [
        (r"ALTER USER " + NAME + HOST + r" (?:IDENTIFIED BY|WITH PASSWORD) '(.*)'", Session.change_password),
        (r"ALTER DATABASE .* OWNER TO .*", Session.nothing),
        (r"ALTER TABLE [`\"]([^`\"]+)[`\"] FORCE", Session.rebuild_table),
    ],
    "GRANT": [(r"GRANT .* ON (?:DATABASE )?" + NAME + r"(?:\.\*)? TO " + NAME + HOST, Session.grant)],
}


def translated(statement, values):
    """From the words of MariaDB and PostgreSQL to those of SQLite."""
    if values is not None:
        statement = statement.replace("%s", "?").replace("%%", "%")
    upper = statement.upper()
    if "ENGINE" in upper:
        statement = re.sub(r"\)\s*ENGINE\s*=.*$", ")", statement, flags=re.IGNORECASE | re.DOTALL)
    if upper.startswith("INSERT IGNORE "):
        statement = "INSERT OR IGNORE " + statement[len("INSERT IGNORE ") :]
    return statement


def first_word(statement):
    return "".join(statement.split(None, 1)[:1]).upper()


def fault_of(error):
    text = str(error)
    if "UNIQUE constraint failed" in text:
        return Fault("duplicate", key=text.rpartition(": ")[2])
    if "no such table" in text:
        return Fault("no-table", table=text.rpartition(": ")[2])
    if "locked" in text:
        return Fault("lock-wait", database="")
    return Fault("syntax", text=text)
