"""Looks at the servers of a bench through the drivers that bench itself uses. Writes nothing but a cache key's removal.

stdin: {"op": "database", …}, and perhaps how many "seconds" a server has to answer; stdout, its last line: {"ok": {…}} or {"error": {"class": "denied", "text": "…"}}.
"""

import importlib
import json
import os
import sys

SECONDS = 10

# The same for PostgreSQL, in milliseconds.
PATIENCE = "-c statement_timeout=10000 -c lock_timeout=10000"

ADMINISTRATOR = "doctype = 'User' AND name = 'Administrator' AND fieldname = 'password'"


class Refused(Exception):
    """What a server said no with: its class and its words."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind


class MariaDB:
    def __init__(self, server, database=None):
        self.driver = self.import_driver()
        place = {"host": server["host"], "port": server["port"]}
        login = {"user": server["user"], "password": server["password"]}
        if database:
            login["database"] = database
        try:
            self.connection = self.driver.connect(**self.patience(), **place, **login)
        except Exception as error:
            raise Refused(self.class_of(error), str(error)) from None

    @staticmethod
    def patience():
        """A server that accepts and says nothing is no server."""
        return {"connect_timeout": SECONDS, "read_timeout": SECONDS, "write_timeout": SECONDS}

    @staticmethod
    def import_driver():
        for name in ("MySQLdb", "pymysql"):
            try:
                return importlib.import_module(name)
            except ImportError:
                continue
        raise Refused("no-driver", "neither MySQLdb nor pymysql is installed in the bench's env")

    @staticmethod
    def class_of(error):
        number = error.args[0] if error.args else None
        if number in (1044, 1045, 1130, 1142, 1143, 1227, 1698, 2059):
            return "denied"
        if number == 1049:
            return "no-database"
        # Too many clients, going down, or coming up.
        if number in (1040, 1053) or number == 2013 and "initial communication" in str(error):
            return "busy"
        if number in (2002, 2003, 2005, 2013):
            return class_of_socket(str(error))
        return "other"

    def has_database(self, name):
        return self.asks("SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", (name,))

    def sessions(self, name):
        """How many others are in that database."""
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT COUNT(*) FROM information_schema.processlist WHERE db = %s AND id <> CONNECTION_ID()", (name,)
            )
            return int(cursor.fetchone()[0])

    def has_administrator(self, name):
        return self.finds("SELECT 1 FROM `%s`.`__Auth` WHERE %s" % (name.replace("`", "``"), ADMINISTRATOR))

    def finds(self, query):
        """Whether there is a row. That a table is not there is an answer; that it may not be seen is none."""
        try:
            return self.asks(query)
        except Exception as error:
            if self.is_missing_table(error):
                return False
            raise Refused(self.class_of(error), str(error).strip()) from None

    @staticmethod
    def is_missing_table(error):
        return bool(error.args) and error.args[0] == 1146

    def asks(self, query, values=()):
        with self.connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchone() is not None


class PostgreSQL(MariaDB):
    def __init__(self, server, database=None):
        try:
            self.driver = importlib.import_module("psycopg2")
        except ImportError:
            raise Refused("no-driver", "psycopg2 is not installed in the bench's env") from None
        self.server = server
        place = {"host": server["host"], "port": server["port"]}
        login = {"user": server["user"], "password": server["password"], "dbname": database or "postgres"}
        try:
            self.connection = self.driver.connect(connect_timeout=SECONDS, options=PATIENCE, **place, **login)
        except Exception as error:
            raise Refused(self.class_of(error), str(error).strip()) from None

    @staticmethod
    def class_of(error):
        text = str(error)
        if "authentication failed" in text or "no password" in text or "no pg_hba.conf entry" in text:
            return "denied"
        if 'role "' in text and "does not exist" in text:
            return "denied"
        if 'database "' in text and "does not exist" in text:
            return "no-database"
        if "starting up" in text or "shutting down" in text or "too many clients" in text:
            return "busy"
        return class_of_socket(text)

    def has_database(self, name):
        return self.asks("SELECT 1 FROM pg_database WHERE datname = %s", (name,))

    def sessions(self, name):
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = %s", (name,))
            return int(cursor.fetchone()[0])

    def has_administrator(self, name):
        return PostgreSQL(self.server, name).finds('SELECT 1 FROM "__Auth" WHERE %s' % ADMINISTRATOR)

    @staticmethod
    def is_missing_table(error):
        return getattr(error, "pgcode", None) == "42P01" or 'relation "__Auth" does not exist' in str(error)


def class_of_socket(text):
    lowered = text.lower()
    if "refused" in lowered or "(111)" in lowered or "(111 " in lowered:
        return "refused"
    if "name or service not known" in lowered or "unknown" in lowered or "resolution" in lowered:
        return "unknown-host"
    if "translate host" in lowered:
        return "unknown-host"
    if "timed out" in lowered or "timeout" in lowered or "(110)" in lowered:
        return "timeout"
    return "other"


def connect(server, database=None):
    kinds = {"mariadb": MariaDB, "postgres": PostgreSQL}
    return kinds[server["kind"]](server, database)


def database(request):
    """Whether one can log in there."""
    connect(request["server"])
    return {}


def site(request):
    """Whether the site's database exists and is whole, as seen by an administrator of the server."""
    name = request.get("name") or default_name(request["path"])
    server = connect(request["server"])
    exists = server.has_database(name)
    # Before a session of our own is there.
    sessions = server.sessions(name) if exists else 0
    return {"name": name, "exists": exists, "whole": exists and server.has_administrator(name), "sessions": sessions}


