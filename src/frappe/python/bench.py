"""Calls a bench command whose arguments nobody else can read: they come as JSON through stdin.

{"argv": ["--site", "a.localhost", "migrate"], "lock_wait_secs": 30}
"""

import json
import os
import sys
import warnings


def bound_lock_waits(seconds):
    """Lets no statement of this process wait longer for a lock of the database: the default is a day."""
    statement = "SET SESSION lock_wait_timeout = %d" % seconds

    def bounded(connect):
        def connect_bounded(*args, **kwargs):
            kwargs.setdefault("init_command", statement)
            return connect(*args, **kwargs)

        return connect_bounded

    for name in ("MySQLdb", "pymysql"):
        try:
            driver = __import__(name)
        except ImportError:
            continue
        driver.connect = bounded(driver.connect)
    os.environ["PGOPTIONS"] = "-c lock_timeout=%ds %s" % (seconds, os.environ.get("PGOPTIONS", ""))


def main():
    request = json.load(sys.stdin)
    if request.get("lock_wait_secs"):
        bound_lock_waits(request["lock_wait_secs"])
    # As bench's helper does where it is called as a program.
    warnings.simplefilter("ignore")
    sys.argv = ["bench_helper.py", "frappe"] + request["argv"]
    from frappe.utils import bench_helper

    bench_helper.main()


main()
