"""install-app, list-apps, execute: what is installed, and what says so."""

import contextlib
import importlib
import json
import sys

from frappe.exceptions import DuplicateEntryError

from .. import database, options, place, schema
from ..main import show
from . import cache

# What an app brings along; the first half is there when `sync` is reached.
DOCTYPES = 6


def install_app(context):
    """Goes on with the next app when one fails, and exits 1 in the end."""
    given, apps = options.parse(context.words, ("--force",))
    code = 0
    for site in context.need_sites():
        config = place.config_of(site)
        context.run.password = config["db_password"]
        with contextlib.closing(database.of_site(config)) as db:
            for app in apps:
                try:
                    known = cache.known_apps(config)
                    cache.forget(config)
                    install(context.run, db, app, given.get("force", False) or context.force, known)
                except Exception as error:
                    print("An error occurred while installing %s: %s" % (app, error))
                    sys.stdout.flush()
                    show(error)
                    code = 1
    return code


def install(run, db, app, force, known):
    """Its dependencies first, which are never forced. `known`: whose modules this process has found."""
    for required in required_by(app):
        install(run, db, required, False, known)
    if app not in place.apps():
        raise Exception("App %s not in apps.txt" % app)
    installed = schema.installed_apps(db)
    if app in installed and not force:
        print("App %s already installed" % app)
        return
    print("\nInstalling %s..." % app)
    add(db, "tabModule Def", "app_name", app.title(), app, force)
    if app in known:
        sync(run, db, app, force)
    if app not in installed:
        schema.set_installed_apps(db, [*schema.installed_apps(db), app])
    set_all_patches_done(db, app)
    run_after_install(run, db, app)


def required_by(app):
    """Written as `erpnext` or as `frappe/erpnext`. What is not in the image cannot be asked."""
    try:
        hooks = importlib.import_module(app + ".hooks")
    except ModuleNotFoundError:
        return []
    return [name.rstrip("/").split("/")[-1] for name in getattr(hooks, "required_apps", [])]


def sync(run, db, app, force):
    """Hazard: commits as it goes. After a kill in here the rows are there, and only --force gets over them."""
    for number in range(DOCTYPES):
        if number == DOCTYPES // 2:
            run.phase("sync")
        add(db, "tabDocType", "module", "%s %d" % (app.title(), number), app.title(), force)


def add(db, table, column, name, value, force):
    if force:
        db.sql("DELETE FROM `%s` WHERE name = %%s" % table, (name,))
    try:
        db.change("INSERT INTO `%s` (name, %s) VALUES (%%s, %%s)" % (table, column), (name, value))
    except db.duplicate as error:
        raise DuplicateEntryError("%r" % ((table[3:], name, error),)) from None


def set_all_patches_done(db, app):
    """What the image brings with a new app is no work for migrate."""
    from .migrate import patches_of

    logged = set(db.column("SELECT patch FROM `tabPatch Log`"))
    for patch in patches_of(app):
        if patch not in logged:
            schema.log_patch(db, patch)
    db.connection.commit()


def run_after_install(run, db, app):
    """Hazard: the app counts as installed by now. After a kill in here the hook never runs."""
    run.phase("after_install")
    if not db.column("SELECT name FROM `tabDocType` WHERE module = %s", (app.title(),)):
        raise Exception("DocType %s Thing not found" % app.title())
    db.change("INSERT INTO `hooks_run` (app, hook) VALUES (%s, 'after_install')", (app,))


def list_apps(context):
    """Hazard: reads what the last migrate wrote down, and exits 0 for a half-made site, too."""
    given, _ = options.parse(context.words, (), ("-f/--format",))
    listed = {site: listed_apps(place.config_of(site)) for site in context.need_sites()}
    if given.get("format") == "json":
        alone = listed[context.first_site]
        print(json.dumps(alone if len(listed) == 1 and alone else listed))
    else:
        print("\n".join(app for apps in listed.values() for app in apps))


def listed_apps(config):
    try:
        with contextlib.closing(database.of_site(config)) as db:
            return db.column("SELECT app_name FROM `tabInstalled Application` ORDER BY idx")
    except Exception:
        return []


def execute(context):
    """frappe.get_installed_apps, which tells the truth, and nothing else."""
    _, words = options.parse(context.words, ("--profile",), ("--args", "--kwargs"))
    if words != ["frappe.get_installed_apps"]:
        raise AttributeError("the stand-in executes nothing but frappe.get_installed_apps, not %r" % (words,))
    for site in context.need_sites():
        config = place.config_of(site)
        cache.known_apps(config)
        with contextlib.closing(database.of_site(config)) as db:
            print(json.dumps(schema.installed_apps(db)))
