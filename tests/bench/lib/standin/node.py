"""`python -m standin.node ORDER`: the grandchild of `build`, which does the work."""

import json
import sys

from . import bundles, place
from .run import Run


def main(order):
    """Hazard: for a while the manifest names bundles that are not there."""
    run = Run(order["argv"], "build")
    bench, apps = place.bench(), order["apps"]
    bundles.write_manifests(bench, apps, "assets")
    run.phase("manifest")
    half = len(apps) // 2
    for number, app in enumerate(apps):
        if number == half:
            run.phase("bundles")
        bundles.write_bundle(bench, app, "assets")
    print("DONE  Total Build Time")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
