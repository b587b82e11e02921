"""What the program under test asks the servers and apps itself."""

import json
import shutil
import socket
import subprocess
import sys
import unittest

from .case import Case, wait_until


class Probes(Case):
    """What the program under test asks the drivers itself."""

    TRY = (
        "import pymysql\n"
        "login = dict(host=%r, port=3306, user=%r, password=%r, database=%r)\n"
        "try: pymysql.connect(connect_timeout=0.1, read_timeout=0.1, **login)\n"
        "except pymysql.err.OperationalError as error: print(*error.args)\n"
    )

    def test_what_it_says(self):
        def said(host="h", user="root", password="root-password", database=None):
            return self.python(self.TRY % (host, user, password, database))

        self.assertEqual(said(), "")
        self.assertIn("1045 Access denied", said(password="x"))
        self.assertIn("1045 Access denied", said(user="x"))
        self.assertIn("1049 Unknown database 'x'", said(database="x"))
        self.assertIn("Name or service not known", said(host="db.invalid"))
        for name, words in (("busy", "1040"), ("starting", "2013"), ("silent", "timed out"), ("down", "refused")):
            self.touch(name)
            self.assertIn(words, said())

    def test_what_an_administrator_is_asked(self):
        self.works(*self.new_site())
        self.stop("new-site:administrator", *self.new_site(site="half"))
        script = "\n".join((
            "import json, pymysql, sys",
            "connection = pymysql.connect(host='h', port=3306, user='root', password='root-password')",
            "def ask(query, values=()):",
            "    with connection.cursor() as cursor:",
            "        cursor.execute(query, values)",
            "        return cursor.fetchone() is not None",
            "where = \"doctype = 'User' AND name = 'Administrator' AND fieldname = 'password'\"",
            "schema = 'SELECT 1 FROM information_schema.schemata WHERE schema_name = %s'",
            "table = \"SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = '__Auth'\"",
            "for name in sys.argv[1:]:",
            "    found = ask(schema, (name,)), ask(table, (name,))",
            "    whole = all(found) and ask('SELECT 1 FROM `%s`.`__Auth` WHERE %s' % (name, where))",
            "    print(json.dumps([*found, whole]))",
        ))
        names = [self.state()["db_name"], self.state("half")["db_name"], "none"]
        told = [json.loads(line) for line in self.python(script, *names).splitlines()]
        self.assertEqual(told, [[True, True, True], [True, True, False], [False, False, False]])

    def test_hooks_of_an_app(self):
        script = "import importlib; print(importlib.import_module('beta.hooks').required_apps)"
        self.assertEqual(self.python(script), "['alpha']\n")
        self.python("import frappe.hooks")


@unittest.skipUnless(shutil.which("redis-server"), "no redis-server here")
class Redis(Case):
    def setUp(self):
        super().setUp()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        server = subprocess.Popen(["redis-server", "--port", str(self.port), "--save", "", "--requirepass", "p@ss"],
                                  stdout=subprocess.DEVNULL, cwd=self.dir)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        wait_until(lambda: "True" in self.redis("print(r.ping())"))

    def redis(self, work, password="p%40ss", port=None):
        where = "redis://:%s@127.0.0.1:%d/1" % (password, port or self.port)
        return self.python("import redis\nr = redis.Redis.from_url(%r, socket_timeout=5, socket_connect_timeout=5)\n"
                           "try: %s\nexcept redis.exceptions.RedisError as error: print(type(error).__name__, error)"
                           % (where, work))

    def test_speaks_to_a_real_one(self):
        self.redis("r.sadd('rq:workers', 'one', 'two'), r.set('one', 'x'), r.set('assets_json', 'y')")
        self.assertEqual(self.redis("print(sorted(r.smembers('rq:workers')), r.exists('one'), r.exists('two'))"),
                         "[b'one', b'two'] 1 0\n")
        self.assertIn("AuthenticationError", self.redis("r.ping()", password="x"))
        self.assertIn("ConnectionError Error 111", self.redis("r.ping()", port=1))

    def test_clear_cache_leaves_the_manifest(self):
        self.works(*self.new_site())
        self.works("set-config", "-g", "redis_cache", "redis://:p%%40ss@127.0.0.1:%d/1" % self.port)
        self.redis("r.set('assets_json', 'y'), r.set('%s|page', 'z')" % self.state()["db_name"])
        self.works("--site", "a.localhost", "clear-cache")
        self.assertEqual(self.redis("print(r.keys())"), "[b'assets_json']\n")
        self.works("--site", "a.localhost", "clear-website-cache")
        self.works("--site", "a.localhost", "migrate")
        self.assertEqual(self.redis("print(r.delete('assets_json'))"), "1\n")
