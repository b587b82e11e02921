"""What a row says: `benches/run` makes a table of what this prints, a line with tabs for each row."""


def row(what, measured, rival="", ratio="", budget=None):
    print("\t".join([what, measured, rival, ratio, *(budget or ("", ""))]), flush=True)


def at_most(value, limit, say):
    """A budget, and whether it is met."""
    met = "yes" if value <= limit else "missed by " + say(value - limit)
    return "≤ " + say(limit), met


def exactly(value, wanted):
    return "= %d" % wanted, "yes" if value == wanted else "missed: %d" % value


def times(ratio):
    return ("%.2f ×" if ratio >= 0.1 else "%.2g ×") % ratio


def micros(seconds):
    return "%.0f µs" % (seconds * 1e6)


def millis(seconds):
    return "%.1f ms" % (seconds * 1e3)


def secs(seconds):
    return "%.2f s" % seconds


def kib(count):
    return "%.0f KiB" % count


def mib(kib_count):
    return "%.1f MiB" % (kib_count / 1024)


def percent(share):
    return "%.3f %%" % (share * 100)


def quantile(values, share):
    """The smallest one that as many are no larger than."""
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]
