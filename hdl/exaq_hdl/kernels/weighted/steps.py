"""What a lane's computation gets its registers and tables from."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Value, unsigned

from exaq_hdl.parts.memory import Memories
from exaq_hdl.parts.pipeline import Pipeline


class Steps:
    """The part of a pipeline that is a lane's own, in places 0, 1, 2 and so on.

    A value belongs to a place. What is computed of values in one place is in that place; a register
    or a table takes it to the next one.

    Parameters
    ----------
    m
        Module that gets the registers and tables.
    pipeline
        Pipeline of all lanes.
    first
        Its place that is place 0 here.
    name
        Name of the lane, which its registers and tables begin with.
    memories
        Makes the tables.
    """

    def __init__(self, m: Module, pipeline: Pipeline, *, first: int, name: str, memories: Memories):
        self._m = m
        self._pipeline = pipeline
        self._first = first
        self._name = name
        self._memories = memories

    def step(self, place: int, value: Value, name: str) -> Any:
        """``value`` of ``place``, in the next place: a register."""
        return self._pipeline.step(self._first + place, value, f"{self._name}_{name}")

    def carry(self, place: int, value: Value, name: str, last: int) -> Any:
        """``value`` of ``place``, in place ``last``: as many registers as are between."""
        for each in range(place, last):
            value = self.step(each, value, name)
        return value

    def look_up(
        self, place: int, words: Sequence[int], width: int, address: Value, name: str
    ) -> Any:
        """Word at ``address`` of ``place``, in the next place, from a table of the lane's own.

        ``words`` are as many as the address can say, each of ``width`` bits. Logic holds a small
        table, block RAM a large one (``exaq_hdl.parts.memory.ROM_BLOCK_BITS``).
        """
        if len(words) != 1 << len(address):
            raise ValueError(
                f"a table behind an address of {len(address)} bits has {1 << len(address)} words, "
                f"not {len(words)}"
            )
        table = self._memories.rom(
            unsigned(width), [int(word) for word in words], holds=f"table of {name} of a lane"
        )
        self._m.submodules[f"{self._name}_{name}"] = table
        port = table.read_port()
        self._m.d.comb += [
            port.addr.eq(address),
            port.en.eq(self._pipeline.moves[self._first + place]),
        ]
        return port.data


class RowItem:
    """The item of the row that a beat belongs to, in every place of the emitter's pipeline.

    Lanes share its registers.
    """

    def __init__(self, pipeline: Pipeline, fields: dict[str, Value]):
        self._pipeline = pipeline
        self._places = {name: [value] for name, value in fields.items()}

    def at(self, place: int, name: str) -> Any:
        """The field ``name`` in ``place``."""
        values = self._places[name]
        while len(values) <= place:
            values.append(self._pipeline.step(len(values) - 1, values[-1], f"row_{name}"))
        return values[place]
