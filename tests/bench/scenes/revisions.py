"""Scenes with a second revision, and with a third that fails."""

import re

from .image import RAISING, WELL
from .place import SITES
from .telling import need

NO_BUILD = {"BELLWETHER_ASSETS": "skip"}


def second_revision(world):
    """A new app and a new patch: apps, migrate and assets again, and not site; maintenance as it was."""
    old = world.start()
    world.until_serving(old)
    world.plant("there before v2")
    # As the scheduler does now and then: the cache learns which modules v1 has.
    world.place.shell("bench --site %s execute frappe.get_installed_apps" % SITES[0])
    world.place.image.add_gamma()
    world.place.image.add_patch("second", WELL)
    world.place.slow("migrate:patches=1500")
    new = world.start(rev="v2")
    world.until("that maintenance mode is on", lambda: world.maintenance() == 1)
    world.say("maintenance mode is on while v2 migrates; v1 serves: %s" % all(replica.is_running for replica in old))
    world.until_serving(new)
    calls = world.calls(new)
    world.need_build(calls)
    expected = ["install-app gamma", "migrate", "clear-cache"]
    need(calls == expected, "the commands were %s" % calls)
    world.end_state(rev="v2", apps=("frappe", "alpha", "beta", "gamma"))
    need("alpha.patches.second" in world.rows("patch", "tabPatch Log"), "the patch of v2 has not been run")
    stay_in_maintenance(world)
    world.need_canary("there before v2")


def stay_in_maintenance(world):
    """What was on before stays on."""
    world.place.shell("bench --site %s set-maintenance-mode on" % SITES[0])
    world.environment = NO_BUILD
    new = world.start(1, rev="v3")
    world.until_serving(new)
    need("maintenance mode off" not in new[0].log(), "it was switched off")
    world.end_state(rev="v3", apps=("frappe", "alpha", "beta", "gamma"), maintenance=1, assets=False)


def failed_migration(world):
    """v3 fails: 78, maintenance on, a backup. v2 says how to go back; that is done; v3 is repaired and goes on."""
    world.environment = {**NO_BUILD, "BELLWETHER_BACKUP": "1"}
    image = world.place.image
    world.until_serving(world.start(1, rev="v2"))
    world.plant("there before v3")
    world.stop_all()
    image.add_patch("third_well", WELL)
    image.add_patch("third_raising", RAISING)
    failed = world.start(rev="v3")
    world.until_ended(failed, 78)
    need(world.maintenance() == 1, "maintenance mode is not on")
    patches = world.rows("patch", "tabPatch Log")
    need("alpha.patches.third_well" in patches, "the patch before the one that raises is not logged")
    need(world.calls(failed).count("migrate") == 1, "migrate was repeated")
    world.say("maintenance mode is on, migrate was run once, one patch of two is in the Patch Log")
    world.until_ended(world.start(1, rev="v3"), 78)
    world.plant("there after the backup")
    go_back(world)
    go_forward(world)


def go_back(world):
    """As the older revision says it."""
    old = world.start(1, rev="v2")
    world.until_serving(old)
    lines = re.findall(r"(cd .* && bench --site .*)$", old[0].log(), re.MULTILINE)
    need(lines, "the older revision says no command: %s" % old[0].log())
    for line in dict.fromkeys(line.strip() for line in lines):
        world.say("by hand: " + line)
        output = world.place.shell(line, stdin=world.place.root_password + "\n")
        world.say("it says: " + " / ".join(output.strip().split("\n")[-2:]))
    patches = world.rows("patch", "tabPatch Log")
    need("alpha.patches.third_well" not in patches, "the database is not the one from before")
    need(world.maintenance() == 0, "maintenance mode is still on")
    need(world.is_whole(), "the site is not whole")
    world.need_canary("there before v3")
    world.stop_all()


def go_forward(world):
    """Repaired, and `retry`."""
    world.plant("there after going back")
    world.until_ended(world.start(1, rev="v3"), 78)
    world.place.image.change_patch("third_raising", WELL)
    code, text = world.place.bellwether_says("retry", IMAGE_REV="v3", **world.environment)
    world.say("bellwether retry: %d: %s" % (code, text.strip().split("\n")[0]))
    need(code == 0, "retry ended with %d: %s" % (code, text))
    again = world.start(rev="v3")
    world.until_serving(again)
    calls = world.calls(again)
    world.say("after retry: " + ", ".join(calls))
    need("backup" in calls, "the old backup lacks what came in since, and no new one was taken")
    patches = world.rows("patch", "tabPatch Log")
    need({"alpha.patches.third_well", "alpha.patches.third_raising"} <= set(patches), "patches are missing")
    world.end_state(rev="v3", assets=False)
    world.need_canary("there before v3", "there after going back")
