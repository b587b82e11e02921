"""The command line, as strict as the real one: exit 2 for what it does not know."""

import sys

USAGE = "Usage: bench_helper.py frappe [OPTIONS] COMMAND [ARGS]..."


class Aborted(Exception):
    """There is nobody to answer."""


def ask(prompt):
    """Hazard: works without a terminal, too, and takes the next line of whatever its input is."""
    sys.stderr.write(prompt)
    line = sys.stdin.readline()
    if not line:
        raise Aborted
    return line.rstrip("\n")


def refuse(text):
    sys.stderr.write("%s\nTry 'bench_helper.py frappe --help' for help.\n\nError: %s\n" % (USAGE, text))
    sys.exit(2)


def parse(words, flags=(), values=(), stop_at_argument=False):
    """Splits words into options, by their names without hyphens in front, and arguments. `-g/--global` are two names."""
    options, arguments, words = {}, [], list(words)
    names = {short: spec for spec in (*flags, *values) for short in spec.split("/")}
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word == "-":
            arguments.append(word)
            if stop_at_argument:
                return options, arguments + words
            continue
        name, equals, value = word.partition("=")
        if name == "--help":
            show_help(flags, values)
        if name not in names:
            refuse("No such option: %s" % name)
        spec = names[name]
        key = spec.split("/")[-1].lstrip("-")
        if spec in flags:
            if equals:
                refuse("Option '%s' does not take a value." % name)
            options[key] = True
            continue
        if not equals and not words:
            refuse("Option '%s' requires an argument." % name)
        value = value if equals else words.pop(0)
        if spec.split("/")[-1] in REPEATED:
            options.setdefault(key, []).append(value)
        else:
            options[key] = value
    return options, arguments


REPEATED = ("--install-app",)


def show_help(flags, values):
    print(USAGE + "\n\nOptions:")
    for spec in flags:
        print("  " + spec.replace("/", ", "))
    for spec in values:
        print("  %s TEXT" % spec.replace("/", ", "))
    print("  --help  Show this message and exit.")
    sys.exit(0)
