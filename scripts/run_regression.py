"""Simulates the runs of the regression whose record is missing or stale, and records what they hit.

    python scripts/run_regression.py                    what changed, one run after the other
    python scripts/run_regression.py -n 2               two at a time, as make regression does
    python scripts/run_regression.py --all              every run
    python scripts/run_regression.py -k "3bit and verilator"
    python scripts/run_regression.py --collect-only -q  what there is

A run is the emitted Verilog of one configuration in Verilator or Icarus, against the golden model.
Records are kept in reports/regression.json, each as soon as its run has passed. Other options are
those of pytest. tb/rtl/test_rtl_regression.py says what each run is, and what it leaves behind.
"""

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    root = Path(__file__).resolve().parents[1]
    arguments = sys.argv[1:]
    which = "all" if "--all" in arguments else "stale"
    tests = str(root / "tb/rtl/test_rtl_regression.py")
    sys.exit(
        pytest.main(
            [
                *("--rootdir", str(root), "-c", str(root / "pyproject.toml")),
                *(f"{tests}::test_emitted_verilog", f"--simulate={which}", "--record"),
                *(argument for argument in arguments if argument != "--all"),
            ]
        )
    )
