"""Scenes with a site that was there before us."""

import os
import subprocess

from .place import SITES
from .replica import Replica
from .telling import need

NO_BUILD = {"BELLWETHER_ASSETS": "skip"}


def prepare(world):
    """What a volume from before us has: what all sites share."""
    world.environment = {**NO_BUILD, "SITE": SITES[1]}
    world.until_serving(world.start(1, rev="v0"))
    world.stop_all()
    world.environment = NO_BUILD


def whole_site(world):
    """Made by hand: adopted as it is."""
    prepare(world)
    world.place.shell(world.place.by_hand(SITES[0]))
    world.say("%s made by hand: whole %s, apps %s" % (SITES[0], world.is_whole(), world.installed()))
    world.plant("made by hand")
    replicas = world.start()
    world.until_serving(replicas)
    calls = world.calls(replicas)
    need(not any(call in ("new-site", "drop-site") for call in calls), "it was not left alone: %s" % calls)
    need(calls.count("install-app alpha") == 1, "the commands were %s" % calls)
    world.need_canary("made by hand")
    need(world.is_whole(), "it is not whole any more")


def half_made_site(world):
    """Begun by hand and killed: refused, and not touched."""
    prepare(world)
    world.place.hold("new-site:schema")
    place = world.place
    directory = os.path.join(place.scratch, "by-hand")
    os.makedirs(directory)
    environment = {**place.environment_of_owner(), "SCENARIO_REPLICA": directory}
    words = [*place.as_owner(), "sh", "-c", place.by_hand(SITES[0])]
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(words, cwd=place.bench, env=environment, stdin=nothing, stdout=nothing, stderr=nothing)
    world.until("that tables are there", world.tables)
    Replica("by hand", "SCENARIO_REPLICA=%s" % directory, process, directory).kill()
    place.release()
    before = (world.tables(), listing(world.path(SITES[0])))
    world.say("killed by hand: %d tables, whole %s" % (len(before[0]), world.is_whole()))
    refused = world.start()
    world.until_ended(refused, 78)
    calls = world.calls(refused)
    need(not calls, "commands were run: %s" % calls)
    need("neither whole" in "".join(replica.log() for replica in refused), "it does not say why")
    need((world.tables(), listing(world.path(SITES[0]))) == before, "something was touched")
    world.say("directory and database are as they were")


def listing(directory):
    found = []
    for path, _, names in os.walk(directory):
        found += [(os.path.join(path, name), os.stat(os.path.join(path, name)).st_mtime_ns) for name in names]
    return sorted(found)
