"""Where scenes are played: a bench with its servers, real or not. A scene does not know which."""

import fcntl
import hashlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

from .asker import Asker
from .image import Image

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATH = "/usr/local/bin:/usr/bin:/bin"
ADMIN_PASSWORD = "adm1n-of-the-site"
SITES = ("a.localhost", "b.localhost")


class Place:
    """`database`, `cache`, `queue`: host and port."""

    # How much longer than the stand-in it may take.
    patience = 1
    stale_secs = "2"
    builds = True

    def __init__(self, bench, bellwether, servers, root_password, scratch):
        self.bench = bench
        self.sites = os.path.join(bench, "sites")
        self.python = os.path.join(bench, "env/bin/python")
        self.bellwether = bellwether
        self.database, self.cache, self.queue = servers
        self.root_password = root_password
        self.scratch = scratch
        self.extra = {}

    def environment(self):
        """A replica's."""
        host, port = self.database
        return {
            "PATH": PATH, "HOME": os.path.expanduser("~"), "LANG": "C.UTF-8",
            "BELLWETHER_PRESET": "frappe", "SITES_DIR": self.sites, "SITE": SITES[0],
            "ADMIN_PASSWORD": ADMIN_PASSWORD, "DB_HOST": host, "DB_PORT": str(port), "DB_PASSWORD": self.root_password,
            "REDIS_CACHE": "%s:%d" % self.cache, "REDIS_QUEUE": "%s:%d" % self.queue,
            "STEP_STALE_SECS": self.stale_secs, "BELLWETHER_BACKOFF_SECS": "0.5", **self.extra,
        }

    def neutral(self):
        """What of this machine a transcript must not show."""
        return {self.bench: "/home/frappe/frappe-bench", self.root_password: "***", ADMIN_PASSWORD: "***",
                "%s:%d" % self.cache: "redis-cache:6379", "%s:%d" % self.queue: "redis-queue:6379",
                self.scratch: "/tmp/scenario", socket.gethostname(): "host"}

    def server(self):
        host, port = self.database
        return {"host": host, "port": port, "user": "root", "password": self.root_password}

    def database_of(self, site):
        """Its name, as its configuration says or as bench makes it up."""
        try:
            with open(os.path.join(self.sites, site, "site_config.json"), encoding="utf-8") as file:
                return json.load(file)["db_name"]
        except (OSError, ValueError, KeyError):
            path = os.path.realpath(os.path.join(self.sites, site))
            return "_" + hashlib.sha1(path.encode()).hexdigest()[:16]

    # Calls as a person would make them

    def shell(self, command, stdin="", check=True):
        """As the owner of the bench, without a terminal."""
        words = [*self.as_owner(), "setsid", "-w", "sh", "-c", command]
        done = subprocess.run(words, cwd=self.bench, env=self.environment_of_owner(), input=stdin, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if check and done.returncode:
            raise RuntimeError("%s: %d: %s" % (command, done.returncode, done.stdout[-2000:]))
        return done.stdout

    def as_owner(self):
        owner = os.stat(self.sites).st_uid
        if owner == os.geteuid():
            return []
        ids = ("--reuid=%d" % owner, "--regid=%d" % os.stat(self.sites).st_gid)
        return ["setpriv", *ids, "--clear-groups"]

    def environment_of_owner(self):
        home = pwd.getpwuid(os.stat(self.sites).st_uid).pw_dir
        return {"PATH": self.path_of_bench() + ":" + PATH, "HOME": home, "LANG": "C.UTF-8", **self.extra}

    def by_hand(self, site):
        """How a person creates a site; the rest of the line is as sensible as people are."""
        scope = "--mariadb-user-host-login-scope=%"
        if scope[:-2] not in self.shell("bench new-site --help"):
            scope = "--no-mariadb-socket"
        return ("exec bench new-site %s %s --db-root-username root --db-root-password %s --admin-password by-hand"
                % (site, scope, self.root_password))

    def own(self, path):
        found = os.stat(self.sites)
        os.chown(path, found.st_uid, found.st_gid)

    def bellwether_says(self, *words, **environment):
        done = subprocess.run([self.bellwether, *words], env={**self.environment(), **environment}, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def check(self, *words):
        """What the checker finds."""
        script = os.path.join(HERE, "check")
        done = subprocess.run([self.python, script, self.bench, *words], env=self.environment_of_owner(), text=True,
                              stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)


class StandIn(Place):
    """Made for one scene, and away with it."""

    # Whether a call stays at the phase that it is told to stop at.
    holds = True

    def __init__(self, bellwether, root_password="r00t-of-the-database"):
        scratch = tempfile.mkdtemp(prefix="scenario-")
        self.redises = [start_redis(scratch, name) for name in ("cache", "queue")]
        # What looks for a server before anybody leads knows ports only; whoever connects is let go at once.
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.let_go, daemon=True).start()
        servers = self.listener.getsockname(), *(("127.0.0.1", port) for _, port in self.redises)
        super().__init__(os.path.join(scratch, "bench"), bellwether, servers, root_password, scratch)
        self.db = os.path.join(scratch, "db")
        self.extra = {"STANDIN_DB": self.db, "STANDIN_ALLOW_ROOT": "1", "STANDIN_SPEED": "2"}
        tool("make-server", self.db, "--password", root_password)
        tool("make-bench", self.bench, "--requires", "beta:alpha")
        self.image = Image(self.bench, self.own)

    def let_go(self):
        try:
            while True:
                self.listener.accept()[0].close()
        except OSError:
            pass

    def hold(self, phase):
        """Stops the first call that gets there, for ever: `command:phase`."""
        self.extra["STANDIN_STOP_AT"] = phase

    def release(self):
        """Stops nothing from now on: what was to be held may have ended before."""
        with open(os.path.join(self.db, "stopped-at"), "a"):
            pass

    def slow(self, pace):
        """Lets every call be seen in a phase: `command:phase=milliseconds`."""
        self.extra["STANDIN_PACE"] = pace

    def count_of_hooks(self, ask, database, app):
        rows = ask("SELECT app FROM `%s`.`hooks_run`" % database)
        return sum(row[0] == app for row in rows)

    def path_of_bench(self):
        return self.bench

    def prefix(self):
        return []

    def down(self):
        with open(os.path.join(self.db, "down"), "w"):
            pass
        self.listener.close()
        for process, _ in self.redises:
            process.kill()
            process.wait()

    def up(self):
        """Nothing comes after it."""

    def reset(self):
        pass

    def close(self):
        self.listener.close()
        for process, _ in self.redises:
            process.kill()
            process.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)


