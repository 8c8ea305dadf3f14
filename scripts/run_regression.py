"""Runs the cocotb regression: the emitted Verilog in Verilator and Icarus against the golden model.

    python scripts/run_regression.py                    everything, and what it must have shown
    python scripts/run_regression.py -k "3bit and verilator"
    python scripts/run_regression.py --collect-only -q  what there is

Options are those of pytest. tb/rtl/test_rtl_regression.py says what each test simulates, and what
it leaves behind.
"""

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    root = Path(__file__).resolve().parents[1]
    folders = ["--rootdir", str(root), "-c", str(root / "pyproject.toml"), str(root / "tb/rtl")]
    sys.exit(pytest.main([*folders, *sys.argv[1:]]))
