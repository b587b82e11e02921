"""A real redis-server, and what it is asked."""

import os
import re
import socket
import subprocess
import time
import uuid

# Longer than anything takes on a busy machine.
LIMIT = 60

# What is begun so ends with the thread that has begun it, however that ends.
DYING_WITH_US = ["setpriv", "--pdeathsig", "KILL", "--"]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_until(what, look, pause=0.002):
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(pause)
    raise TimeoutError("never seen: " + what)


class Conversation:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def ask(self, *words):
        words = [str(word).encode() for word in words]
        request = [b"*%d" % len(words)]
        for word in words:
            request += [b"$%d" % len(word), word]
        self.socket.sendall(b"\r\n".join(request) + b"\r\n")
        return self.read()

    def read(self):
        line = self.file.readline()[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode(errors="replace")
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return [self.read() for _ in range(int(rest))]
        raise ConnectionError("redis-server says %r" % line)


class Request:
    """What a client has sent, and when by the wall clock."""

    SHAPE = re.compile(r'(\d+\.\d+) \[\d+ (\S+)\] "([^"]*)"')

    def __init__(self, line):
        at, self.client, verb = Request.SHAPE.match(line).groups()
        self.at, self.verb, self.text = float(at), verb.upper(), line


class Monitor:
    """Sees every request of the replicas from now on."""

    # What scripts do by themselves is no request, and we alone use the socket.
    OF_OURS = re.compile(r"\S+ \[\d+ (lua|unix:.*?)\]")

    def __init__(self, server):
        self.server = server
        self.conversation = Conversation(server.socket)
        self.conversation.ask("MONITOR")

    def requests(self):
        """Those since the last call."""
        # Another monitor hears it, too.
        mark = str(uuid.uuid4())
        self.server.ask("ECHO", mark)
        seen = []
        while True:
            line = self.conversation.read()
            if line.endswith('"ECHO" "%s"' % mark):
                return seen
            if not Monitor.OF_OURS.match(line):
                seen.append(Request(line))


    def lock_tokens(self):
        """Of those that have tried `SET KEY TOKEN …`."""
        return {request.text.split('"')[5] for request in self.requests() if request.verb == "SET"}


class RedisServer:
    """On a free port of 127.0.0.1 and on a socket; keeps nothing on disk."""

    def __init__(self, scratch):
        self.dir = os.path.join(scratch, "redis")
        os.mkdir(self.dir)
        self.socket = os.path.join(self.dir, "socket")
        # Between our look and the server's somebody else may take the port.
        wait_until("a redis-server on a free port", self.try_start)
        self.conversation = Conversation(self.socket)

    def try_start(self):
        self.port = free_port()
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--unixsocket", self.socket, "--dir", self.dir]
        self.process = subprocess.Popen([*DYING_WITH_US, "redis-server", *where, "--save", ""],
                                        stdout=subprocess.DEVNULL)
        return wait_until("redis-server to answer or to end", self.what_became_of_it) == "answers"

    def what_became_of_it(self):
        if self.process.poll() is not None:
            return "ended"
        try:
            return "answers" if Conversation(self.socket).ask("PING") == "PONG" else None
        except (FileNotFoundError, ConnectionError):
            return None

    def ask(self, *words):
        return self.conversation.ask(*words)


    def listeners(self, channel):
        return self.ask("PUBSUB", "NUMSUB", channel)[1]

    def stop(self):
        self.process.kill()
        self.process.wait()
