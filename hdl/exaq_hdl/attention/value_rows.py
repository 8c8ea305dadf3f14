"""Codes of rows meet the values of a bank: what the sums of values take, beat by beat."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from exaq.attention import AttentionConfig
from exaq_hdl.attention.level_layouts import softmax_fields, value_fields
from exaq_hdl.attention.operand_store import OperandStore
from exaq_hdl.attention.score_rows import row_note
from exaq_hdl.parts.assembly import add_named
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.shell.ports import layout


class ValueRows(Component):
    """Reads the values beside the codes of each row, and says which rows are in error.

    Latency ``latency`` cycles; throughput a beat a cycle, rows of ``FULL_RATE_BEATS`` and more
    following each other without a pause. Back-pressure on ``o`` holds the beats inside.
    ``values.ready`` is a register.

    Parameters
    ----------
    config
        The head's parameters.
    memories
        Makes the RAMs of values.

    Members
    -------
    values : stream of a value's elements as one ``vector``, and ``last`` with a head's last one, in
    codes : stream of softmax_fields, in: codes, or probabilities
    row : stream of row_note, in: what each row is; taken with its first beat
    o : stream of value_fields, out
    error : stream of a bit for each row, always ready, out: a cycle behind its first beat. Keys or
        values were too many, or their numbers differ
    room : whether ``error`` can be taken, in; looked at ``reaction`` cycles before it is told, at
        most
    """

    latency = OperandStore.latency
    #: Cycles from a look at ``room`` until the error of the row that begins by it is told.
    reaction = 3
    #: Beats of the shortest rows that follow each other without a pause.
    FULL_RATE_BEATS = 2

    def __init__(self, config: AttentionConfig, *, memories: Memories = SIMULATED):
        self.config = config
        softmax = config.softmax
        width = config.head_size * config.value_width
        self._store = OperandStore(
            width=width, lanes=config.lanes, most=softmax.format.max_row, memories=memories
        )
        codes = layout(softmax_fields(config))
        super().__init__(
            {
                "values": In(self._store.i.signature.flip()),
                "codes": In(stream.Signature(codes)),
                "row": In(stream.Signature(row_note(config))),
                "o": Out(stream.Signature(layout(value_fields(config)))),
                "error": Out(stream.Signature(1, always_ready=True)),
                "room": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        store, codes = self._store, self.codes.payload
        add_named(m, "store", store)
        wiring.connect(m, wiring.flipped(self.values), store.i)

        # Gaps wait with the beats. An OR, for of an inverse synthesis makes enables that are low
        # active, and such a register does not go into a block RAM.
        held, moves = Signal(self.latency), Signal()
        m.d.comb += moves.eq(self.o.ready | ~held[-1])
        # A beat in which no row is under way begins one. Values are all over the device: what a
        # beat waits for are registers here, and `moves` is the only way through.
        inside, ready = Signal(), Signal()
        goes, begins, ends = Signal(), Signal(), Signal()
        there = self.codes.valid & (inside | ready)
        beat = Signal.like(store.address)
        row: Any = self.row.payload
        releases = Signal()
        m.d.comb += [
            goes.eq(there & moves),
            begins.eq(goes & ~inside),
            ends.eq(goes & codes.last),
            self.codes.ready.eq(goes),
            self.row.ready.eq(begins),
            store.address.eq(beat),
            store.read_enable.eq(moves),
            store.output_enable.eq(moves),
            store.release.eq(ends & Mux(inside, releases, row.release)),
        ]
        with m.If(goes):
            m.d.sync += [inside.eq(~codes.last), beat.eq(Mux(codes.last, 0, beat + 1))]
        with m.If(begins):
            m.d.sync += releases.eq(row.release)
        # Whether the next row has all that it needs, a cycle late: none has behind these events.
        m.d.sync += [
            ready.eq(self.row.valid & store.loaded & self.room & ~begins & ~store.release),
            self.error.valid.eq(begins),
            self.error.payload.eq(
                row.error | store.error | (row.keys.as_value() != store.end.as_value())
            ),
        ]

        out = self.o.payload
        m.d.comb += [
            self.o.valid.eq(held[-1]),
            Value.cast(out.values).eq(Value.cast(store.word)),
        ]
        with m.If(moves):
            m.d.sync += held.eq(Cat(there, held[:-1]))
        for name in value_fields(self.config):
            if name == "values":
                continue
            value = codes[name]
            for place in range(self.latency):
                register = Signal.like(value, name=f"{name}{place + 1}", reset_less=True)
                with m.If(moves):
                    m.d.sync += register.eq(value)
                value = register
            m.d.comb += out[name].eq(value)
        return m
