"""set-config, use, set-maintenance-mode, enable-scheduler, disable-scheduler.

Hazard: all that write a file truncate it first.
"""

import contextlib
import os

from .. import database, options, place, schema


def set_config(context):
    """Hazard: the lock for the common file is in the image, not on the volume."""
    given, words = options.parse(context.words, ("-g/--global", "-p/--parse", "--as-dict"))
    if len(words) != 2:
        options.refuse("Missing argument 'KEY' or 'VALUE'.")
    key, value = words
    value = literal(value) if given.get("parse") else number_or_text(value)
    if given.get("global"):
        with place.lock(os.path.join(place.bench(), "config"), "common_site_config", timeout=1):
            place.rewrite(context.run, place.COMMON, {**place.common_config(), key: value})
        return
    for site in context.need_sites():
        set_in_site(context.run, site, key, value)


def literal(value):
    import ast

    return ast.literal_eval(value)


def number_or_text(value):
    try:
        return int(value)
    except ValueError:
        return value


def set_in_site(run, site, key, value):
    config = place.config_of(site)
    run.password = config["db_password"]
    path = place.site_config_path(site)
    with place.lock(os.path.join(site, "locks"), "site_config", timeout=1):
        place.rewrite(run, path, {**place.read_config(path), key: value})


def use(context):
    _, words = options.parse(context.words)
    if not words:
        options.refuse("Missing argument 'SITE'.")
    if not os.path.isdir(words[0]):
        print("Site %s does not exist" % words[0])
        return 1
    place.rewrite(context.run, place.COMMON, {**place.common_config(), "default_site": words[0]})
    print("Current Site set to %s" % words[0])
    return 0


def set_maintenance_mode(context):
    """Hazard: the first site only."""
    _, words = options.parse(context.words)
    if words not in (["on"], ["off"]):
        options.refuse("Invalid value for '{on|off}'.")
    set_in_site(context.run, context.first_site, "maintenance_mode", int(words == ["on"]))


def enable_scheduler(context):
    return set_scheduler(context, "1", "Enabled")


def disable_scheduler(context):
    return set_scheduler(context, "0", "Disabled")


def set_scheduler(context, value, word):
    options.parse(context.words)
    for site in context.need_sites():
        with contextlib.closing(database.of_site(place.config_of(site))) as db:
            schema.set_single(db, "System Settings", "enable_scheduler", value)
        print("%s for %s" % (word, site))
