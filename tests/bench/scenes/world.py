"""A scene's world: the place, the replicas that were started there, and what can be seen of them."""

import json
import os
import time

from .asker import Asker
from .place import SITES
from .replica import Replica
from .telling import need

MARKERS = (".configured_", ".site_created_", ".apps_installed_", ".migrated_", ".assets_built_", ".ready_")
# How long is waited for anything with the stand-in.
LIMIT = 60
LOOK_EVERY = 0.01


class World:
    def __init__(self, place, teller):
        self.place = place
        self.teller = teller
        self.say = teller.say
        self.replicas = []
        self.environment = {}
        self.letters = iter("abcdefghijklmnopqrstuvwxyz")
        self.asker = None

    # Replicas

    def start(self, count=3, rev="v1", **environment):
        """That many replicas at once; returns them."""
        self.say("start %s of revision %s" % ("one replica" if count == 1 else "%d replicas" % count, rev))
        new = []
        for _ in range(count):
            name = next(self.letters)
            given = {**self.place.environment(), **self.environment, "IMAGE_REV": rev, **environment}
            words = [*self.place.prefix(), self.place.bellwether, "run"]
            new.append(Replica.start(name, words, given, os.path.join(self.place.scratch, "replica-" + name)))
        self.replicas += new
        return new

    def until(self, what, condition, limit=LIMIT):
        """Tells what replicas say until there is a true answer, which it returns."""
        deadline = time.monotonic() + limit * self.place.patience
        while True:
            found = condition()
            for replica in self.replicas:
                replica.tell(self.teller)
            if found:
                return found
            need(time.monotonic() < deadline, "nothing came of it in time: " + what)
            time.sleep(LOOK_EVERY)

    def until_serving(self, replicas):
        """All of them, none having ended."""
        def served():
            ended = [replica.name for replica in replicas if not replica.is_running]
            need(not ended, "ended without serving: %s" % ", ".join(ended))
            return all(replica.serves for replica in replicas)

        self.until("that all serve", served)
        self.say("%s serve" % ", ".join(replica.name for replica in replicas))

    def until_ended(self, replicas, code):
        self.until("that they end", lambda: not any(replica.is_running for replica in replicas))
        codes = [replica.process.returncode for replica in replicas]
        self.say("%s ended with %s" % (", ".join(replica.name for replica in replicas), codes))
        need(set(codes) == {code}, "ended with %s, not with %d" % (codes, code))

    def leader(self, replicas=None):
        """Of the replicas the one that leads."""
        among = replicas or self.replicas

        def found():
            return next((one for one in among if one.leads and one.is_running), None)

        return self.until("that somebody leads", found)

    def until_said(self, replica, text):
        self.until("that it says %r" % text, lambda: text in replica.log())

    def calls(self, replicas=None):
        """The commands that were run, without options: `new-site`, `install-app alpha` …"""
        return [short(call) for replica in replicas or self.replicas for call in replica.calls()]

    def logs(self):
        return {replica.name: replica.log() for replica in self.replicas}

    def need_build(self, calls):
        """Once, if at all; it is taken out of the calls, since it may come anywhere among them."""
        times = calls.count("build")
        need(times == int(self.place.builds), "built %d times" % times)
        calls[:] = [call for call in calls if call != "build"]

    def stop_all(self):
        for replica in self.replicas:
            replica.kill()
        self.replicas = []

    def close(self):
        self.stop_all()
        if self.asker:
            self.asker.close()
        self.place.image.restore()

    # What there is

    def ask(self, query, *values):
        if self.asker is None:
            place = self.place
            self.asker = Asker(place.python, place.server(), place.environment_of_owner(), place.as_owner())
        return self.asker.ask(query, *values)

    def tables(self, site=SITES[0]):
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
        return sorted(row[0] for row in self.ask(query, self.place.database_of(site)))

    def rows(self, column, table, site=SITES[0]):
        return [row[0] for row in self.ask("SELECT %s FROM `%s`.`%s`" % (column, self.place.database_of(site), table))]

    def is_whole(self, site=SITES[0]):
        administrator = "doctype = 'User' AND name = 'Administrator' AND fieldname = 'password'"
        query = "SELECT 1 FROM `%s`.`__Auth` WHERE %s" % (self.place.database_of(site), administrator)
        return bool(self.ask(query))

    def installed(self, site=SITES[0]):
        query = "SELECT defvalue FROM `%s`.`tabDefaultValue` WHERE defkey = 'installed_apps' AND parent = '__global'"
        rows = self.ask(query % self.place.database_of(site))
        return json.loads(rows[0][0]) if rows else []

    def has(self, name):
        return os.path.lexists(self.path(name))

    def path(self, name):
        return os.path.join(self.place.sites, name)

    def is_locked(self, site, name):
        """Whether somebody holds a lock of bench's, seen without touching it."""
        try:
            inode = os.stat(self.path("%s/locks/%s.lock" % (site, name))).st_ino
        except OSError:
            return False
        with open("/proc/locks", encoding="utf-8") as file:
            return any(":%d " % inode in line for line in file)

    def maintenance(self, site=SITES[0]):
        try:
            with open(self.path(site + "/site_config.json"), encoding="utf-8") as file:
                return int(json.load(file).get("maintenance_mode") or 0)
        except (OSError, ValueError):
            return None

    def plant(self, text, site=SITES[0]):
        self.place.check("--site", site, "--plant", text)
        self.say("canary %r planted in %s" % (text, site))

    # Blows

    def kill(self, replica, when):
        """All its processes at once; a canary is planted if its site is whole. Returns whether it was."""
        # A real bench goes on meanwhile, and the next leader soon after: whoever holds still is asked before.
        before = self.is_whole() if self.place.holds else None
        gone = replica.kill()
        self.place.release()
        replica.tell(self.teller)
        whole = self.is_whole() if before is None else before
        self.say("SIGKILL of %s, %s: %d processes at once; the site is %s"
                 % (replica.name, when, gone, "whole" if whole else "not whole"))
        if whole and "canary" not in self.tables():
            self.plant("there before the kill")
        return whole

    def terminate(self, replica, when):
        """And no process of it is left when it has ended."""
        before = replica.processes()
        self.say("SIGTERM to %s, %s, %d processes: %s" % (replica.name, when, len(before), kinds(before)))
        replica.terminate()
        replica.process.wait()
        left = replica.processes()
        self.place.release()
        replica.tell(self.teller)
        code = replica.process.returncode
        self.say("%s ended with %d; left behind: %s" % (replica.name, code, kinds(left) or "nothing"))
        need(not left, "processes are left: %s" % left)
        need(code == 143, "ended with %d, not with 143" % code)

    # The end

    def end_state(self, rev="v1", sites=SITES[:1], apps=("frappe", "alpha", "beta"), assets=True, maintenance=0):
        """What everything must have come to; returns what can be compared with another run's."""
        for marker in MARKERS:
            need(self.has(marker + rev), "there is no marker %s%s" % (marker, rev))
        in_progress = [name for name in os.listdir(self.place.sites) if "_in_progress_" in name]
        need(not in_progress, "markers are left: %s" % in_progress)
        assets = assets and self.place.builds
        found = self.place.check()
        need(sorted(found["sites"]) == sorted(sites), "the sites are %s" % sorted(found["sites"]))
        for name, site in found["sites"].items():
            need(site["whole"], "%s is not whole: %s" % (name, site))
            need(site["apps"] and sorted(site["apps"]) == sorted(apps), "the apps of %s are %s" % (name, site["apps"]))
            need(site["maintenance"] == maintenance, "maintenance of %s is %s" % (name, site["maintenance"]))
            for app in apps[1:]:
                runs = self.place.count_of_hooks(self.ask, self.place.database_of(name), app)
                need(runs == 1, "after_install of %s in %s has run %d times to its end" % (app, name, runs))
        need(found["default_site"] == sites[0], "the default site is %s" % found["default_site"])
        in_order = sorted(apps, key=lambda app: (app != "frappe", app))
        need(found["apps_txt"] == in_order, "apps.txt: %s" % found["apps_txt"])
        need(found["assets"]["complete"] or not assets, "the assets are %s" % found["assets"])
        left = [name for name in found["others"] if not name.startswith(".")] + found["left_over"]
        need(not left, "left on the volume: %s" % left)
        self.say("the checker: %s whole, %s, maintenance %d%s" % (
            ", ".join(sites), " ".join(apps), maintenance, ", assets complete" if assets else ""))
        return self.fingerprint(sites[0])

    def fingerprint(self, site):
        """A site's database, as far as two runs must agree."""
        tables = [table for table in self.tables(site) if table != "canary"]
        return {
            "tables": tables,
            "doctypes": sorted(self.rows("name", "tabDocType", site)),
            "patches": sorted(set(self.rows("patch", "tabPatch Log", site))),
            "listed apps": sorted(self.rows("app_name", "tabInstalled Application", site)),
        }

    def need_same(self, reference, found):
        """Nothing to compare with, if the scene of the cold boot was not played."""
        if reference is None:
            return
        for key, value in found.items():
            lacks, has = sorted(set(reference[key]) - set(value)), sorted(set(value) - set(reference[key]))
            need(not lacks and not has, "%s differ from the cold boot's: lacks %s, has %s" % (key, lacks[:5], has[:5]))
        self.say("the same as after the cold boot: %s" % ", ".join("%d %s" % (len(found[key]), key) for key in found))

    def need_canary(self, *texts, site=SITES[0]):
        rows = sorted(self.rows("value", "canary", site))
        need(rows == sorted(texts), "of the canaries %s there are %s" % (texts, rows))
        self.say("canary %s in %s" % (" and ".join(map(repr, texts)), site))


def short(call):
    words = [word for word in call.split()[1:] if not word.startswith("-")]
    if " --site " in call:
        words = words[1:]
    forced = " --force" if words[0] == "install-app" and "--force" in call else ""
    return " ".join(words[: 2 if words[0] == "install-app" else 1]) + forced


def kinds(processes):
    """Of a list of processes the programs: `2 bellwether, 1 node`."""
    names = []
    for _, line in processes:
        words = line.split()
        name = os.path.basename(words[0]) if words else "?"
        names.append("yarn" if "yarn" in line else "node" if "node" in name or "standin.node" in line else name)
    return ", ".join("%d %s" % (names.count(name), name) for name in sorted(set(names)))
