"""A small client of a real Redis: as much of redis-py as a bench's processes use here."""

import socket
from urllib.parse import unquote, urlsplit

from . import exceptions
from .exceptions import (  # noqa: F401
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    RedisError,
    ResponseError,
    TimeoutError,
)

# What an error reply begins with, and the exception that redis-py makes of it.
ERRORS = {
    "NOAUTH": exceptions.AuthenticationError,
    "WRONGPASS": exceptions.AuthenticationError,
    "ERR invalid password": exceptions.AuthenticationError,
    "ERR AUTH": exceptions.AuthenticationError,
    "LOADING": exceptions.BusyLoadingError,
    "NOPERM": exceptions.NoPermissionError,
}


class Redis:
    """Connects with the first command."""

    def __init__(self, host="localhost", port=6379, db=0, username=None, password=None, path=None,
                 socket_timeout=None, socket_connect_timeout=None):
        self.place = path or (host, port)
        self.login = [word for word in (username, password) if word is not None]
        self.db = db
        self.timeouts = (socket_connect_timeout, socket_timeout)
        self.stream = None

    @classmethod
    def from_url(cls, url, **options):
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "unix"):
            raise ValueError("Redis URL must specify one of the following schemes (redis://, rediss://, unix://)")
        login = {"username": unquote(parts.username) if parts.username else None,
                 "password": unquote(parts.password) if parts.password is not None else None}
        if parts.scheme == "unix":
            return cls(path=unquote(parts.path), **login, **options)
        db = int(parts.path.strip("/") or "0")
        return cls(host=parts.hostname or "localhost", port=parts.port or 6379, db=db, **login, **options)

    def ping(self):
        return self.execute_command("PING") == b"PONG"

    def delete(self, *keys):
        return self.execute_command("DEL", *keys)

    def exists(self, *keys):
        return self.execute_command("EXISTS", *keys)

    def smembers(self, key):
        return set(self.execute_command("SMEMBERS", key))

    def sadd(self, key, *members):
        return self.execute_command("SADD", key, *members)

    def get(self, key):
        return self.execute_command("GET", key)

    def set(self, key, value):
        return self.execute_command("SET", key, value) == b"OK"

    def keys(self, pattern="*"):
        return self.execute_command("KEYS", pattern)

    def scan_iter(self, match=None, count=None):
        return iter(self.keys(match or "*"))

    def execute_command(self, *words):
        if self.stream is None:
            self.connect()
        return self.ask(*words)

    def close(self):
        if self.stream is not None:
            self.stream.close()
            self.stream = None

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def connect(self):
        try:
            self.stream = self.open_socket().makefile("rwb")
        except socket.timeout:
            raise exceptions.TimeoutError("Timeout connecting to server") from None
        except OSError as error:
            host, port = self.place if isinstance(self.place, tuple) else (self.place, "socket")
            text = "Error %s connecting to %s:%s. %s." % (error.errno, host, port, error.strerror)
            raise exceptions.ConnectionError(text) from None
        if self.login:
            self.ask("AUTH", *self.login)
        if self.db:
            self.ask("SELECT", self.db)

    def open_socket(self):
        connecting, talking = self.timeouts
        if isinstance(self.place, tuple):
            connection = socket.create_connection(self.place, timeout=connecting)
        else:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(connecting)
            connection.connect(self.place)
        connection.settimeout(talking)
        return connection

    def ask(self, *words):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        try:
            self.stream.write(request)
            self.stream.flush()
            return self.reply()
        except socket.timeout:
            self.close()
            raise exceptions.TimeoutError("Timeout reading from socket") from None
        except OSError as error:
            self.close()
            raise exceptions.ConnectionError("Error while reading from socket: %s" % (error.args,)) from None

    def reply(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise exceptions.ConnectionError("Connection closed by server.")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise error_of(rest.decode())
        if kind == b":":
            return int(rest)
        length = int(rest)
        if length < 0:
            return None
        if kind == b"$":
            return self.stream.read(length + 2)[:-2]
        return [self.reply() for _ in range(length)]


def error_of(text):
    for beginning, error in ERRORS.items():
        if text.startswith(beginning):
            return error(text.partition(" ")[2] if beginning == "LOADING" else text)
    return exceptions.ResponseError(text)
