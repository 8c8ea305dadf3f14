"""Lets tests of the command line use the boards of the link's tests, and the tiny library."""

import sys
from pathlib import Path

for folder in ("link", "asic"):
    sys.path.append(str(Path(__file__).resolve().parent.parent / folder))
