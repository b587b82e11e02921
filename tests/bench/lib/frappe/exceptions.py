"""Exceptions by the names that people see in tracebacks."""


class ValidationError(Exception):
    pass


class DuplicateEntryError(ValidationError):
    pass


class IncorrectSitePath(Exception):
    pass
