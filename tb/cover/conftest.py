"""Lets tests of the regression's coverage use the regression."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "rtl"))
