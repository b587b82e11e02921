"""`python -m standin.yarn ORDER`: the child of `build`, which only starts another."""

import subprocess
import sys

if __name__ == "__main__":
    sys.exit(subprocess.run([sys.executable, "-S", "-m", "standin.node", sys.argv[1]], close_fds=True).returncode)
