"""`bench worker` and `bench schedule`: processes that stay.

A worker is known to the queue's Redis by a key that expires, as real ones are, and finishes its job before it ends. Hazard: the
scheduler has no word on SIGTERM, so as PID 1 it does not notice.
"""

import os
import signal
import socket
import sys

from standin import place


def main():
    name = "%s.%d" % (socket.gethostname(), os.getpid())
    print("%s %s: started" % (sys.argv[1], name), flush=True)
    os.chdir("sites")
    key = "rq:worker:" + name
    client = None
    if sys.argv[1] == "worker":
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))
        import redis

        client = redis.Redis.from_url(place.common_config()["redis_queue"])
    try:
        while True:
            if client:
                client.sadd("rq:workers", key)
                client.set(key, "idle", ex=60)
            signal.sigtimedwait([], 20)
    finally:
        if client:
            client.srem("rq:workers", key)
            client.delete(key)


main()
