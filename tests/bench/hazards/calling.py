"""How bench is called, and what it keeps in files."""

import json
import os
import signal
import subprocess
import time

from .case import Case


class Calling(Case):
    def test_unknown_words_are_exit_2(self):
        self.fails("No such option: --what", "migrate", "--what", code=2)
        self.fails("No such command 'what'", "what", code=2)
        self.fails("requires an argument", "new-site", "--db-name", code=2)
        self.fails("No such option", *self.new_site("--mariadb-user-host-login-scope=%"), code=2)

    def test_help_tells_the_version(self):
        self.assertIn("--no-mariadb-socket", self.works("new-site", "--help"))
        self.assertIn("--mariadb-user-host-login-scope", self.works("new-site", "--help", STANDIN_NEW="1"))

    def test_refuses_root_and_other_places(self):
        if os.geteuid() == 0:
            self.fails("should not run this command as root", "migrate", STANDIN_ALLOW_ROOT="0")
        self.fails("Please specify --site", "migrate")
        self.fails("does not exist", "--site", "b.localhost", "migrate")
        os.unlink(self.path("apps.txt"))
        self.fails("apps.txt", "--site", "b.localhost", "migrate")

    def test_torn_json_ends_every_call(self):
        self.touch("common_site_config.json", self.sites)
        self.fails("JSONDecodeError", "--site", "a.localhost", "migrate")
        self.assertEqual(self.check()["config"], "torn")

    def test_is_quick_and_traced(self):
        began = time.monotonic()
        self.works("new-site", "--help")
        self.assertLess(time.monotonic() - began, 1)
        start, end = self.events()
        self.assertEqual((start["event"], end["event"], end["exit"]), ("start", "end", 0))
        self.assertEqual((start["argv"], start["ppid"]), (["new-site", "--help"], os.getpid()))
        self.assertLess(start["at"], end["at"])

    def test_signals(self):
        self.assertEqual(self.stop("new-site:lock", *self.new_site(), number=signal.SIGTERM)[0], -signal.SIGTERM)
        self.assertEqual(self.stop("new-site:lock", *self.new_site(site="b"), number=signal.SIGINT)[0], 1)

    def test_stops_as_often_as_it_was_asked_to(self):
        for _ in range(2):
            self.assertEqual(self.stop("new-site:dir:2", *self.new_site("--force"))[1]["phase"], "dir")
        self.works(*self.new_site("--force"), STANDIN_STOP_AT="new-site:dir:2")

    def test_the_command_line_logs_its_arguments(self):
        subprocess.run([os.path.join(self.bench, "bench"), "--site", "a", "migrate", "--secret"], env=self.environment,
                       capture_output=True)
        with open(os.path.join(self.bench, "logs/bench.log"), encoding="utf-8") as file:
            self.assertIn("--site a migrate --secret", file.read())


class Config(Case):
    def test_writers_leave_torn_json_to_readers(self):
        self.stop("set-config:write", "set-config", "-g", "socketio_port", "9000")
        self.assertEqual(self.check()["config"], "torn")
        self.fails("JSONDecodeError", "set-config", "-g", "socketio_port", "9000")

    def test_writers_in_different_images_do_not_see_each_other(self):
        other = os.path.join(self.dir, "other")
        self.tool("make-bench", other, "--sites", self.sites)
        benches = [self.bench, other] * 8
        writers = []
        for number, self.bench in enumerate(benches):
            writers.append(self.start("set-config", "-g", "key_%d" % number, "1", STANDIN_PACE="set-config:write=1600"))
        codes = [self.finish(writer)[0] for writer in writers]
        self.assertIn(1, codes)

    def test_use(self):
        self.works(*self.new_site())
        self.works("use", "a.localhost")
        self.assertEqual(self.check()["default_site"], "a.localhost")
        self.works("migrate")
        self.fails("does not exist", "use", "b.localhost")

    def test_the_environment_overrides_files(self):
        self.works(*self.new_site())
        server = os.path.join(self.db, "server.json")
        with open(server, encoding="utf-8") as file:
            settings = json.load(file)
        with open(server, "w", encoding="utf-8") as file:
            json.dump({**settings, "host": "db", "port": 3307}, file)
        self.fails("Connection refused", "--site", "a.localhost", "migrate")
        self.works("--site", "a.localhost", "migrate", FRAPPE_DB_HOST="db", FRAPPE_DB_PORT="3307")
