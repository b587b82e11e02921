"""What a bench and its sites keep in files."""

import contextlib
import fcntl
import json
import os
import time

from frappe.exceptions import IncorrectSitePath
from frappe.utils.file_lock import LockTimeoutError

from . import environ

COMMON = "common_site_config.json"

# What the environment overrides, whatever the files say.
OVERRIDES = {
    "FRAPPE_DB_HOST": "db_host",
    "FRAPPE_DB_PORT": "db_port",
    "FRAPPE_DB_TYPE": "db_type",
    "FRAPPE_REDIS_CACHE": "redis_cache",
    "FRAPPE_REDIS_QUEUE": "redis_queue",
}


def bench():
    """The directory of the image. `sites/` may be a volume, and so elsewhere."""
    return environ.text("STANDIN_BENCH") or os.path.dirname(os.getcwd())


def apps():
    """Those that `apps.txt` lists. Hazard: an app of the image that it does not list is unknown."""
    with open("apps.txt", encoding="utf-8") as file:
        return [line.strip() for line in file if line.strip()]


def package(app):
    return os.path.join(bench(), "apps", app, app)


def common_config():
    """Hazard: while somebody rewrites the file there is no JSON in it, and bench crashes."""
    return read_config(COMMON)


def read_config(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.loads(file.read())
    except FileNotFoundError:
        return {}


def rewrite(run, path, config):
    """Hazard: truncates, then writes. Whoever reads or kills in between has an empty file."""
    with open(path, "w", encoding="utf-8") as file:
        run.phase("write")
        json.dump(config, file, indent=1, sort_keys=True)


def default_site():
    return environ.text("FRAPPE_SITE") or common_config().get("default_site")


def all_sites():
    return sorted(name for name in os.listdir(".") if os.path.isfile(os.path.join(name, "site_config.json")))


def site_config_path(site):
    return os.path.join(site, "site_config.json")


def config_of(site):
    """All settings of a site. Without its own file there is no site."""
    if not os.path.isfile(site_config_path(site)):
        raise IncorrectSitePath("Site %s does not exist!" % site)
    config = {**common_config(), **read_config(site_config_path(site))}
    for variable, key in OVERRIDES.items():
        if environ.text(variable):
            config[key] = environ.text(variable)
    return config


@contextlib.contextmanager
def lock(directory, name, timeout):
    """Hazard: gives up soon, which says that somebody else is at work. The file stays, and means nothing."""
    path = os.path.join(directory, name + ".lock")
    os.makedirs(directory, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        deadline = time.monotonic() + environ.scaled(timeout)
        while not try_lock(file):
            if time.monotonic() >= deadline:
                text = "Failed to aquire lock: %s. Lock may be held by another process.<br>%s" % (name, path)
                raise LockTimeoutError(text)
            time.sleep(0.01)
        yield


def try_lock(file):
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
