"""What is done to a site that is there."""

import json
import os
import shutil
import time

from .case import ROOT, Case, wait_until


class Apps(Case):
    def setUp(self):
        super().setUp()
        self.works(*self.new_site())

    def install(self, *words):
        return ("--site", "a.localhost", "install-app", *words)

    def test_what_list_apps_says(self):
        tells = ("--site", "a.localhost", "list-apps", "--format", "json")
        self.assertEqual(json.loads(self.works(*tells)), {"a.localhost": []})
        self.works("--site", "a.localhost", "migrate")
        self.assertEqual(json.loads(self.works(*tells)), ["frappe"])
        self.works(*self.install("alpha"))
        self.assertEqual(json.loads(self.works(*tells)), ["frappe"])
        truth = self.works("--site", "a.localhost", "execute", "frappe.get_installed_apps")
        self.assertEqual(json.loads(truth), ["frappe", "alpha"])
        self.stop("new-site:config", *self.new_site(site="b.localhost"))
        self.works("--site", "b.localhost", "list-apps")

    def test_installed_and_unknown(self):
        self.works(*self.install("beta"))
        self.assertEqual(self.state()["apps"], ["frappe", "alpha", "beta"])
        self.assertIn("already installed", self.works(*self.install("beta")))
        self.fails("not in apps.txt", *self.install("gamma"))
        with open(self.path("apps.txt"), "w", encoding="utf-8") as file:
            file.write("frappe\n")
        self.fails("not in apps.txt", *self.install("--force", "alpha"))

    def test_killed_in_sync(self):
        self.stop("install-app:sync", *self.install("alpha"))
        self.assertEqual(self.state()["apps"], ["frappe"])
        self.fails("frappe.exceptions.DuplicateEntryError", *self.install("alpha"))
        self.works(*self.install("--force", "alpha"))
        self.assertEqual((self.state()["apps"], self.state()["hooks_run"]), (["frappe", "alpha"], {"alpha": 1}))

    def test_killed_in_a_dependency(self):
        self.stop("install-app:sync", *self.install("beta"))
        self.fails("DuplicateEntryError", *self.install("--force", "beta"))
        self.works(*self.install("--force", "alpha"))
        self.works(*self.install("beta"))
        self.assertEqual(self.state()["hooks_run"], {"alpha": 1, "beta": 1})

    def test_killed_in_after_install(self):
        self.stop("install-app:after_install", *self.install("alpha"))
        self.assertIn("already installed", self.works(*self.install("alpha")))
        self.assertEqual((self.state()["apps"], self.state()["hooks_run"]), (["frappe", "alpha"], {}))
        self.works(*self.install("--force", "alpha"))
        self.assertEqual(self.state()["hooks_run"], {"alpha": 1})


