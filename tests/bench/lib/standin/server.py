"""The database server: a directory.

    server.json        {"user": "root", "password": "…", "type": "mariadb" | "postgres"}, optionally "host" and "port"
    databases/<name>/  one database
    users/<name>.json  {"password": "…", "databases": […]}
    sessions           a line for each login that was tried
    down, starting, busy, silent      files that tests make: what the server is, and how it turns clients away
    metadata-lock-<name>              a file that tests make: another session uses that database
    altering-<name>    until when the server is busy with a table of that database, whoever asked for that
"""

import contextlib
import json
import os
import sqlite3
import time

from . import environ
from .lines import append_line

# A statement waits for a lock as long as this by default: a day.
PATIENCE = 86400


class Fault(Exception):
    """The server says no. The drivers turn `kind` into what the real ones raise."""

    def __init__(self, kind, **values):
        super().__init__(kind, values)
        self.kind = kind
        self.values = values


class Server:
    def __init__(self, directory):
        self.directory = directory
        with open(self.path("server.json"), encoding="utf-8") as file:
            self.settings = json.load(file)

    @staticmethod
    def of_environment():
        return Server(environ.database_dir())

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def has(self, name):
        return os.path.exists(self.path(name))

    # Logging in

    def login(self, kind, host, port, user, password, database, timeout):
        """Lets a client in, as an administrator or not. A server of the other kind answers nobody at its port."""
        here = (self.settings.get("host", host), int(self.settings.get("port", port)))
        self.check_is_up(host, port, here == (host, int(port)) and kind == self.settings["type"], timeout)
        administrator = user == self.settings["user"]
        account = self.settings if administrator else self.user(user)
        granted = account is not None and account["password"] == password
        self.note_session(user, database, granted)
        if not granted:
            raise Fault("denied", user=user, password=bool(password))
        if kind == "postgres" and database == "postgres":
            return administrator
        if database and not administrator and database not in account["databases"]:
            raise Fault("denied-database", user=user, database=database)
        if database and not self.has_database(database):
            raise Fault("no-database", database=database)
        return administrator

    def check_is_up(self, host, port, answers, timeout):
        if host.endswith(".invalid"):
            raise Fault("unknown-host", host=host)
        if not answers or self.has("down"):
            raise Fault("refused", host=host, port=port)
        if self.has("silent"):
            time.sleep(environ.scaled(timeout))
            raise Fault("timeout", host=host, port=port)
        for kind in ("starting", "busy"):
            if self.has(kind):
                raise Fault(kind)

    def note_session(self, user, database, granted):
        line = {"at": time.monotonic_ns(), "pid": os.getpid(), "user": user, "database": database, "granted": granted}
        append_line(self.path("sessions"), line)

    def others_in(self, database):
        """The other processes that have logged in there and live: a session for each."""
        with open(self.path("sessions"), encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        pids = {line["pid"] for line in lines if line["granted"] and line["database"] == database}
        return [pid for pid in pids if pid != os.getpid() and is_alive(pid)]

    # Users

    def user(self, name):
        try:
            with open(self.path("users", name + ".json"), encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return None

    def users(self):
        """Those that are no administrators."""
        return [name[: -len(".json")] for name in names_in(self.path("users")) if name.endswith(".json")]

    def write_user(self, name, account):
        os.makedirs(self.path("users"), exist_ok=True)
        replace(self.path("users", name + ".json"), account)

    def drop_user(self, name):
        try:
            os.unlink(self.path("users", name + ".json"))
        except FileNotFoundError:
            return False
        return True

    # Databases

    def databases(self):
        return names_in(self.path("databases"))

    def has_database(self, name):
        return os.path.isdir(self.path("databases", name))

    def create_database(self, name):
        os.makedirs(self.path("databases"), exist_ok=True)
        try:
            os.mkdir(self.path("databases", name))
        except FileExistsError:
            raise Fault("database-exists", database=name) from None

    def drop_database(self, name):
        """At once: nobody sees half of a database."""
        import shutil

        grave = self.path("dropped", "%s-%d-%d" % (name, os.getpid(), time.monotonic_ns()))
        os.makedirs(self.path("dropped"), exist_ok=True)
        os.rename(self.path("databases", name), grave)
        shutil.rmtree(grave)

    def open_database(self, name):
        """Survives the death of clients. Not that of the machine, which no test brings about."""
        engine = sqlite3.connect(self.path("databases", name, "tables.sqlite"), timeout=10)
        engine.execute("PRAGMA synchronous = OFF")
        return engine

    def tables(self, name):
        engine = self.open_database(name)
        try:
            return [row[0] for row in engine.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        finally:
            engine.close()

    # Locks

    def wait_for_tables(self, name, patience):
        """Hazard: a session that uses a database keeps DROP and ALTER waiting, for a day unless bounded."""
        deadline = time.monotonic() + patience * environ.number("STANDIN_SECOND", 0.01)
        while self.has("metadata-lock-" + name) or self.is_altering(name):
            if time.monotonic() >= deadline:
                raise Fault("lock-wait", database=name)
            time.sleep(0.005)

    def end_sessions(self, name):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path("metadata-lock-" + name))

    def is_altering(self, name):
        try:
            with open(self.path("altering-" + name), encoding="utf-8") as file:
                return time.monotonic() < json.load(file)
        except FileNotFoundError:
            return False

    def alter(self, name, seconds):
        """Hazard: the server goes on with a running ALTER when its client is killed."""
        replace(self.path("altering-" + name), time.monotonic() + seconds)
        time.sleep(seconds)


def replace(path, content):
    """A server's files are whole, whoever is killed."""
    temporary = "%s.%d" % (path, os.getpid())
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(content, file)
    os.rename(temporary, path)


def names_in(directory):
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
