"""What `build` makes: a manifest that names bundles, the bundles in the apps, and links into the apps."""

import json
import os
import zlib

MANIFESTS = ("assets.json", "assets-rtl.json")


def bundle_of(bench, app):
    """Its name changes with the app's version, as a content hash would."""
    with open(os.path.join(bench, "apps", app, app, "__init__.py"), "rb") as file:
        mark = "%08X" % zlib.crc32(file.read())
    return "%s.bundle.%s.js" % (app, mark)


def write_manifests(bench, apps, assets):
    os.makedirs(assets, exist_ok=True)
    names = {"%s.bundle.js" % app: "/assets/%s/dist/js/%s" % (app, bundle_of(bench, app)) for app in apps}
    for manifest in MANIFESTS:
        with open(os.path.join(assets, manifest), "w", encoding="utf-8") as file:
            json.dump(names, file, indent=1)


def write_bundle(bench, app, assets):
    """Hazard: into the image's app; `sites/assets` has a link to it, which is absolute."""
    public = os.path.join(bench, "apps", app, app, "public")
    directory = os.path.join(public, "dist", "js")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, bundle_of(bench, app)), "w", encoding="utf-8") as file:
        file.write("// %s\n" % app)
    link = os.path.join(assets, app)
    if os.path.realpath(link) != os.path.realpath(public):
        temporary = "%s-%d" % (link, os.getpid())
        os.symlink(public, temporary)
        os.rename(temporary, link)
