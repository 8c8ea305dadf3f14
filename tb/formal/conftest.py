"""Lets proofs use the exact arithmetic of the golden model's tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "model"))
