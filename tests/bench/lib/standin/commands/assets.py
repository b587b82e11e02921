"""build. Hazard: its children go on when only their parent is killed."""

import json
import subprocess
import sys

from .. import options
from ..place import apps


def build(context):
    given, _ = options.parse(context.words, ("--production", "--force", "--hard-link", "--verbose"), ("--app", "--apps"))
    wanted = [given["app"]] if given.get("app") else apps()
    order = json.dumps({"apps": wanted, "argv": context.run.argv})
    return subprocess.run([sys.executable, "-S", "-m", "standin.yarn", order], close_fds=True).returncode and 1
