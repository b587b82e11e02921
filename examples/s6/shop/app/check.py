"""The step config-check: whether config.json is one that this revision understands. 78 is for good: no retry mends a file."""

import json
import sys

CONFIG = "/srv/shop/config.json"
KEYS = {"title": str, "currency": str, "page_size": int}

try:
    with open(CONFIG, encoding="utf-8") as file:
        config = json.load(file)
except (OSError, ValueError) as error:
    print("%s cannot be read: %s" % (CONFIG, error))
    sys.exit(78)

wrong = ["%s is missing" % key for key in KEYS if key not in config]
wrong += ["%s is no %s" % (key, kind.__name__) for key, kind in KEYS.items() if not isinstance(config.get(key, kind()), kind)]
wrong += ["%s is not known" % key for key in config if key not in KEYS]
for line in wrong:
    print("%s: %s" % (CONFIG, line))
sys.exit(78 if wrong else 0)
