"""clear-cache, clear-website-cache; whether the cache answers at all."""

import contextlib
import json

from .. import database, options, place

SECONDS = 2


def known_apps(config):
    """Whose modules a process knows from its beginning to its end.

    Hazard: what the cache says goes before the file, so that nothing is known of an app that the image has got since.
    """
    if "redis_cache" not in config or not answers(config):
        return place.apps()
    with connected(config) as redis:
        key = "%s|app_modules" % config["db_name"]
        if not redis.exists(key):
            redis.set(key, json.dumps(place.apps()))
        return json.loads(redis.get(key))


def forget(config):
    """What the cache holds of this site."""
    if "redis_cache" in config and answers(config):
        with connected(config) as redis:
            for key in redis.keys("%s|*" % config["db_name"]):
                redis.delete(key)


def clear_cache(context):
    """Hazard: leaves `assets_json`, so that pages go on naming the bundles of the image before."""
    clear(context, "")


def clear_website_cache(context):
    clear(context, "website")


def clear(context, beginning):
    """A cache that does not answer is no failure."""
    options.parse(context.words)
    for site in context.need_sites():
        config = place.config_of(site)
        with contextlib.closing(database.of_site(config)):
            context.run.phase("clear")
        if "redis_cache" in config and answers(config):
            with connected(config) as redis:
                for key in redis.keys("%s|%s*" % (config["db_name"], beginning)):
                    redis.delete(key)


def connected(config):
    from redis import Redis

    return Redis.from_url(config["redis_cache"], socket_timeout=SECONDS, socket_connect_timeout=SECONDS)


def answers(config):
    """A bench that names no cache is not asked for one here. Hazard: a URL without a port is not understood."""
    from urllib.parse import urlsplit

    if "redis_cache" not in config:
        return True
    if urlsplit(config["redis_cache"]).port is None:
        return False
    from redis import RedisError

    try:
        with connected(config) as redis:
            return redis.ping()
    except RedisError:
        return False
