"""One of the shop's backends: `/api/health`, `/api/metrics` and `/api/products` at PORT, as INSTANCE_ID."""

import json
import os
import signal
import sqlite3
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

INSTANCE = os.environ["INSTANCE_ID"]
DATABASE = "file:%s/shop.db?mode=ro" % os.environ["BELLWETHER_VOLUME"]
STARTED = time.monotonic()
requests = 0


def health():
    return {"status": "ok", "instance_id": INSTANCE, "rev": os.environ.get("IMAGE_REV"), "host": os.uname().nodename}


def metrics():
    return {"instance_id": INSTANCE, "requests": requests, "uptime_secs": round(time.monotonic() - STARTED, 1)}


def products():
    database = sqlite3.connect(DATABASE, uri=True)
    try:
        return [{"name": name, "cents": cents} for name, cents in database.execute("SELECT name, cents FROM product ORDER BY name")]
    finally:
        database.close()


ANSWERS = {"/api/health": health, "/api/metrics": metrics, "/api/products": products}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global requests
        requests += 1
        answer = ANSWERS.get(self.path.split("?")[0])
        body = json.dumps(answer() if answer else {"error": "no such page"}).encode() + b"\n"
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *arguments):
        print("shop-%s: %s" % (INSTANCE, format % arguments), flush=True)


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
# What is under way is answered before the process ends.
server.daemon_threads = False
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("shop-%s: listens at port %s" % (INSTANCE, os.environ["PORT"]), flush=True)
# To s6, which starts nginx when all three have said so: notification-fd is 3.
os.write(3, b"\n")
os.close(3)
server.serve_forever()
server.server_close()