def tool(name, *words):
    subprocess.run([sys.executable, os.path.join(HERE, name), *words], check=True)


def start_redis(scratch, name):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    directory = os.path.join(scratch, name)
    os.mkdir(directory)
    where = ("--port", str(port), "--bind", "127.0.0.1", "--dir", directory)
    process = subprocess.Popen(["redis-server", *where, "--save", ""], stdout=subprocess.DEVNULL)
    wait_for_port(port)
    return process, port


def wait_for_port(port):
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError("nobody listens on port %d" % port)


def claim(bench):
    """So that two runs do not play on one bench; kept until this process ends."""
    directory = os.open(bench, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("somebody plays on %s already" % bench)


class Real(Place):
    """A bench that is there. Its sites of our names and what is Bellwether's are removed, both Redises emptied."""

    holds = False
    patience = 8
    stale_secs = "6"

    def __init__(self, given, root_password):
        scratch = tempfile.mkdtemp(prefix="scenario-")
        os.chmod(scratch, 0o755)
        bellwether = shutil.copy(given.bellwether, os.path.join(scratch, "bellwether"))
        servers = (given.database, given.redis_cache, given.redis_queue)
        super().__init__(os.path.abspath(given.bench), bellwether, servers, root_password, scratch)
        self.given = given
        self.extra = dict(pair.split("=", 1) for pair in given.env)
        self.builds = not given.no_build
        self.image = Image(self.bench, self.own)

    def environment(self):
        # A user of our choice has a home, and root has one that is not the user's whom the steps become.
        home = pwd.getpwnam(self.given.user).pw_dir if self.given.user else os.path.expanduser("~")
        assets = {} if self.builds else {"BELLWETHER_ASSETS": "skip"}
        return {**super().environment(), "HOME": home, **assets}

    def prefix(self):
        if not self.given.user:
            return []
        who = pwd.getpwnam(self.given.user)
        return ["setpriv", "--reuid=%d" % who.pw_uid, "--regid=%d" % who.pw_gid, "--clear-groups"]

    def hold(self, phase):
        """What it does can be caught in the act."""

    def release(self):
        """Nothing was held."""

    def slow(self, pace):
        """It is as slow as it is."""

    def count_of_hooks(self, ask, database, app):
        rows = ask("SELECT count(*) FROM `%s`.`tab%s Thing`" % (database, app.title()))
        return rows[0][0] if rows else 0

    def path_of_bench(self):
        return os.path.dirname(self.given.bench_command)

    def down(self):
        subprocess.run(self.given.down, shell=True, check=True, stdout=subprocess.DEVNULL)

    def up(self):
        subprocess.run(self.given.up, shell=True, check=True, stdout=subprocess.DEVNULL)

    def reset(self):
        self.image.restore()
        self.drop_databases()
        ours = {*SITES, "archived", "assets", "common_site_config.json", "apps.txt"}
        for name in os.listdir(self.sites):
            if name in ours or name.startswith("."):
                remove(os.path.join(self.sites, name))
        for host, port in (self.cache, self.queue):
            words = ["redis-cli", "-h", host, "-p", str(port), "flushall"]
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)

    def drop_databases(self):
        asker = Asker(self.python, self.server(), self.environment_of_owner(), self.as_owner())
        for name in {self.database_of(site) for site in SITES}:
            asker.ask("DROP DATABASE IF EXISTS `%s`" % name)
            for (host,) in asker.ask("SELECT host FROM mysql.user WHERE user = %s", name):
                asker.ask("DROP USER '%s'@'%s'" % (name, host))
        asker.close()

    def close(self):
        self.reset()
        shutil.rmtree(self.scratch, ignore_errors=True)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
