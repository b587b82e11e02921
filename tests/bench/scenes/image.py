"""What a new revision's image has that the older one had not: done to the apps of the bench, and undone."""

import glob
import os
import shutil

# How long the patch of `slow` takes that somebody is to be killed in.
SLOW = """import time


def execute():
    print("scenario: a patch begins", flush=True)
    time.sleep(%s)
"""
WELL = "def execute():\n    pass\n"
RAISING = 'def execute():\n    raise Exception("scenario: this patch cannot be applied")\n'


class Image:
    """The apps directory of a bench."""

    def __init__(self, bench, own):
        """`own`: gives a path to the user who owns the bench."""
        self.bench = bench
        self.own = own
        self.patches_txt = self.path("alpha", "alpha", "patches.txt")
        with open(self.patches_txt, encoding="utf-8") as file:
            self.patches_before = file.read()
        self.made = []

    def path(self, *names):
        return os.path.join(self.bench, "apps", *names)

    def write(self, path, text):
        if not os.path.exists(path):
            self.made.append(path)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self.own(path)

    def add_patch(self, name, script):
        """A patch of alpha, after those that are there."""
        directory = self.path("alpha", "alpha", "patches")
        if not os.path.isdir(directory):
            os.makedirs(directory)
            self.made.append(directory)
            self.own(directory)
        self.write(os.path.join(directory, name + ".py"), script)
        with open(self.patches_txt, encoding="utf-8") as file:
            text = file.read().rstrip("\n")
        self.write(self.patches_txt, "%s\nalpha.patches.%s\n" % (text, name))

    def change_patch(self, name, script):
        self.write(self.path("alpha", "alpha", "patches", name + ".py"), script)

    def add_gamma(self):
        """One more app: alpha under another name."""
        target = self.path("gamma")
        self.made.append(target)
        skipped = shutil.ignore_patterns(".git", "__pycache__", "dist", "node_modules", "patches", "patches.txt")
        shutil.copytree(self.path("alpha"), target, ignore=skipped)
        for directory, names, files in os.walk(target, topdown=False):
            for name in files:
                rename_inside(os.path.join(directory, name))
            for name in [*names, *files]:
                if "alpha" in name:
                    os.rename(os.path.join(directory, name), os.path.join(directory, name.replace("alpha", "gamma")))
        self.write(self.path("gamma", "gamma", "patches.txt"), "")
        # As `pip install -e` does.
        for packages in glob.glob(os.path.join(self.bench, "env/lib/python3*/site-packages")):
            self.write(os.path.join(packages, "gamma.pth"), target)
        for directory, names, files in os.walk(target):
            for name in ["", *files]:
                self.own(os.path.join(directory, name))

    def restore(self):
        for path in reversed(self.made):
            if os.path.isdir(path):
                shutil.rmtree(path)
            elif os.path.exists(path):
                os.unlink(path)
        self.made = []
        self.write(self.patches_txt, self.patches_before)


def rename_inside(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("alpha", "gamma").replace("Alpha", "Gamma"))
