"""Asks a bench's database through the bench's own driver, in a process that stays: `<bench>/env/bin/python asker.py`.

Each line of stdin is `{"query": …, "values": […]}`, each line of stdout `{"rows": …}` or `{"error": …}`. The first line
says where: `{"host", "port", "user", "password"}`.
"""

import importlib
import json
import subprocess
import sys


class Asker:
    """The other end: what a scene holds."""

    def __init__(self, python, server, environment, prefix=()):
        words = [*prefix, python, __file__]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env=environment)
        self.say(server)

    def say(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def ask(self, query, *values):
        """Rows; none if the server refuses, as for a table that is not there."""
        self.say({"query": query, "values": values})
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("the process that asks the database has ended")
        return json.loads(answer).get("rows", [])

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def driver():
    try:
        return importlib.import_module("MySQLdb")
    except ImportError:
        return importlib.import_module("pymysql")


def answer(server, request):
    """A connection of its own for each question: nothing of it holds a lock."""
    connection = driver().connect(connect_timeout=10, **server)
    try:
        with connection.cursor() as cursor:
            cursor.execute(request["query"], request["values"])
            return {"rows": cursor.fetchall() or []}
    finally:
        connection.close()


def main():
    server = json.loads(sys.stdin.readline())
    for line in sys.stdin:
        try:
            reply = answer(server, json.loads(line))
        except Exception as error:
            reply = {"error": str(error)}
        print(json.dumps(reply, default=str), flush=True)


if __name__ == "__main__":
    main()
