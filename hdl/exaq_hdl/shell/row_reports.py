"""What the receiver tells of a row when it closes it: only what the unit has a use for."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from exaq import StreamFormat


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """A cycle of the receiver.

    Members
    -------
    beat : the beat that is offered, a logit_beat
    taken : it is taken, and belongs to a row that is not too long yet
    closes : it closes its row
    too_long : it closes its row because that is too long
    bad : it has an element that puts its row in error
    out : the row_beat that the receiver registers
    """

    beat: Any
    taken: Value
    closes: Value
    too_long: Value
    bad: Value
    out: Any


class RowReport(Protocol):
    """A report of the receiver: its ports there, and what drives them."""

    @property
    def ports(self) -> dict[str, wiring.Member]: ...

    def watch(self, m: Module, receiver: Any, cycle: Cycle) -> None:
        """Drive the ports of ``receiver``, a cycle later."""


class LongRows:
    """``long_row``: the row whose last beat is on ``o`` was too long."""

    ports: ClassVar = {"long_row": Out(1)}

    def watch(self, m: Module, receiver: Any, cycle: Cycle) -> None:
        m.d.sync += receiver.long_row.eq(cycle.taken & cycle.too_long)


class ContextNumbers:
    """``context``: that of the row whose last beat is on ``o``."""

    def __init__(self, format: StreamFormat):
        self.ports = {"context": Out(format.context_bits)}

    def watch(self, m: Module, receiver: Any, cycle: Cycle) -> None:
        m.d.sync += receiver.context.eq(cycle.beat.context)


class UnknownContexts:
    """``unknown``: no such context exists. The row is computed by context 0, with an error."""

    ports: ClassVar = {"unknown": Out(1)}

    def __init__(self, format: StreamFormat):
        self._contexts = format.contexts

    def watch(self, m: Module, receiver: Any, cycle: Cycle) -> None:
        unknown = cycle.beat.context >= self._contexts
        m.d.sync += receiver.unknown.eq(unknown)
        with m.If(unknown & cycle.closes):
            m.d.sync += cycle.out.error.eq(1)


class BadNumbers:
    """An element of the row was NaN or +inf. The row gets an error, on its last beat."""

    ports: ClassVar[dict[str, wiring.Member]] = {}

    def watch(self, m: Module, receiver: Any, cycle: Cycle) -> None:
        # Of the row's beats before.
        seen = Signal(name="bad_seen")
        with m.If(cycle.taken):
            m.d.sync += seen.eq((seen | cycle.bad) & ~cycle.closes)
        with m.If((seen | cycle.bad) & cycle.closes):
            m.d.sync += cycle.out.error.eq(1)


def row_reports(format: StreamFormat) -> tuple[RowReport, ...]:
    """The reports that a unit of ``format`` has a use for."""
    found: list[RowReport] = []
    if format.contexts:
        found.append(LongRows())
    if format.context_bits:
        found.append(ContextNumbers(format))
    if _has_unknown(format):
        found.append(UnknownContexts(format))
    if format.float_format is not None:
        found.append(BadNumbers())
    return tuple(found)


def known_context(format: StreamFormat, receiver: Any) -> Value:
    """The context that a row is computed by, of a unit with several contexts."""
    if _has_unknown(format):
        return Mux(receiver.unknown, 0, receiver.context)
    return receiver.context


def _has_unknown(format: StreamFormat) -> bool:
    return 0 < format.contexts < 1 << format.context_bits