def own(request):
    """Whether the site's database is whole, as the site itself sees it."""
    name = request["name"]
    try:
        server = connect(request["server"], name)
    except Refused as refused:
        if refused.kind in ("denied", "no-database"):
            return {"login": False, "whole": False}
        raise
    return {"login": True, "whole": server.has_administrator(name)}


def default_name(path):
    """As bench names the database of a site."""
    import hashlib

    return "_" + hashlib.sha1(os.path.realpath(path).encode()).hexdigest()[:16]


def open_redis(url):
    try:
        import redis
    except ImportError:
        raise Refused("no-driver", "redis is not installed in the bench's env") from None
    return redis.Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS)


def asking_redis(work):
    """Gives the errors of Redis their class."""
    try:
        return work()
    except Refused:
        raise
    except Exception as error:
        raise Refused(class_of_redis(error), str(error)) from None


def class_of_redis(error):
    import socket

    text = str(error)
    lowered = text.lower()
    if "loading" in lowered:
        return "busy"
    if any(word in lowered for word in ("noauth", "wrongpass", "authentication", "invalid password", "noperm")):
        return "denied"
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "timeout"
    return class_of_socket(text)


def redis(request):
    """Whether one can log in there."""
    asking_redis(lambda: open_redis(request["url"]).ping())
    return {}


def workers(request):
    """How many workers of jobs are alive: each keeps a key that expires."""

    def count():
        server = open_redis(request["url"])
        return sum(1 for key in server.smembers("rq:workers") if server.exists(key))

    return {"workers": asking_redis(count)}


def forget(request):
    """Removes the keys of the cache that a pattern describes."""

    def remove():
        server = open_redis(request["url"])
        return sum(server.delete(key) for key in server.scan_iter(match=request["keys"], count=1000))

    return {"removed": asking_redis(remove)}


def requires(request):
    """The apps that each app says it requires."""
    return {"requires": {app: required_by(app) for app in request["apps"]}}


def required_by(app):
    try:
        hooks = importlib.import_module(app + ".hooks")
    except Exception:
        return []
    # Written as `erpnext` or as `frappe/erpnext`.
    return [name.rstrip("/").split("/")[-1] for name in getattr(hooks, "required_apps", [])]


def several(request):
    """The answers to several requests, in their order."""
    return {"answers": [answer_to(one) for one in request["requests"]]}


OPERATIONS = {operation.__name__: operation for operation in (database, site, own, redis, workers, forget, requires, several)}


def answer_to(request):
    try:
        return {"ok": OPERATIONS[request["op"]](request)}
    except Refused as refused:
        return {"error": {"class": refused.kind, "text": str(refused)}}
    except Exception as error:
        return {"error": {"class": "other", "text": "%s: %s" % (type(error).__name__, error)}}


def main():
    global SECONDS
    request = json.load(sys.stdin)
    SECONDS = request.get("seconds", SECONDS)
    print(json.dumps(answer_to(request)))


main()
