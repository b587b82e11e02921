"""Faults in the words of MariaDB's drivers, which differ a little."""

from .dbapi import Connection

STATEMENTS = {
    "starting": (2013,
                 "Lost connection to {server} at 'handshake: reading initial communication packet', system error: 104"),
    "busy": (1040, "Too many connections"),
    "denied": (1045, "Access denied for user '{user}'@'localhost' (using password: {yes})"),
    "denied-database": (1044, "Access denied for user '{user}'@'%' to database '{database}'"),
    "no-database": (1049, "Unknown database '{database}'"),
    "lock-wait": (1205, "Lock wait timeout exceeded; try restarting transaction"),
    "database-exists": (1007, "Can't create database '{database}'; database exists"),
    "user-exists": (1396, "Operation CREATE USER failed for '{user}'@'%'"),
    "no-user": (1396, "Operation failed for '{user}'@'%'"),
    "no-table": (1146, "Table '{table}' doesn't exist"),
    "duplicate": (1062, "Duplicate entry for key '{key}'"),
    "syntax": (1064, "You have an error in your SQL syntax; {text}"),
}

# How the two drivers speak of a server that cannot be reached.
REACHING = {
    "pymysql": {
        "refused": (2003, "Can't connect to MySQL server on '{host}' ([Errno 111] Connection refused)"),
        "timeout": (2003, "Can't connect to MySQL server on '{host}' (timed out)"),
        "unknown-host": (2003, "Can't connect to MySQL server on '{host}' ([Errno -2] Name or service not known)"),
    },
    "MySQLdb": {
        "refused": (2002, "Can't connect to server on '{host}' (111)"),
        "timeout": (2002, "Can't connect to server on '{host}' (110)"),
        "unknown-host": (2005, "Unknown server host '{host}' (-2)"),
    },
}

CLASSES = {"duplicate": "IntegrityError", "no-table": "ProgrammingError", "syntax": "ProgrammingError",
           "database-exists": "ProgrammingError"}


def connect_for(driver, errors):
    """The `connect` of one driver, whose exceptions are in `errors`."""

    def raised(fault):
        number, text = {**STATEMENTS, **REACHING[driver]}[fault.kind]
        server = "MySQL server" if driver == "pymysql" else "server"
        values = {"server": server, **fault.values, "yes": "YES" if fault.values.get("password") else "NO"}
        return getattr(errors, CLASSES.get(fault.kind, "OperationalError"))(number, text.format(**values))

    def connect(host="localhost", user=None, password="", database=None, port=0, connect_timeout=10,
                init_command=None, **others):
        database = database or others.get("db")
        password = password or others.get("passwd", "")
        # Hazard: pymysql waits for ever for a server that accepts and says nothing, unless it is told how long to read.
        patience = others.get("read_timeout", 3600) if driver == "pymysql" else connect_timeout
        connection = Connection(raised, "mariadb", host, port or 3306, user, password, database, patience)
        if init_command:
            connection.cursor().execute(init_command)
        return connection

    return connect
