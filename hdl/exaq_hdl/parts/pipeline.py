"""Registers in a row, of which those that wait for the end let others close up behind them."""

from typing import Any

from amaranth.hdl import Module, Signal, Value


class Pipeline:
    """Places of a pipeline in a module: what is in place k moves to place k + 1.

    Place 0 is in front of the first register, place ``depth`` behind the last one. A place moves
    on unless ``blocked`` and every place behind it is held: a gap never waits. Latency ``depth``
    cycles, throughput 1 item per cycle.

    Parameters
    ----------
    m
        Module that gets the registers.
    depth
        Registers, at least 1.
    valid
        Whether there is an item in place 0.
    blocked
        Whether the item in place ``depth``, if there is one, must stay.
    closes_up
        False: gaps wait with the items, so the way from ``blocked`` to the first place is short.

    Members
    -------
    held
        A bit for each place: whether an item is there.
    moves
        A bit for each place: whether the item there, if any, moves on; of place 0 whether it is
        taken.
    """

    def __init__(
        self, m: Module, depth: int, valid: Value, blocked: Value, *, closes_up: bool = True
    ):
        self._m = m
        self.depth = depth
        self.held, self.moves = Signal(depth + 1), Signal(depth + 1)
        m.d.comb += self.held[0].eq(valid)
        for place in range(depth + 1):
            behind = self.held[place + 1 :] if closes_up else self.held[depth]
            m.d.comb += self.moves[place].eq(~(blocked & behind.all()))
        for place in range(depth):
            with m.If(self.moves[place]):
                m.d.sync += self.held[place + 1].eq(self.held[place])

    def step(self, place: int, value: Any, name: str) -> Any:
        """``value``, which belongs to the item in ``place``, once that is in the next place."""
        register = Signal.like(value, name=f"{name}{place + 1}", reset_less=True)
        with self._m.If(self.moves[place]):
            self._m.d.sync += register.eq(value)
        return register

    def carry(self, place: int, value: Any, name: str, last: int) -> Any:
        """``value``, which belongs to the item in ``place``, once that is in place ``last``."""
        for each in range(place, last):
            value = self.step(each, value, name)
        return value
