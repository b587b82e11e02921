"""The stand-in's dumps by the tools of the real servers, since these are what keeps the data here.

As with a real bench, the site's own user dumps and loads, and the tools get the password by their environment.
"""

import os
import subprocess


def taken(config):
    return call(config, "pg_dump", "mariadb-dump", stdout=subprocess.PIPE).stdout


def load(config, script):
    call(config, "psql", "mariadb", input=script)


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
