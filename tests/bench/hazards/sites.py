"""Making and dropping sites."""

import json
import os
import shutil
import subprocess

from .case import ROOT, Case


class NewSite(Case):
    def test_makes_a_whole_site(self):
        self.works(*self.new_site("--install-app", "beta", "--set-default"))
        state = self.check()
        site = state["sites"]["a.localhost"]
        self.assertTrue(site["whole"])
        self.assertEqual((site["apps"], site["hooks_run"]), (["frappe", "alpha", "beta"], {"alpha": 1, "beta": 1}))
        self.assertEqual(state["default_site"], "a.localhost")
        phases = ["dir", "lock", "config", "database", "schema", "administrator", "sync", "after_install",
                  "sync", "after_install", "finish", "write"]
        self.assertEqual(self.phases("new-site"), phases)

    def test_every_failure_leaves_the_directory(self):
        wrong = ("new-site", "a.localhost", "--db-root-password", "wrong", "--admin-password", "x")
        self.fails("1045", *wrong)
        self.assertTrue(self.state()["dir"])
        self.fails("already exists", *self.new_site())
        self.touch("down")
        self.fails("2003", *self.new_site(site="b.localhost"))
        self.assertEqual(self.state("b.localhost")["config"], "ok")

    def test_what_each_kill_leaves(self):
        left = {"dir": "missing", "lock": "missing", "config": "ok", "database": "ok", "schema": "ok",
                "administrator": "ok", "finish": "ok"}
        for phase, config in left.items():
            site = phase + ".localhost"
            self.stop("new-site:" + phase, *self.new_site(site=site))
            state = self.state(site)
            self.assertEqual((state["dir"], state["config"]), (True, config), phase)
            self.assertEqual(state["login"], phase in ("schema", "administrator", "finish"), phase)
            self.assertEqual(state["whole"], phase == "finish", phase)
            self.fails("already exists", *self.new_site(site=site))

    def test_a_database_that_is_there(self):
        self.works(*self.new_site())
        self.check("--plant", "data")
        shutil.move(self.path("a.localhost"), os.path.join(self.dir, "aside"))
        self.fails("already exists, please drop it", *self.new_site())
        self.assertTrue(self.state()["dir"])
        self.works(*self.new_site("--force"))
        self.assertEqual((self.state()["whole"], self.state()["canary"]), (True, None))

    def test_two_at_once(self):
        slow = {"STANDIN_SPEED": "1", "STANDIN_PACE": "new-site:look=300 new-site:schema=400"}
        both = [self.start(*self.new_site(), **slow) for _ in range(2)]
        ended = sorted(self.finish(process) for process in both)
        self.assertEqual([code for code, _ in ended], [0, 1])
        self.assertIn("LockTimeoutError", ended[1][1])
        self.assertTrue(self.state()["whole"])

    def test_a_failure_shows_the_password(self):
        text = self.fails("Traceback", *self.new_site(), STANDIN_FAIL_AT="new-site:schema:1")
        with open(self.path("a.localhost/site_config.json"), encoding="utf-8") as file:
            self.assertIn("db_password = %r" % json.load(file)["db_password"], text)
        self.works(*self.new_site(site="b.localhost"), STANDIN_FAIL_AT="new-site:schema:1")

    def test_the_name_is_the_same_in_every_replica(self):
        other = os.path.join(self.dir, "other")
        self.tool("make-bench", other, "--sites", self.sites)
        self.works(*self.new_site())
        name = self.state()["db_name"]
        self.works("drop-site", "a.localhost", "--no-backup", "--force", *ROOT)
        self.bench, self.sites = other, os.path.join(other, "sites")
        self.works(*self.new_site())
        self.assertEqual(self.state()["db_name"], name)

    def test_secrets_from_the_configuration(self):
        with open(self.path("common_site_config.json"), "w", encoding="utf-8") as file:
            json.dump({"root_password": "root-password", "admin_password": "x"}, file)
        self.works("new-site", "a.localhost", "--db-name", "named", "--db-password", "p")
        self.assertEqual(self.state()["db_name"], "named")

    def test_asks_and_is_aborted_without_an_answer(self):
        self.fails("Aborted!", "new-site", "a.localhost")


