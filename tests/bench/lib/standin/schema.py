"""The tables of a site that anybody looks at, and what stands in them."""

import json
import time

# In the order they are made: whoever is killed half-way has the first half.
TABLES = [
    "`tabDefaultValue` (name varchar(140) PRIMARY KEY, parent varchar(140), defkey varchar(140), defvalue text)",
    "`tabDocType` (name varchar(140) PRIMARY KEY, module varchar(140))",
    "`tabModule Def` (name varchar(140) PRIMARY KEY, app_name varchar(140))",
    "`tabPatch Log` (name varchar(140) PRIMARY KEY, patch text, skipped int)",
    "`tabInstalled Application` (name varchar(140) PRIMARY KEY, idx int, app_name varchar(140), app_version varchar(140))",
    "`tabSingles` (doctype varchar(140), field varchar(140), value text, PRIMARY KEY (doctype, field))",
    "`hooks_run` (app varchar(140), hook varchar(140))",
    "`patches_run` (patch text)",
    "`__Auth` (doctype varchar(140), name varchar(140), fieldname varchar(140), password text, encrypted int,"
    " PRIMARY KEY (doctype, name, fieldname))",
]

INSTALLED = "SELECT defvalue FROM `tabDefaultValue` WHERE defkey = 'installed_apps' AND parent = '__global'"


def create_tables(database, tables):
    for table in tables:
        database.sql("CREATE TABLE IF NOT EXISTS " + table)
    database.connection.commit()


def installed_apps(database):
    rows = database.column(INSTALLED)
    return json.loads(rows[0]) if rows else []


def set_installed_apps(database, apps):
    database.sql("DELETE FROM `tabDefaultValue` WHERE defkey = 'installed_apps' AND parent = '__global'")
    row = (unique(), json.dumps(apps))
    database.change("INSERT INTO `tabDefaultValue` (name, parent, defkey, defvalue)"
                    " VALUES (%s, '__global', 'installed_apps', %s)", row)


def set_administrator(database, password):
    """What makes a site whole."""
    database.sql("DELETE FROM `__Auth` WHERE doctype = 'User' AND name = 'Administrator'")
    database.change("INSERT INTO `__Auth` (doctype, name, fieldname, password, encrypted)"
                    " VALUES ('User', 'Administrator', 'password', %s, 0)", ("hash of " + password,))


def set_single(database, doctype, field, value):
    database.sql("DELETE FROM `tabSingles` WHERE doctype = %s AND field = %s", (doctype, field))
    database.change("INSERT INTO `tabSingles` (doctype, field, value) VALUES (%s, %s, %s)", (doctype, field, value))


def log_patch(database, patch):
    database.sql("INSERT INTO `tabPatch Log` (name, patch, skipped) VALUES (%s, %s, 0)", (unique(), patch))


def unique():
    return "%x" % time.monotonic_ns()
