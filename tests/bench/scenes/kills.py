"""Scenes in which the leader ends in the middle of a command, and another replica goes on."""

from .image import SLOW
from .place import SITES
from .telling import need

NO_BUILD = {"BELLWETHER_ASSETS": "skip"}


def run_until(world, what, moment, assets=False):
    """A fresh start, up to a moment: the leader and the others."""
    world.environment = {} if assets else NO_BUILD
    replicas = world.start()
    world.until(what, moment)
    leader = world.leader(replicas)
    return leader, [replica for replica in replicas if replica is not leader]


def go_on(world, rest, reference, whole, assets=False):
    """Another replica brings the same end, and touches no site that was whole."""
    world.until_serving(rest)
    calls = world.calls(rest)
    world.say("after the blow: " + ", ".join(calls))
    touched = [call for call in calls if call in ("new-site", "drop-site")]
    need(not (whole and touched), "the site was whole, and then: %s" % touched)
    found = world.end_state(assets=assets)
    world.need_same(reference, found)
    if whole:
        world.need_canary("there before the kill")


def killed(world, reference, what, moment, assets=False):
    leader, rest = run_until(world, what, moment, assets)
    whole = world.kill(leader, what)
    go_on(world, rest, reference, whole, assets)
    return world.calls([leader]), world.calls(rest)


# new-site


def new_site_at_config(world, reference):
    world.place.hold("new-site:config")
    killed(world, reference, "site_config.json is just there", lambda: world.has(SITES[0] + "/site_config.json"))


def new_site_at_tables(world, reference):
    world.place.hold("new-site:schema")
    _, after = killed(world, reference, "the first tables are there", world.tables)
    need(after[:2] == ["drop-site", "new-site"], "what was half-made was not removed: %s" % after)


def new_site_half_way(world, reference):
    """Of the framework's tables, if it is known how many there are."""
    world.place.hold("new-site:administrator")
    half = len(reference["tables"]) // 2 if reference else 9
    killed(world, reference, "half of the tables are there", lambda: len(world.tables()) > half)


def new_site_at_the_end(world, reference):
    world.place.hold("new-site:finish")
    _, after = killed(world, reference, "Administrator has just got a password", world.is_whole)
    need("new-site" not in after, "it was whole, and created again")


# install-app


def install_app_in_sync(world, reference):
    world.place.hold("install-app:sync")

    def moment():
        return "Alpha" in world.rows("module", "tabDocType") and "alpha" not in world.installed()

    _, after = killed(world, reference, "alpha's types are there, and it does not count as installed", moment)
    need("install-app alpha --force" in after, "what was interrupted was not installed with --force: %s" % after)


def install_app_in_hook(world, reference):
    world.place.hold("install-app:after_install")
    what = "alpha counts as installed, and its after_install runs"
    _, after = killed(world, reference, what, lambda: "alpha" in world.installed())
    need("install-app alpha --force" in after, "its hook would never have run: %s" % after)


# migrate


def migrate_at_lock(world, reference):
    world.place.hold("migrate:patches")
    what = "migrate holds its lock"
    killed(world, reference, what, lambda: world.is_locked(SITES[0], "bench_migrate"))


def migrate_in_patch(world, reference):
    """Of a second revision; the first one's site has its data already."""
    world.environment = NO_BUILD
    first = world.start(1)
    world.until_serving(first)
    world.plant("there before the kill")
    world.place.image.add_patch("slow", SLOW % 3)
    replicas = world.start(rev="v2")
    leader = world.leader(replicas)
    world.until_said(leader, "scenario: a patch begins")
    world.kill(leader, "alpha's patch of v2 runs")
    rest = [replica for replica in replicas if replica is not leader]
    world.until_serving(rest)
    need(world.calls(rest) == ["migrate", "clear-cache"], "after the kill: %s" % world.calls(rest))
    found = world.end_state(rev="v2", assets=False)
    patches = world.rows("patch", "tabPatch Log")
    need(patches.count("alpha.patches.slow") == 1, "the patch is logged %d times" % patches.count("alpha.patches.slow"))
    found["patches"].remove("alpha.patches.slow")
    world.need_same(reference, found)
    world.need_canary("there before the kill")


# build


def is_building(world):
    """node is at work."""
    return any("node" in line for replica in world.replicas for _, line in replica.processes())


def build_in_node(world, reference):
    world.place.hold("build:manifest")
    killed(world, reference, "node builds", lambda: is_building(world), assets=True)


def build_at_manifest(world, reference):
    world.place.hold("build:bundles")
    killed(world, reference, "the manifest is there", lambda: world.has("assets/assets.json"), assets=True)


# SIGTERM


def terminated(world, reference, what, moment):
    leader, rest = run_until(world, what, moment, assets=True)
    # Afterwards it would be too late: the next leader begins at once.
    whole = world.is_whole()
    if whole:
        world.plant("there before the kill")
    world.terminate(leader, what)
    go_on(world, rest, reference, whole, assets=True)


def term_in_migrate(world, reference):
    world.place.hold("migrate:patches")
    what = "migrate holds its lock"
    terminated(world, reference, what, lambda: world.is_locked(SITES[0], "bench_migrate"))


def term_in_build(world, reference):
    world.place.hold("build:bundles")
    terminated(world, reference, "node builds", lambda: is_building(world))
