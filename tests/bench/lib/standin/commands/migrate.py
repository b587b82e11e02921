"""migrate, ready-for-migration."""

import contextlib
import importlib
import json
import os
import sys

from .. import database, environ, options, place, progress, schema
from ..run import Failed
from . import cache


def migrate(context):
    """Hazard: with several sites the first failure ends it."""
    given, _ = options.parse(context.words, ("--skip-failing", "--skip-search-index"))
    for site in context.need_sites():
        print("Migrating %s" % site)
        migrate_site(context.run, site, given.get("skip-failing", False))


def migrate_site(run, site, skip_failing):
    config = place.config_of(site)
    run.password = config["db_password"]
    if not cache.answers(config):
        print("Service redis_cache is not running.")
        sys.exit(1)
    with contextlib.closing(database.of_site(config)) as db:
        with place.lock(os.path.join(site, "locks"), "bench_migrate", timeout=0.2):
            run_patches(run, db, skip_failing)
            change_schema(run, db)
            finish(run, db, site)


def run_patches(run, db, skip_failing):
    """Resumes by the Patch Log: each patch and its line there are one transaction.

    Hazard: --skip-failing hides failures.
    """
    pending = pending_patches(db, schema.installed_apps(db))
    half = len(pending) // 2
    for number, patch in enumerate([*pending, None]):
        if number == half:
            with contextlib.suppress(*([Failed] if skip_failing else [])):
                run.phase("patches")
        if patch is not None:
            print("Executing %s" % patch)
            execute_patch(patch, skip_failing)
            db.sql("INSERT INTO `patches_run` (patch) VALUES (%s)", (patch,))
            schema.log_patch(db, patch)
            db.connection.commit()


def execute_patch(patch, skip_failing):
    """What it does is the test's own: a module of the app, if there is one."""
    if not os.path.exists(os.path.join(place.package(patch.split(".")[0]), *patch.split(".")[1:]) + ".py"):
        return
    with contextlib.suppress(*([Exception] if skip_failing else [])):
        importlib.import_module(patch).execute()


def pending_patches(db, apps):
    """What the apps of the image list, and a test's STANDIN_PATCHES, and the Patch Log does not."""
    logged = set(db.column("SELECT patch FROM `tabPatch Log`"))
    wanted = [patch for app in apps for patch in patches_of(app)] + environ.text("STANDIN_PATCHES").split()
    return [patch for patch in wanted if patch not in logged]


def patches_of(app):
    try:
        with open(os.path.join(place.package(app), "patches.txt"), encoding="utf-8") as file:
            return [line.strip() for line in file if line.strip() and line[0] not in "#["]
    except FileNotFoundError:
        return []


def change_schema(run, db):
    """Hazard: what the server has begun here goes on after the client is gone."""
    run.phase("schema")
    for app in schema.installed_apps(db):
        progress.draw("Updating DocTypes for %s" % app)
    if not db.is_postgres:
        db.sql("ALTER TABLE `tabDocType` FORCE")


def finish(run, db, site):
    """Writes down which apps there are, as `list-apps` reads it."""
    db.sql("DELETE FROM `tabInstalled Application`")
    for number, app in enumerate(schema.installed_apps(db)):
        row = (schema.unique(), number, app, version_of(app))
        db.sql("INSERT INTO `tabInstalled Application` (name, idx, app_name, app_version) VALUES (%s, %s, %s, %s)", row)
    db.connection.commit()
    run.phase("finish")
    with open(os.path.join(site, "touched_tables.json"), "w", encoding="utf-8") as file:
        json.dump([], file)


def version_of(app):
    try:
        return importlib.import_module(app).__version__
    except (ModuleNotFoundError, AttributeError):
        return "0.0.1"


def ready_for_migration(context):
    """Not while jobs are queued: the file `queued-<site>` beside the databases says so."""
    options.parse(context.words)
    site = context.first_site
    place.config_of(site)
    if os.path.exists(os.path.join(environ.database_dir(), "queued-" + site)):
        print("NOT READY for migration: site %s has pending background jobs" % site)
        return 1
    print("READY for migration: site %s does not have any background jobs" % site)
    return 0
