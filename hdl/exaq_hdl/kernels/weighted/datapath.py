"""What a kernel of two passes supplies."""

from abc import ABC, abstractmethod
from typing import Any

from amaranth.hdl import Value

from exaq.kernels.weighted import Weighted
from exaq_hdl.checks import check_kernel
from exaq_hdl.kernels.weighted.steps import RowItem, Steps
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import SIMULATED, Memories

_NAME = "exaq.kernels.weighted.Weighted"


class Datapath(ABC):
    """What the lanes of a kernel compute, and what makes its row items.

    ``weigh`` and ``emit`` are called once a lane, when the blocks round them are elaborated. What
    they return is in the last place of theirs, ``weigh_latency`` or ``emit_latency`` registers
    behind what they get; the block round them puts it into one more register. So a function
    without registers is of latency 0, and a multiplication stands between two of them.

    Parameters
    ----------
    kernel
        Parameters of the kernel, settled for a stream format.

    Members
    -------
    weigh_latency, emit_latency : places that ``weigh`` and ``emit`` take
    memories : makes the finisher's memories; the unit's own, once there is one
    """

    weigh_latency: int
    emit_latency: int
    memories: Memories = SIMULATED

    def __init__(self, kernel: Any):
        self.kernel = check_weighted(kernel)

    @abstractmethod
    def finisher(self) -> Component:
        """The component that makes a row's item of its sum.

        It has a stream ``i`` of ``sum_bits``, a stream ``o`` of ``row_item``, and the attributes
        ``latency``, cycles from a sum offered to its item offered, the same for every sum where
        nothing waits, and ``period``, cycles between two sums that it takes, at most
        ``kernel.finish_period(format)``. A sum of 0, that of a row without a live element, gives
        any item, in the same time.
        """

    @abstractmethod
    def weigh(self, steps: Steps, distance: Value) -> tuple[Value, Value]:
        """Stored word and weight of a distance of ``logit_width`` bits, unsigned.

        The distance is a register in place 0, stored word and weight are in ``weigh_latency``. In a
        lane that is not live the distance is anything, and what is returned is not used.
        """

    @abstractmethod
    def emit(self, steps: Steps, stored: Value, row: RowItem) -> Value:
        """The probability of a stored word with the item of its row, of ``prob_bits`` bits.

        The stored word is in place 0, as the row item is in ``row.at(0, name)``, and the
        probability in ``emit_latency``. Where the kernel has a ``zero``, lanes that are not live
        have that word, and must get the probability 0 with any row item.
        """


def check_weighted(kernel: Any) -> Any:
    """``kernel``, which must be parameters of a Weighted kernel; as ``check_kernel``."""
    return check_kernel(kernel, Weighted, _NAME)  # type: ignore[type-abstract]


def check_datapath(datapath: Any) -> Datapath:
    """``datapath``, a Datapath; TypeError where it is something else."""
    if not isinstance(datapath, Datapath):
        raise TypeError(f"datapath must be a Datapath of a kernel, not {datapath!r}")
    return datapath
