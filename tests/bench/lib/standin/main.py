"""From a command line to an exit code."""

import os
import sys

from . import environ, options, place
from .run import Run

# The module of each command; its function has the command's name with underscores.
MODULES = {
    "new-site": "new_site",
    "drop-site": "drop_site",
    "install-app": "apps",
    "list-apps": "apps",
    "execute": "apps",
    "migrate": "migrate",
    "ready-for-migration": "migrate",
    "backup": "backup",
    "restore": "backup",
    "build": "assets",
    "set-config": "config",
    "use": "config",
    "set-maintenance-mode": "config",
    "enable-scheduler": "config",
    "disable-scheduler": "config",
    "clear-cache": "cache",
    "clear-website-cache": "cache",
}


class Context:
    """What every command gets: the run, the sites it is for, and its words."""

    def __init__(self, run, sites, words, force):
        self.run = run
        self.sites = sites
        self.words = words
        self.force = force

    @property
    def first_site(self):
        """Hazard: some commands act on the first site only, however many there are."""
        return self.need_sites()[0]

    def need_sites(self):
        if not self.sites:
            print("Please specify --site sitename")
            sys.exit(1)
        return self.sites


def run(argv):
    """The exit code. SIGTERM ends everything at once, without any clean-up."""
    this = Run(argv)
    this.event("start")
    try:
        code = dispatch(this, argv) or 0
    except SystemExit as end:
        code = end.code or 0
    except (KeyboardInterrupt, options.Aborted):
        sys.stderr.write("Aborted!\n")
        code = 1
    except Exception as error:
        show(error)
        code = 1
    sys.stdout.flush()
    this.event("end", exit=code)
    return code


def dispatch(this, argv):
    given, words = options.parse(argv, ("--force", "--verbose"), ("--site",), stop_at_argument=True)
    if not words:
        options.refuse("Missing command.")
    this.command, words = words[0], words[1:]
    if this.command not in MODULES:
        options.refuse("No such command '%s'." % this.command)
    if "--help" not in words:
        check_surroundings()
    module = __import__("standin.commands." + MODULES[this.command], fromlist=["*"])
    context = Context(this, sites_named(given.get("site")), words, given.get("force", False))
    return getattr(module, this.command.replace("-", "_"))(context)


def check_surroundings():
    if os.geteuid() == 0 and not environ.is_on("STANDIN_ALLOW_ROOT"):
        print("You should not run this command as root")
        sys.exit(1)
    place.apps()
    place.common_config()


def sites_named(name):
    if name == "all":
        return place.all_sites()
    if name:
        return [name]
    default = place.default_site() if os.path.exists("apps.txt") else None
    return [default] if default else []


def show(error):
    """Hazard: a traceback with the local variables of every function in it, passwords and all."""
    lines = ["Traceback with variables (most recent call last):"]
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append('  File "%s", line %d, in %s' % (code.co_filename, trace.tb_lineno, code.co_name))
        lines.extend("      %s = %r" % local for local in sorted(trace.tb_frame.f_locals.items()))
        trace = trace.tb_next
    kind = type(error)
    prefix = "" if kind.__module__ == "builtins" else kind.__module__ + "."
    lines.append("%s%s: %s" % (prefix, kind.__qualname__, error))
    sys.stdout.flush()
    sys.stderr.write("\n".join(lines) + "\n")
