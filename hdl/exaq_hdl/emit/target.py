"""What a unit is emitted for: an FPGA, or a chip, whose memories and reset are others.

>>> from exaq_hdl.emit.target import Target
>>> Target(kind="asic", ram="single-port").memories("unit").single_port
True
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from exaq.scalars import choice, integer
from exaq_hdl.emit.names import inner_name

if TYPE_CHECKING:
    from exaq_hdl.parts.memory import Memories

KINDS = ("fpga", "asic")
RAMS = ("two-port", "single-port")
RAM_MODELS = ("behavioural", "absent")
RESETS = ("sync", "async")


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a unit is emitted for. The bits that it gives are the same for all.

    Parameters
    ----------
    kind
        ``"fpga"``: memories are block RAM, with depths that its tools take best. ``"asic"``: each
        memory is a module of its size, for a macro; small ones are flops, ROMs are ``case``, queues
        have no place too many, and nothing has an initial value or an attribute of an FPGA. The
        other parameters are of this one.
    ram
        ``"two-port"``, or ``"single-port"``: the two large queues have memories that read or write
        in a cycle, two items a word.
    ram_latency
        Cycles from the address of a queue's memory to its word: 1, or 2 for macros that are slow.
    ram_model
        ``"behavioural"``, or ``"absent"``: the text has no model of the arrays.
    reset
        ``"sync"``, or ``"async"``: flops that have a reset are cleared without a clock. Its end
        has to be synchronous to the clock.

    Raises
    ------
    ValueError
        Something is not legal, or is for a chip alone.
    """

    kind: str = "fpga"
    ram: str = "two-port"
    ram_latency: int = 1
    ram_model: str = "behavioural"
    reset: str = "sync"

    def __post_init__(self) -> None:
        choice("target", self.kind, KINDS)
        choice("ram", self.ram, RAMS)
        integer("ram_latency", self.ram_latency, 1, 2)
        choice("ram_model", self.ram_model, RAM_MODELS)
        choice("reset", self.reset, RESETS)
        if self.kind == "fpga":
            for each in fields(self)[1:]:
                if getattr(self, each.name) != each.default:
                    raise ValueError(f"{each.name} is for the target asic alone")

    def memories(self, name: str) -> Memories:
        """The memories of a design whose top module is ``name``."""
        # Imported late: what there is to choose needs no Amaranth.
        from exaq_hdl.parts.asic_memory import AsicMemories
        from exaq_hdl.parts.memory import Memories

        if self.kind == "fpga":
            return Memories(ram_module=inner_name(name, "ram"))
        return AsicMemories(
            name=name,
            models=self.ram_model == "behavioural",
            single_port=self.ram == "single-port",
            queue_read_cycles=self.ram_latency,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


FPGA = Target()
