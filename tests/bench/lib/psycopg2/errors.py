"""The exceptions of psycopg2."""


class Error(Exception):
    pass


class DatabaseError(Error):
    pass


class OperationalError(DatabaseError):
    pass


class ProgrammingError(DatabaseError):
    pass


class IntegrityError(DatabaseError):
    pass


class LockNotAvailable(OperationalError):
    pass


class ObjectInUse(OperationalError):
    pass


class InsufficientPrivilege(ProgrammingError):
    pass


class DuplicateDatabase(ProgrammingError):
    pass


class DuplicateObject(ProgrammingError):
    pass


class UndefinedObject(ProgrammingError):
    pass


class UndefinedTable(ProgrammingError):
    pass


class SyntaxError(ProgrammingError):  # noqa: A001
    pass


class UniqueViolation(IntegrityError):
    pass
