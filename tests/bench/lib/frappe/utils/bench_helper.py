"""The command line of a bench: `bench_helper.py frappe [--site SITE] COMMAND …`, started in `sites/`."""

import sys

from standin.main import run


def main():
    sys.exit(run(sys.argv[2:]))


if __name__ == "__main__":
    main()
