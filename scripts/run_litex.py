"""Runs the SoC of docs/litex.md in Verilator and keeps what its firmware printed.

    python scripts/run_litex.py

Writes reports/litex.json where all rows were those of the golden model.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from exaq.tool import ToolError
from exaq_cli.files import write_text
from exaq_litex.example.example_record import record
from exaq_litex.example.example_run import run_example

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "reports" / "litex.json"


def main() -> int:
    """The exit code: 2 where a tool is missing or fails, 1 where rows differ."""
    logging.disable(logging.INFO)  # LiteX tells of all that it does
    try:
        console = run_example(ROOT / "build" / "litex")
    except (ToolError, OSError) as error:
        print(f"run_litex: error: {error}", file=sys.stderr)
        return 2
    print(console, end="")
    if not console.endswith("PASSED\n"):
        return 1
    told = {**record(), "console": console.splitlines()}
    with write_text(REPORT) as file:
        file.write(json.dumps(told, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
