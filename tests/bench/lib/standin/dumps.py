"""What is in a site's database, as one script. Whoever has real servers puts a module of the same two functions in its place."""

import contextlib

from . import database


def taken(config):
    with contextlib.closing(database.of_site(config)) as db:
        return "\n".join(db.connection.session.engine.iterdump()).encode()


def load(config, script):
    """Into a database that is empty."""
    with contextlib.closing(database.of_site(config)) as db:
        db.connection.session.load(script.decode())
