"""Lets tests of standard cells use what those of the command line use."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "cli"))
