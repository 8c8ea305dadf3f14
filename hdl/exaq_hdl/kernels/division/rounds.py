"""When divisions enter a ring of steps and when they leave it: ``OneHotRounds``, ``CountedRounds``.

The divisions of a batch, one for each of ``units`` steps, enter in the first cycles of a round, one
a cycle, and each leaves ``steps`` cycles after it has entered. A round has ``cycles`` cycles, which
is at least ``steps``. It begins when a batch does; cycles in which the ring stands still do not
count.

Members of both: ``waits`` in the first cycle of a round, which lasts until a batch begins;
``entering`` in those in which the batch's other divisions enter; ``leaving`` where a division
leaves; ``draining`` where one leaves soon, for the cycles in which a round waits.
"""

from amaranth.hdl import Cat, Module, Signal, Value

from exaq_hdl.parts.counters import wrapped_increment


class OneHotRounds:
    """A bit for each cycle of the round and for each place of a division: an FPGA's flip-flops are
    more than its gates, and nothing is decoded.
    """

    def __init__(self, cycles: int, steps: int, units: int):
        self._cycle = Signal(cycles, init=1, name="cycle")
        # Whether a division that entered so many cycles ago is one; the last ones are done.
        self._inside = Signal(steps, name="inside")
        self.waits, self.entering = self._cycle[0], self._cycle[1:units].any()
        self.leaving, self.draining = self._inside[-1], self._inside[-units:].any()

    def run(self, m: Module, begin: Value, load: Value) -> None:
        """A cycle of the ring, in which a batch may ``begin``; ``load``: a division enters."""
        m.d.sync += self._inside.eq(Cat(load, self._inside))
        with m.If(begin | ~self.waits):
            m.d.sync += self._cycle.eq(self._cycle.rotate_left(1))


class CountedRounds:
    """A number for the cycle of the round: a chip's flops are larger than its gates, and each is
    clocked.
    """

    def __init__(self, cycles: int, steps: int, units: int):
        self._cycles = cycles
        self._cycle = Signal(range(cycles), name="cycle")
        # The last cycle was the round's last one.
        self._full = Signal(name="full")
        # A batch's first division leaves in a cycle of its own, its others behind it.
        self._first = self._full if steps == cycles else self._cycle == steps
        self._others = Signal(units - 1, name="others")
        self.waits = self._cycle == 0
        self.entering = ~self.waits & (self._cycle < units)
        self.leaving = self.draining = self._first | self._others.any()

    def run(self, m: Module, begin: Value, load: Value) -> None:
        """As of ``OneHotRounds``."""
        m.d.sync += [
            self._full.eq(self._cycle == self._cycles - 1),
            self._others.eq(Cat(self._first, self._others)),
        ]
        with m.If(begin | ~self.waits):
            m.d.sync += self._cycle.eq(wrapped_increment(self._cycle, self._cycles))
