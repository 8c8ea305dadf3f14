"""Enables for the sake of energy: ``clocked``."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from amaranth.hdl import Module, Value


def clocked(m: Module, when: Value, *, chip: bool) -> AbstractContextManager[Any]:
    """For registers that nobody reads unless they were set ``when`` this is 1.

    On a chip they are not clocked else. In an FPGA they take a new value in every cycle: its clock
    runs anyway, and an enable would take routing and a place beside other registers.
    """
    return m.If(when) if chip else nullcontext()
