"""The step migrate: brings the shop's database to this revision's schema, one migration after another, each in whole or not at
all, so a run that was cut off is gone on with by the next."""

import os
import sqlite3

MIGRATIONS = [
    "CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "ALTER TABLE product ADD COLUMN cents INTEGER NOT NULL DEFAULT 0",
    "INSERT INTO product (name, cents) VALUES ('bell', 1250), ('crook', 4800), ('shears', 2300)",
]

database = sqlite3.connect(os.path.join(os.environ["BELLWETHER_VOLUME"], "shop.db"), isolation_level=None)
done = database.execute("PRAGMA user_version").fetchone()[0]
for number, statement in enumerate(MIGRATIONS[done:], start=done + 1):
    print("migration %d of %d" % (number, len(MIGRATIONS)), flush=True)
    database.execute("BEGIN IMMEDIATE")
    database.execute(statement)
    database.execute("PRAGMA user_version = %d" % number)
    database.execute("COMMIT")
