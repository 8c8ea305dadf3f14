"""Lets the soak use the tables that the regression loads."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "rtl"))
