"""Two banks of vectors, keys or values: one is read by the beat while the other one is loaded."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import SIMULATED, Memories, Ram


class OperandStore(Component):
    """The vectors of a head, ``lanes`` of them in a word, for rows to pass as often as they like.

    Vectors come one in a cycle. The last one completes a bank, which is then ``loaded`` until it
    is released; meanwhile the next one's vectors go into the other bank. Vectors beyond ``most``
    are dropped, and the bank is in error.

    Latency 2 cycles from ``address`` to ``word``, each step of which has an enable; throughput a
    word a cycle. ``i.ready`` is a register: low while both banks are loaded.

    Parameters
    ----------
    width
        Bits of a vector.
    lanes
        Vectors of a word.
    most
        Vectors of a bank, a multiple of ``lanes``.
    memories
        Makes a RAM for each lane.

    Members
    -------
    i : stream of ``vector``, and ``last`` with the last one, in
    loaded : a bank is there to be read, out
    end : of that bank, out: ``beat``, the address of its last word, and ``tail``, the lanes of that
        word that hold a vector
    error : that bank was over-long, out
    release : it is not needed any more, in; with or behind the last ``read_enable`` for it
    address, read_enable, output_enable : in
    word : array of ``lanes`` vectors, out; lane 0 lowest
    """

    latency = Ram.latency

    def __init__(self, *, width: int, lanes: int, most: int, memories: Memories = SIMULATED):
        self.width, self.lanes = width, lanes
        self.beats = most // lanes
        self._memories = memories
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({"vector": width, "last": 1}))),
                "loaded": Out(1),
                "end": Out(row_end(self.beats, lanes)),
                "error": Out(1),
                "release": In(1),
                "address": In(range(self.beats)),
                "read_enable": In(1),
                "output_enable": In(1),
                "word": Out(data.ArrayLayout(width, lanes)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        complete = Signal(2)
        m.d.comb += [self.i.ready.eq(~complete[1]), self.loaded.eq(complete.any())]
        taken = self.i.valid & self.i.ready
        completes = taken & self.i.payload.last
        with m.If(completes ^ self.release):
            m.d.sync += complete.eq(Mux(completes, complete + 1, complete - 1))

        # Where the next vector goes.
        into, beat, lane = Signal(), Signal(range(self.beats)), Signal(self.lanes, init=1)
        full = Signal()
        with m.If(taken):
            with m.If(self.i.payload.last):
                m.d.sync += [into.eq(~into), beat.eq(0), lane.eq(1), full.eq(0)]
            with m.Elif(lane[-1] & (beat == self.beats - 1)):
                m.d.sync += full.eq(1)
            with m.Else():
                m.d.sync += lane.eq(lane.rotate_left(1))
                with m.If(lane[-1]):
                    m.d.sync += beat.eq(beat + 1)

        # A full bank stays at its last place: what follows is not written, and is an error.
        out_of = Signal()
        ends: list[Any] = [
            Signal(self.end.shape(), name=f"end{k}", reset_less=True) for k in range(2)
        ]
        errors = [Signal(name=f"error{k}", reset_less=True) for k in range(2)]
        for k in range(2):
            with m.If(completes & (into == k)):
                m.d.sync += [
                    ends[k].beat.eq(beat),
                    ends[k].tail.eq(up_to(lane)),
                    errors[k].eq(full),
                ]
        with m.If(self.release):
            m.d.sync += out_of.eq(~out_of)
        m.d.comb += [
            self.end.eq(Mux(out_of, ends[1], ends[0])),
            self.error.eq(Mux(out_of, errors[1], errors[0])),
        ]

        for k in range(self.lanes):
            ram = self._memories.ram(width=self.width, depth=2 * self.beats)
            m.submodules[f"lane{k}"] = ram
            m.d.comb += [
                ram.write_enable.eq(taken & lane[k] & ~full),
                ram.write_address.eq(self._place(beat, into)),
                ram.write_data.eq(self.i.payload.vector),
                ram.read_address.eq(self._place(self.address, out_of)),
                ram.read_enable.eq(self.read_enable),
                ram.output_enable.eq(self.output_enable),
                Value.cast(self.word)[k * self.width : (k + 1) * self.width].eq(ram.read_data),
            ]
        return m

    def _place(self, beat: Value, bank: Value) -> Value:
        """The address of a word in a bank: banks take turns, so that any number of words packs."""
        return Cat(bank, beat)


def row_end(beats: int, lanes: int) -> data.StructLayout:
    """Where a row of vectors ends: the last beat's number, and which lanes of it hold one."""
    return data.StructLayout({"beat": range(beats), "tail": lanes})


def up_to(lane: Value) -> Value:
    """A one for each lane up to the one that ``lane`` has as its only one."""
    return Cat(lane[k:].any() for k in range(len(lane)))
