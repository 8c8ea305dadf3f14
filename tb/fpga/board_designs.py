"""The boards' default designs, prepared once for all tests of a process."""

from __future__ import annotations

from functools import cache

from exaq_fpga.boards import BOARDS
from exaq_fpga.flow.bitstreams.prepared import Prepared, prepare


@cache
def prepared(name: str) -> Prepared:
    """The default design of board ``name``."""
    return prepare(BOARDS[name])
