"""How a divider gets its dividends."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module, Value
from amaranth.lib import wiring

from exaq_hdl.kernels.kernel_unit import NOTHING


@dataclass(frozen=True, kw_only=True)
class Ring:
    """Signals of a divider.

    Members
    -------
    fetch : an exponential is taken in this cycle
    level : its level
    row_ends : the row needs no more; an exponential taken in this cycle is of no use
    """

    fetch: Value
    level: Value
    row_ends: Value


class ExponentialReader(ABC):
    """Gives a divider the exponentials E_k one after the other.

    Members
    -------
    prelude : cycles from a row's first in the divider until its first exponential is there
    ports : further ports of divider and normalizer, which their surroundings drive
    """

    prelude: int
    ports: Mapping[str, wiring.Member] = NOTHING

    @abstractmethod
    def look_up(self, m: Module, divider: Any, ring: Ring) -> tuple[Value, Value]:
        """Place what looks up E_level of the row at ``divider.i``; returns it, and whether it is
        there. Once it is, so are the row's next ones, each in the cycle after one has been taken.
        """

    @abstractmethod
    def pass_on(self, m: Module, normalizer: Any, divider: Any) -> None:
        """Join the ``ports`` of ``normalizer`` with those of ``divider``."""
