"""Files of JSON lines that many processes write."""

import json
import os


def append_line(path, record):
    """Writes a line whole, whoever else writes lines."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(file, (json.dumps(record) + "\n").encode())
    finally:
        os.close(file)
