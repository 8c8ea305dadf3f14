"""Lets tests of the command line use the boards of the link's tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "link"))
