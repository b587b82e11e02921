"""backup, restore: as the stand-in's, by the tools of the real servers, since these are what keeps the data here.

As with a real bench, the site's own user dumps and loads, and the tools get the password by their environment.
"""

import contextlib
import gzip
import os
import subprocess
import time

from .. import database, options, place
from .new_site import Secrets

FLAGS = ("--with-files", "--compress", "--ignore-backup-conf", "--verbose")


def backup(context):
    given, _ = options.parse(context.words, FLAGS, ("--backup-path",))
    for site in context.need_sites():
        path = dump(context.run, site, given.get("backup-path"))
        print("Database: ./%s %.1fKiB" % (path, os.path.getsize(path) / 1024))
        print("Backup for Site %s has been successfully completed" % site)


def dump(run, site, directory=None):
    """Hazard: writes under the final name, so that a kill leaves half a dump that looks like one."""
    config = place.config_of(site)
    run.password = config["db_password"]
    directory = directory or os.path.join(site, "private", "backups")
    os.makedirs(directory, exist_ok=True)
    stamp = time.strftime("%Y%m%d_%H%M%S")
    path = os.path.join(directory, "%s-%s-database.sql.gz" % (stamp, site.replace(".", "_")))
    content = gzip.compress(call(config, "pg_dump", "mariadb-dump", stdout=subprocess.PIPE).stdout)
    with open(path, "wb") as file:
        file.write(content[: len(content) // 2])
        file.flush()
        run.phase("dump")
        file.write(content[len(content) // 2 :])
    return path


def restore(context):
    """Drops the database, and loads the dump into a new one."""
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
    call(config, "psql", "mariadb", input=script)
    print("Site %s has been restored" % context.first_site)
    return 0


def call(config, of_postgres, of_mariadb, **options_of_run):
    """One of these programs with the site's database, as the site's user."""
    user, password = config.get("db_user") or config["db_name"], config["db_password"]
    if config.get("db_type") == "postgres":
        command = [of_postgres, "--quiet"] if of_postgres == "psql" else [of_postgres, "--no-owner"]
        login = {"PGPASSWORD": password}
    else:
        command, login = [of_mariadb], {"MYSQL_PWD": password}
    port = config.get("db_port") or (5432 if config.get("db_type") == "postgres" else 3306)
    command += ["--host=%s" % config["db_host"], "--port=%s" % port]
    command += ["--username=%s" % user] if "PGPASSWORD" in login else ["--user=%s" % user, "--protocol=tcp"]
    return subprocess.run([*command, config["db_name"]], env={**os.environ, **login}, check=True, **options_of_run)
