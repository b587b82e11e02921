"""Scenes in which nothing goes wrong: a cold boot, a warm start, two sites."""

import os
import time

from .telling import need

# Everything of a first boot but the build, which runs beside it.
COLD = ["new-site", "install-app alpha", "install-app beta", "migrate", "clear-cache"]


def cold_boot(world):
    """Three replicas on an empty volume: every command once, everything there, all serve."""
    replicas = world.start()
    world.until_serving(replicas)
    calls = world.calls()
    world.need_build(calls)
    need(calls == COLD, "the commands were %s" % calls)
    need(sum(replica.leads for replica in replicas) == 1, "not one of them led")
    bars = sum(replica.log().count("Updating DocTypes") for replica in replicas)
    need(bars < 60, "%d lines of bars of progress" % bars)
    found = world.end_state()
    world.plant("there before the rest")
    world.need_canary("there before the rest")
    return found


def warm_start(world):
    """With Redis and the database down, and no Python to call bench with: all serve at once."""
    world.until_serving(world.start())
    world.stop_all()
    place = world.place
    place.down()
    world.say("database and both Redises are down, and the bench's Python is away")
    os.rename(place.python, place.python + ".away")
    try:
        begun = time.monotonic()
        replicas = world.start()
        world.until_serving(replicas)
        took = time.monotonic() - begun
    finally:
        os.rename(place.python + ".away", place.python)
        place.up()
    calls = world.calls(replicas)
    need(not calls, "bench was called: %s" % calls)
    world.say("three warm starts took %.2f s together; no bench call" % took)


def two_sites(world):
    """Side by side; one record for both, and the first is the default."""
    sites = ("a.localhost", "b.localhost")
    both = {"SITE": sites[0], "SITES": " ".join(sites), "BELLWETHER_SITE_JOBS": "2"}
    world.environment = {**both, "BELLWETHER_ASSETS": "skip"}
    world.place.slow("new-site:schema=1500")
    replicas = world.start()
    world.until("that both have tables", lambda: all(world.tables(site) for site in sites))
    world.kill(world.leader(), "both sites are half-made")
    rest = [replica for replica in replicas if replica.is_running]
    world.until_serving(rest)
    calls = world.calls(rest)
    for command in ("install-app alpha", "install-app beta", "migrate"):
        need(calls.count(command) == 2, "%s was run %d times" % (command, calls.count(command)))
    world.end_state(sites=sites, assets=False)
    for site in sites:
        world.plant("in " + site, site)
    _, status = world.place.bellwether_says("status", IMAGE_REV="v1", **world.environment)
    for line in status.split("\n"):
        if line.startswith("    "):
            world.say("status: " + line.strip())
    need(status.count("b.localhost  done") == 3, "status does not tell of each site: %s" % status)
