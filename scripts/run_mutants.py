"""Tries mutants of units in the scenarios of the regression, and says which ones nobody notices.

    python scripts/run_mutants.py                     units whose record is missing or stale
    python scripts/run_mutants.py --all               every unit
    python scripts/run_mutants.py 2bit-x2 baps-x2     these units, of what is missing or stale
    python scripts/run_mutants.py --none              none: the tables of docs/verification.md alone

Records are kept in reports/mutants.json, each as soon as its unit is done. A survivor that is not
proved to be the unit needs a reason in tb/mutants/mutants_reasons.toml, or the command fails.
"""

import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    root = Path(__file__).resolve().parents[1]
    sys.path += [str(root / "tb" / folder) for folder in ("mutants", "rtl")]
    sys.exit(import_module("mutants_command").main(__doc__))
