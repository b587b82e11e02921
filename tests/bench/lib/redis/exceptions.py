"""The exceptions of redis-py."""


class RedisError(Exception):
    pass


class ConnectionError(RedisError):  # noqa: A001
    pass


class TimeoutError(RedisError):  # noqa: A001
    pass


class ResponseError(RedisError):
    pass


class DataError(RedisError):
    pass


class AuthenticationError(ConnectionError):
    pass


class BusyLoadingError(ConnectionError):
    pass


class NoPermissionError(ResponseError):
    pass
