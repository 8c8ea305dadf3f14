"""Tries mutants of the golden model and of calibration, and says which ones no test notices.

    python scripts/run_mutants_python.py              those whose module or test changed
    python scripts/run_mutants_python.py --all        every one that is drawn
    python scripts/run_mutants_python.py --none       none: the tables of docs/verification.md alone
    python scripts/run_mutants_python.py --sample 4   four that were killed, to see them killed

Records are kept in reports/mutants_python.json. A survivor needs a reason in
tb/mutants_python/mutants_python_reasons.toml, or the command fails.
"""

import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    root = Path(__file__).resolve().parents[1]
    sys.path.append(str(root / "tb" / "mutants_python"))
    sys.exit(import_module("mutants_python_command").main(__doc__))
