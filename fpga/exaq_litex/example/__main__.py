"""Builds the SoC in a folder, runs it in Verilator, and prints what its firmware prints.

    python -m exaq_litex.example [FOLDER]

The folder is build/litex unless another one is given.
"""

import logging
import sys
from pathlib import Path

from exaq.tool import ToolError
from exaq_litex.example.example_run import run_example


def main(arguments: list[str]) -> int:
    """The exit code: 2 where a tool is missing or fails, 1 where rows differ."""
    folder = Path(arguments[0] if arguments else "build/litex")
    logging.disable(logging.INFO)  # LiteX tells of all that it does
    try:
        console = run_example(folder)
    except (ToolError, OSError) as error:
        print(f"exaq_litex: error: {error}", file=sys.stderr)
        return 2
    print(console, end="")
    return 0 if console.endswith("PASSED\n") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
