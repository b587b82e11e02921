"""backup, restore."""

import contextlib
import os
import time

from .. import database, dumps, options, place
from .new_site import Secrets

FLAGS = ("--with-files", "--compress", "--ignore-backup-conf", "--verbose")


def backup(context):
    given, _ = options.parse(context.words, FLAGS, ("--backup-path",))
    for site in context.need_sites():
        path = dump(context.run, site, given.get("backup-path"))
        print("Backup Summary for %s at %s" % (site, time.strftime("%Y-%m-%d %H:%M:%S")))
        print("Database: ./%s %.1fKiB" % (path, os.path.getsize(path) / 1024))
        print("Backup for Site %s has been successfully completed" % site)


def dump(run, site, directory=None):
    """Hazard: writes under the final name, so that a kill leaves half a dump that looks like one."""
    import gzip

    config = place.config_of(site)
    run.password = config["db_password"]
    directory = directory or os.path.join(site, "private", "backups")
    os.makedirs(directory, exist_ok=True)
    stamp = time.strftime("%Y%m%d_%H%M%S")
    path = os.path.join(directory, "%s-%s-database.sql.gz" % (stamp, site.replace(".", "_")))
    content = gzip.compress(dumps.taken(config))
    with open(path, "wb") as file:
        file.write(content[: len(content) // 2])
        file.flush()
        run.phase("dump")
        file.write(content[len(content) // 2 :])
    return path


def restore(context):
    """Drops the database, and loads the dump into a new one."""
    import gzip

    values = ("--db-root-username", "--db-root-password", "--admin-password", "--install-app")
    given, words = options.parse(context.words, ("--force",), values)
    if not words:
        options.refuse("Missing argument 'SQL_FILE_PATH'.")
    if not os.path.exists(words[0]):
        print("Invalid path %s" % words[0])
        return 1
    with gzip.open(words[0], "rb") as file:
        script = file.read()
    config = place.config_of(context.first_site)
    context.run.password = config["db_password"]
    root = Secrets(config, {"admin-password": "unused", **given})
    name = config["db_name"]
    with contextlib.closing(database.of_administrator(config, root.root_user, root.root)) as db:
        db.sql("DROP DATABASE IF EXISTS `%s`" % name)
        db.sql("CREATE DATABASE `%s`" % name)
        if db.is_postgres:
            db.sql("ALTER DATABASE `%s` OWNER TO `%s`" % (name, config.get("db_user") or name))
    context.run.phase("load")
    dumps.load(config, script)
    print("Site %s has been restored" % context.first_site)
    return 0
