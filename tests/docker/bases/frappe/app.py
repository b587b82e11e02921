"""What gunicorn serves: the site that the Host says. `/api/method/ping`, who answers, and 503 in maintenance."""

import json
import os
import socket
import urllib.parse

HOST = socket.gethostname()


def application(environ, respond):
    site = environ.get("HTTP_X_FRAPPE_SITE_NAME") or environ.get("HTTP_HOST", "").split(":")[0]
    query = dict(urllib.parse.parse_qsl(environ.get("QUERY_STRING", "")))
    status, answer = answer_to(site, environ.get("PATH_INFO", "/"), query)
    answer["scheme"] = environ["wsgi.url_scheme"]
    body = json.dumps({**answer, "host": HOST, "pid": os.getppid(), "rev": os.environ.get("IMAGE_REV")}).encode() + b"\n"
    respond(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def answer_to(site, path, query):
    try:
        with open(os.path.join(site, "site_config.json"), encoding="utf-8") as file:
            config = json.load(file)
    except OSError:
        return "404 Not Found", {"message": "%s does not exist" % site}
    if config.get("maintenance_mode"):
        return "503 Service Unavailable", {"message": "maintenance"}
    if path == "/api/method/ping":
        return "200 OK", {"message": "pong"}
    if path == "/api/method/frappe.realtime.get_user_info":
        return "200 OK", {"message": {"user": "owner of session %s of %s" % (query.get("sid"), site)}}
    return "200 OK", {"message": path}
