"""What the slow migration did, written outside the database, where no rollback reaches it."""

import os

from django.conf import settings


def note(*words):
    line = " ".join(str(word) for word in (*words, f"pid={os.getpid()}"))
    with open(settings.VOLUME / "journal.log", "a", encoding="utf-8") as journal:
        journal.write(line + "\n")
        journal.flush()
        os.fsync(journal.fileno())
