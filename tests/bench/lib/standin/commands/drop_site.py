"""drop-site: the database and its user first, then the directory, which moves to the bench's archive."""

import contextlib
import os

from .. import database, options, place
from .backup import dump

FLAGS = ("--no-backup", "--force")
VALUES = ("--db-root-username/--root-login", "--db-root-password/--root-password", "--archived-sites-path")


def drop_site(context):
    import shutil

    given, names = options.parse(context.words, FLAGS, VALUES)
    if not names:
        options.refuse("Missing argument 'SITE'.")
    site, run = names[0], context.run
    config = place.config_of(site)
    run.password = config["db_password"]
    if not given.get("no-backup") and not backed_up(run, site, given.get("force")):
        return 1
    drop_database(run, config, given)
    run.phase("move")
    archive = given.get("archived-sites-path") or os.path.join(place.bench(), "archived", "sites")
    os.makedirs(archive, exist_ok=True)
    shutil.move(site, free_name(os.path.join(archive, site)))
    return 0


def backed_up(run, site, force):
    try:
        dump(run, site)
    except Exception as error:
        print("Error: The operation has stopped because backup of %s's database failed.\nReason: %s" % (site, error))
        return bool(force)
    return True


def drop_database(run, config, given):
    """Hazard: on MariaDB it waits for every session that has touched the database."""
    user = given.get("root-login") or config.get("root_login")
    password = given.get("root-password") or config.get("root_password") or options.ask("Enter root password: ")
    name = config["db_name"]
    owner = config.get("db_user") or name
    with contextlib.closing(database.of_administrator(config, user, password)) as root:
        run.phase("database")
        if root.is_postgres:
            root.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'" % name)
        root.sql("DROP DATABASE IF EXISTS `%s`" % name)
        root.sql("DROP USER IF EXISTS `%s`" % owner if root.is_postgres else "DROP USER IF EXISTS '%s'@'%%'" % owner)


def free_name(path):
    number, name = 0, path
    while os.path.exists(name):
        number += 1
        name = "%s%d" % (path, number)
    return name
