"""new-site. Hazard: whatever goes wrong, the directory of the site stays, and every plain run after that refuses it."""

import contextlib
import hashlib
import json
import os
import sys

from .. import database, environ, options, place, progress, schema
from . import apps

FLAGS = ("--force", "--set-default", "--verbose")
VALUES = ("--db-name", "--db-password", "--db-type", "--db-host", "--db-port", "--db-root-username",
          "--db-root-password", "--admin-password", "--install-app", "--source-sql")

DIRECTORIES = ("private/backups", "private/files", "public/files", "locks", "logs")


def new_site(context):
    site, given = arguments(context.words)
    force = given.get("force", False) or context.force
    if os.path.exists(site) and not force:
        print("Site %s already exists, use `--force` to proceed anyway" % site)
        return 1
    run = context.run
    run.pause("look")
    for directory in DIRECTORIES:
        os.makedirs(os.path.join(site, directory), exist_ok=True)
    run.phase("dir")
    with place.lock(os.path.join(site, "locks"), "bench_new_site", timeout=0.1):
        run.phase("lock")
        write_config(run, site, given)
        make(run, site, given, force)
    if given.get("set-default"):
        place.rewrite(run, place.COMMON, {**place.common_config(), "default_site": site})
    return 0


def arguments(words):
    scope = ("--mariadb-user-host-login-scope",) if environ.is_new() else ()
    socket = () if environ.is_new() else ("--no-mariadb-socket",)
    given, names = options.parse(words, FLAGS + socket, VALUES + scope)
    if not names:
        options.refuse("Missing argument 'SITE'.")
    return names[0], given


def write_config(run, site, given):
    """A file that is there stays as it is."""
    path = place.site_config_path(site)
    if not os.path.exists(path):
        config = {
            "db_name": given.get("db-name") or default_name(site),
            "db_password": given.get("db-password") or os.urandom(8).hex(),
            "db_type": given.get("db-type") or place.common_config().get("db_type") or "mariadb",
        }
        for key in ("db_host", "db_port"):
            if given.get(key.replace("_", "-")):
                config[key] = given[key.replace("_", "-")]
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file, indent=1, sort_keys=True)
    run.password = place.config_of(site)["db_password"]
    run.phase("config")


def default_name(site):
    """The same wherever the volume is mounted in the same place. Hazard: newer benches make up a name."""
    if environ.is_new():
        return "_" + os.urandom(8).hex()
    return "_" + hashlib.sha1(os.path.realpath(site).encode()).hexdigest()[:16]


def make(run, site, given, force):
    config = place.config_of(site)
    secrets_given = Secrets(config, given)
    create_database(run, config, secrets_given, given, force)
    with contextlib.closing(database.of_site(config)) as db:
        half = len(schema.TABLES) // 2
        schema.create_tables(db, schema.TABLES[:half])
        run.phase("schema")
        schema.create_tables(db, schema.TABLES[half:])
        progress.draw("Updating DocTypes for frappe")
        schema.set_installed_apps(db, ["frappe"])
        apps.set_all_patches_done(db, "frappe")
        run.phase("administrator")
        schema.set_administrator(db, secrets_given.administrator)
        for app in given.get("install-app", []):
            apps.install(run, db, app, False, place.apps())
        run.phase("finish")
        schema.set_single(db, "System Settings", "enable_scheduler", "0")
    print("*** Scheduler is disabled ***")


class Secrets:
    """From options, else from the configuration, else asked for: the root password, and the administrator's twice."""

    def __init__(self, config, given):
        self.root_user = given.get("db-root-username") or config.get("root_login")
        self.root = given.get("db-root-password") or config.get("root_password") or options.ask("Enter root password: ")
        self.administrator = given.get("admin-password") or config.get("admin_password") or self.asked_twice()

    @staticmethod
    def asked_twice():
        first = options.ask("Set Administrator password: ")
        if options.ask("Re-enter Administrator password: ") != first:
            print("Passwords did not match")
            sys.exit(1)
        return first


def create_database(run, config, given, options_given, force):
    name, password = config["db_name"], config["db_password"]
    user = config.get("db_user") or name
    with contextlib.closing(database.of_administrator(config, given.root_user, given.root)) as root:
        if root.is_postgres:
            create_in_postgres(run, root, name, user, password)
        else:
            scope = options_given.get("mariadb-user-host-login-scope") or "%"
            create_in_mariadb(run, root, name, "'%s'@'%s'" % (user, scope), password, force)


def create_in_mariadb(run, root, name, user, password, force):
    """Hazard: a user that was left behind keeps the password it had, if the bench is a newer one."""
    if not environ.is_new():
        root.sql("DROP USER IF EXISTS %s" % user)
    root.sql("CREATE USER IF NOT EXISTS %s IDENTIFIED BY '%s'" % (user, password))
    if force:
        root.sql("DROP DATABASE IF EXISTS `%s`" % name)
    elif name in root.column("SHOW DATABASES"):
        print("Database %s already exists, please drop it manually or pass `--force`." % name)
        sys.exit(1)
    root.sql("CREATE DATABASE `%s` CHARACTER SET utf8mb4" % name)
    run.phase("database")
    root.sql("GRANT ALL PRIVILEGES ON `%s`.* TO %s" % (name, user))
    root.sql("FLUSH PRIVILEGES")


def create_in_postgres(run, root, name, user, password):
    """Hazard: drops a database of that name without being asked to."""
    root.sql("DROP DATABASE IF EXISTS `%s`" % name)
    known = root.sql("SELECT 1 FROM pg_roles WHERE rolname = %s", (user,))
    root.sql("%s USER `%s` WITH PASSWORD '%s'" % ("ALTER" if known else "CREATE", user, password))
    root.sql("CREATE DATABASE `%s`" % name)
    run.phase("database")
    root.sql("GRANT ALL PRIVILEGES ON DATABASE `%s` TO `%s`" % (name, user))
    # From its version 15 on, only the owner may make tables.
    root.sql("ALTER DATABASE `%s` OWNER TO `%s`" % (name, user))
