class LockTimeoutError(Exception):
    pass