class Migrate(Case):
    def setUp(self):
        super().setUp()
        self.works(*self.new_site())

    def migrate(self, *more):
        return ("--site", "a.localhost", "migrate", *more)

    def test_runs_what_a_newer_image_brings(self):
        self.works(*self.migrate())
        self.assertEqual(self.state()["patches_run"], {})
        self.tool("make-bench", self.bench, "--rev", "v3")
        self.works(*self.migrate())
        self.assertEqual(self.state()["patches_run"], {"frappe.patches.v2": 1, "frappe.patches.v3": 1})
        self.assertEqual(self.phases("migrate")[:3], ["patches", "schema", "finish"])

    def test_draws_bars_and_runs_the_modules_of_patches(self):
        patches = os.path.join(self.bench, "apps/alpha/alpha/patches")
        os.mkdir(patches)
        with open(os.path.join(patches, "raises.py"), "w", encoding="utf-8") as file:
            file.write('def execute():\n    raise Exception("as it says")\n')
        self.environment["STANDIN_PATCHES"] = "p1 alpha.patches.raises p3"
        self.fails("Exception: as it says", *self.migrate())
        self.assertEqual(self.state()["patches_run"], {"p1": 1})
        said = self.works(*self.migrate("--skip-failing"))
        self.assertGreaterEqual(said.count("Updating DocTypes for frappe"), 100)
        self.assertEqual(self.state()["patches_run"], {"p1": 1, "alpha.patches.raises": 1, "p3": 1})

    def test_resumes(self):
        self.environment["STANDIN_PATCHES"] = "p1 p2 p3 p4"
        self.stop("migrate:patches", *self.migrate())
        self.assertEqual(self.state()["patches_run"], {"p1": 1, "p2": 1})
        self.stop("migrate:schema", *self.migrate())
        self.works(*self.migrate())
        self.assertEqual(self.state()["patches_run"], {"p1": 1, "p2": 1, "p3": 1, "p4": 1})

    def test_somebody_is_still_migrating(self):
        first = self.start(*self.migrate(), STANDIN_STOP_AT="migrate:schema")
        wait_until(lambda: os.path.exists(os.path.join(self.db, "stopped-at")))
        self.fails("LockTimeoutError", *self.migrate())
        self.end(first)
        self.assertTrue(os.path.exists(self.path("a.localhost/locks/bench_migrate.lock")))
        self.works(*self.migrate())

    def test_succeeds_without_an_administrator(self):
        self.stop("new-site:administrator", *self.new_site(site="b.localhost"))
        self.works("--site", "b.localhost", "migrate")
        self.assertFalse(self.state("b.localhost")["whole"])

    def test_all_sites_until_one_fails(self):
        self.stop("new-site:database", *self.new_site(site="b.localhost"))
        self.works(*self.new_site(site="c.localhost"))
        self.fails("1044", "--site", "all", "migrate")
        self.assertEqual([self.state(site)["listed_apps"] for site in ("a.localhost", "c.localhost")], [["frappe"], []])

    def test_the_server_goes_on_after_a_kill(self):
        process = self.start(*self.migrate(), STANDIN_ALTER_SECS="1.5")
        altering = os.path.join(self.db, "altering-" + self.state()["db_name"])
        wait_until(lambda: os.path.exists(altering))
        self.end(process)
        self.fails("1205", "drop-site", "a.localhost", "--no-backup", *ROOT, lock_wait_secs=1)
        began = time.monotonic()
        self.works(*self.migrate())
        self.assertGreater(time.monotonic() - began, 0.5)

    def test_failures(self):
        failing = {"STANDIN_FAIL_AT": "migrate:patches:2", "STANDIN_PATCHES": "p1"}
        self.assertIn("db_password = ", self.fails("Failed", *self.migrate(), **failing))
        self.works(*self.migrate("--skip-failing"), **failing)
        self.works(*self.migrate(), **failing)

    def test_needs_the_cache(self):
        for url in ("redis://127.0.0.1:1", "redis://127.0.0.1"):
            self.works("set-config", "-g", "redis_cache", url)
            self.fails("redis_cache is not running", *self.migrate())

    def test_maintenance_and_jobs_are_those_of_the_first_site(self):
        self.works(*self.new_site(site="b.localhost"))
        self.works("--site", "all", "set-maintenance-mode", "on")
        self.assertEqual([self.state(site)["maintenance"] for site in ("a.localhost", "b.localhost")], [1, 0])
        self.works(*self.migrate())
        self.assertEqual(self.state()["maintenance"], 1)
        self.touch("queued-b.localhost")
        self.works("--site", "all", "ready-for-migration")
        self.touch("queued-a.localhost")
        self.fails("NOT READY", "--site", "all", "ready-for-migration")
        self.works("--site", "a.localhost", "enable-scheduler")
        self.assertEqual(self.state()["scheduler"], "1")

    def test_backup_and_restore(self):
        self.check("--plant", "data")
        self.works("--site", "a.localhost", "backup")
        directory = self.path("a.localhost/private/backups")
        dump = os.path.join(directory, os.listdir(directory)[0])
        self.assertRegex(dump, r"/\d{8}_\d{6}-a_localhost-database\.sql\.gz$")
        self.check("--plant", "more")
        self.works("--site", "a.localhost", "restore", dump, *ROOT)
        self.assertEqual(self.state()["canary"], ["data"])
        shutil.rmtree(directory)
        self.stop("backup:dump", "--site", "a.localhost", "backup")
        half = os.path.join(directory, os.listdir(directory)[0])
        self.fails("EOFError", "--site", "a.localhost", "restore", half, *ROOT)


class Assets(Case):
    BENCH = ("--apps-txt", "--baked-assets")

    def test_the_manifest_comes_first(self):
        self.stop("build:manifest", "build", "--production")
        assets = self.check()["assets"]
        self.assertEqual((assets["kind"], assets["complete"], len(assets["missing"])), ("dir", False, 3))
        self.works("build")
        self.assertTrue(self.check()["assets"]["complete"])

    def test_children_outlive_their_parent(self):
        self.stop("build:manifest", "build")
        self.assertFalse(self.check()["assets"]["complete"])
        self.touch("go-on")
        wait_until(lambda: self.check()["assets"]["complete"])

    def test_writes_through_a_link_into_the_image(self):
        baked = os.path.join(self.bench, "assets")
        os.symlink(baked, self.path("assets"))
        self.assertTrue(self.check()["assets"]["complete"])
        self.tool("make-bench", self.bench, "--rev", "v2", "--baked-assets")
        self.works("build")
        assets = self.check()["assets"]
        self.assertEqual((assets["kind"], assets["target"], assets["complete"]), ("link", baked, True))

    def test_another_image_has_other_bundles(self):
        self.works("build")
        other = os.path.join(self.dir, "other")
        self.tool("make-bench", other, "--sites", self.sites, "--rev", "v2")
        for app in ("frappe", "alpha", "beta"):
            os.unlink(self.path("assets", app))
            os.symlink(os.path.join(other, "apps", app, app, "public"), self.path("assets", app))
        self.assertEqual(len(self.check()["assets"]["missing"]), 3)

    def test_temporary_files_are_told(self):
        self.touch(".assets.tmp-1", self.sites)
        self.assertEqual(self.check()["left_over"], [".assets.tmp-1"])