class DropSite(Case):
    def test_repairs_a_half_made_site(self):
        self.stop("new-site:schema", *self.new_site())
        self.works("drop-site", "a.localhost", "--no-backup", "--force", *ROOT)
        self.assertFalse(os.path.exists(self.path("a.localhost")))
        self.assertTrue(os.path.isdir(os.path.join(self.bench, "archived/sites/a.localhost")))
        self.works(*self.new_site())
        self.assertTrue(self.state()["whole"])

    def test_continues_after_a_kill(self):
        self.works(*self.new_site())
        self.stop("drop-site:move", "drop-site", "a.localhost", "--no-backup", *ROOT)
        self.assertFalse(self.state()["login"])
        self.works("drop-site", "a.localhost", "--no-backup", "--force", *ROOT)

    def test_needs_the_configuration(self):
        self.stop("new-site:lock", *self.new_site())
        self.fails("does not exist", "drop-site", "a.localhost", "--no-backup", "--force", *ROOT)

    def test_waits_for_other_sessions(self):
        self.works(*self.new_site())
        lock = "metadata-lock-" + self.state()["db_name"]
        self.touch(lock)
        drop = ("drop-site", "a.localhost", "--no-backup", "--force", *ROOT)
        self.fails("1205", *drop, lock_wait_secs=5)
        self.assertTrue(self.state()["whole"])
        process = self.start(*drop)
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(0.5)
        os.unlink(os.path.join(self.db, lock))
        self.assertEqual(self.finish(process)[0], 0)


class Newer(Case):
    SCOPE = "--mariadb-user-host-login-scope=%"
    ENVIRONMENT = {"STANDIN_NEW": "1"}

    def test_other_options_drivers_and_names(self):
        self.fails("No such option", "new-site", "a.localhost", "--no-mariadb-socket", code=2)
        self.works(*self.new_site())
        self.assertTrue(self.state()["whole"])
        first = self.state()["db_name"]
        self.works("drop-site", "a.localhost", "--no-backup", "--force", *ROOT)
        self.works(*self.new_site())
        self.assertNotEqual(self.state()["db_name"], first)
        self.fails("MySQLdb", "new-site", "c.localhost", self.SCOPE, "--db-root-password", "wrong",
                   "--admin-password", "x")

    def test_a_user_left_behind_keeps_its_password(self):
        self.stop("new-site:database", *self.new_site("--db-name", "named"))
        shutil.rmtree(self.path("a.localhost"))
        self.fails("1045", *self.new_site("--db-name", "named", "--force"))


class Postgres(Case):
    KIND = "postgres"

    def new_site(self, *more, **site):
        return super().new_site("--db-type", "postgres", *more, **site)

    def test_makes_migrates_and_drops(self):
        self.works(*self.new_site("--install-app", "beta"))
        self.works("--site", "a.localhost", "migrate")
        self.assertEqual((self.state()["whole"], self.state()["apps"]), (True, ["frappe", "alpha", "beta"]))
        self.touch("metadata-lock-" + self.state()["db_name"])
        self.works("drop-site", "a.localhost", "--no-backup", "--force", "--db-root-username", "postgres",
                   "--db-root-password", "root-password")
        self.assertFalse(os.path.exists(self.path("a.localhost")))

    def test_drops_what_is_there_without_being_asked(self):
        self.works(*self.new_site())
        self.check("--plant", "data")
        shutil.move(self.path("a.localhost"), os.path.join(self.dir, "aside"))
        self.works(*self.new_site())
        self.assertIsNone(self.state()["canary"])

    def test_what_it_says(self):
        probe = (
            "import psycopg2\n"
            "try: psycopg2.connect(host='h', port=5432, user='postgres', password=%r, dbname=%r)\n"
            "except psycopg2.OperationalError as error: print(error)\n"
        )
        self.assertIn('password authentication failed for user "postgres"', self.python(probe % ("x", "postgres")))
        self.assertIn('database "x" does not exist', self.python(probe % ("root-password", "x")))
        self.touch("starting")
        self.assertIn("starting up", self.python(probe % ("root-password", "postgres")))
        self.touch("down")
        self.assertIn("Connection refused", self.python(probe % ("root-password", "postgres")))
