"""How a bench speaks to its database server: through the drivers, whose `connect` others may have wrapped."""

import importlib

from . import environ


class Database:
    """A connection, with what both kinds of server are asked for."""

    def __init__(self, config, user, password, database=None):
        self.is_postgres = config.get("db_type") == "postgres"
        host = config.get("db_host") or "127.0.0.1"
        port = int(config.get("db_port") or (5432 if self.is_postgres else 3306))
        login = {"host": host, "port": port, "user": user, "password": password}
        if self.is_postgres:
            self.driver = importlib.import_module("psycopg2")
            login["dbname"] = database or "postgres"
        else:
            self.driver = importlib.import_module("MySQLdb" if environ.is_new() else "pymysql")
            if database:
                login["database"] = database
        self.connection = self.driver.connect(**login)

    def sql(self, statement, values=None):
        """Names stand in backticks in what is given; PostgreSQL wants other quotes."""
        if self.is_postgres:
            statement = statement.replace("`", '"')
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values)
            # A real driver has nothing to fetch after what is no question, and says so by an exception.
            return cursor.fetchall() if cursor.description else []

    def change(self, statement, values=None):
        self.sql(statement, values)
        self.connection.commit()

    def column(self, statement, values=None):
        return [row[0] for row in self.sql(statement, values)]

    @property
    def duplicate(self):
        return self.driver.IntegrityError

    def close(self):
        self.connection.close()


def of_site(config):
    """The site's own database, as the site's own user."""
    return Database(config, config.get("db_user") or config["db_name"], config["db_password"], config["db_name"])


def of_administrator(config, user, password):
    database = Database(config, user or ("postgres" if config.get("db_type") == "postgres" else "root"), password)
    if database.is_postgres:
        # It makes and drops databases in no transaction.
        database.connection.autocommit = True
    return database
