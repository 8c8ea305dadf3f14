"""What every kernel's hardware is to the shell round it.

A kernel unit is no component of its own: it places its blocks beside those of the shell, in one
module, so that the emitted Verilog is one level deep and each block has a name there. To the shell
it declares its latencies, what goes with a row, and its streams; docs/extending.md makes one.

    >>> from exaq import SoftmaxConfig
    >>> from exaq_hdl.kernels import unit_kind
    >>> unit_kind(SoftmaxConfig().kernel).__name__
    'ExaqUnit'
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from amaranth.hdl import Const, Module, Value

from exaq import Kernel
from exaq_hdl.parts.component import Component, Stream
from exaq_hdl.parts.memory import Memories
from exaq_hdl.shell.ports import Fields, Ports
from exaq_hdl.shell.streams import probability_fields


@dataclass(frozen=True, kw_only=True)
class ClosedRow:
    """A row as the receiver closes it.

    Members
    -------
    last : its last beat is on the receiver's output
    since_taken : cycles since that beat was taken
    context : what it is computed by, where there are several contexts; goes with ``last``
    numbered : the context that it came with, likewise
    maximum_latency : cycles from here to its maximum
    """

    last: Value
    since_taken: int
    context: Value
    numbered: Value
    maximum_latency: int


#: No ports, no fields.
NOTHING: Mapping[str, Any] = {}


class KernelUnit(ABC):
    """Hardware of a kernel, for the shell to place.

    Members
    -------
    beats : stream of row_beat, in. A beat may be taken once ``rows`` has an item of its row
    rows : stream of the row's maximum, in offset binary, with ``row_fields``; one item a row,
        taken with the row's last beat or before. None: a kernel of one pass, which takes beats as
        they come: ``beats`` is always ready, and the receiver looks at ``room``
    room : of a kernel of one pass, whether the receiver may take another beat; what is inside then
        still fits
    o : stream of ``output``, out
    prepare : cycles from an item of ``rows`` offered until a beat of its row is taken
    whole_row : whether a row's first probability waits for the row's last beat
    latency : cycles from a beat taken to a probability offered: from the row's last beat to its
        first probability with ``whole_row``, from its first beat without; of a kernel of one pass
        without it, from each beat to what leaves for it
    hold : cycles that a row's beats may stay in the kernel after its last one
    results_latency : with row results, cycles from a row's last beat taken to its results offered
    results_waiting : with row results, rows whose results can wait while all their elements leave
    row_fields : what goes with a row beside its maximum, by name: shapes
    least_maximum : what every item of ``rows`` is at least: the sink that all rows share
    boot_cycles : cycles after reset in which the unit takes no beat
    """

    beats: Stream
    rows: Stream | None
    o: Stream
    room: Value = Const(1)
    prepare: int = 0
    whole_row: bool = True
    latency: int
    hold: int
    results_latency: int = 0
    results_waiting: int = 0
    row_fields: Mapping[str, Any] = NOTHING
    least_maximum: int = 0
    boot_cycles: int = 0

    @abstractmethod
    def __init__(self, kernel: Any, memories: Memories):
        """Make the blocks for ``kernel``, a Kernel settled for a stream format."""

    @classmethod
    def ports(cls, kernel: Any) -> Ports:
        """Further ports of a unit with ``kernel``, which ``connect`` drives."""
        return {}

    @classmethod
    def output(cls, kernel: Any) -> Fields:
        """A beat of ``o`` of a unit with ``kernel``."""
        return probability_fields(kernel.format)

    @property
    @abstractmethod
    def blocks(self) -> dict[str, Component]:
        """The blocks, by the names that they have beside those of the shell."""

    @abstractmethod
    def connect(self, m: Module, unit: Component) -> None:
        """Join the blocks in the module ``m`` that has them; drive the ``ports`` of ``unit``."""

    def row_values(self, m: Module, row: ClosedRow) -> dict[str, Value]:
        """The ``row_fields`` of a row, ``row.maximum_latency`` cycles after ``row``."""
        return {}

    def admit(self, room: Value) -> Value:
        """Whether the receiver may take a beat where the shell has ``room`` for it."""
        return room

    @property
    def empty_row(self) -> Value:
        """Pulse: a row was found to have no live element; for the counters of ``ports``."""
        return Const(0)

    def expect_rows(self, rows: int) -> None:
        """Told before ``connect``: rows that can be between their last beat in and their end."""
        self.rows_inside = rows

    def manifest(self) -> dict[str, Any]:
        """What the manifest says of the kernel: plain values for JSON."""
        return {}


_UNITS: dict[type[Kernel], type[KernelUnit]] = {}

U = TypeVar("U", bound=type[KernelUnit])


def hardware_of(kernel: type[Kernel]) -> Callable[[U], U]:
    """Decorator: the KernelUnit, made as ``unit(kernel, memories)``, is that of ``kernel``."""

    def register(unit: U) -> U:
        _UNITS[kernel] = unit
        return unit

    return register


def make_unit(kernel: Kernel, memories: Memories) -> KernelUnit:
    """The hardware of a kernel that is settled for a stream format.

    Raises
    ------
    TypeError
        Nobody has registered any for kernels of its kind.
    """
    return unit_kind(kernel)(kernel, memories)


def unit_kind(kernel: Kernel) -> type[KernelUnit]:
    """The class of a kernel's hardware; errors as ``make_unit``."""
    if type(kernel) not in _UNITS:
        raise TypeError(f"the kernel {kernel.name} has a golden model and no hardware")
    return _UNITS[type(kernel)]
