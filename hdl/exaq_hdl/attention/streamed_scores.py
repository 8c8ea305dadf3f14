"""Rows of q against keys that come with each row, from outside."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from exaq.attention import AttentionConfig
from exaq_hdl.attention.dint_dot import DintDot
from exaq_hdl.attention.score_rows import elements_of_query, queue_scores
from exaq_hdl.parts.assembly import add_named
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.fifo import Fifo
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.shell.ports import Field, Fields, layout
from exaq_hdl.shell.streams import logit_beat


class StreamedScores(Component):
    """Scores of rows of q, each with the keys that follow it on a stream, a beat in a cycle.

    A row of q waits for its first beat of keys, and the keys for their row. Keys beyond ``max_row``
    are taken and dropped, and the row is in error.

    Latency ``latency`` cycles from a beat's being taken; throughput a beat a cycle, rows of
    ``FULL_RATE_BEATS`` and more following each other without a pause. ``q.ready`` is a register,
    ``keys.ready`` a gate behind two.

    Parameters
    ----------
    config
        The head's parameters.
    multipliers
        As of ``DintDot``.
    memories
        Makes the queue's RAM.

    Members
    -------
    q : stream of streamed_query_fields, in
    keys : stream of streamed_key_fields, in
    o : stream of the softmax unit's beats, out, as of ``ScoreRows``
    row : stream of streamed_row_note, always taken, out: with the last beat of a row
    room : whether a beat may be taken that ends a row, in
    """

    #: Cycles from a look at ``room`` until what was then let through is counted behind ``row``.
    reaction = 3
    #: Beats of the shortest rows that follow each other without a pause.
    FULL_RATE_BEATS = 2

    def __init__(
        self,
        config: AttentionConfig,
        *,
        multipliers: str = "lut",
        memories: Memories = SIMULATED,
    ):
        self.config = config
        format = config.softmax.format
        self._dot = DintDot(config, multipliers=multipliers)
        # From the look at room, which is a cycle before a beat is taken, to the queue.
        self._queue = Fifo(
            logit_beat(format),
            capacity=2,
            slack=self._dot.latency + 2,
            place="logic",
            memories=memories,
        )
        self.latency = self._dot.latency + Fifo.latency
        super().__init__(
            {
                "keys": In(stream.Signature(layout(streamed_key_fields(config)))),
                "q": In(stream.Signature(layout(streamed_query_fields(config)))),
                "o": Out(stream.Signature(logit_beat(format))),
                "row": Out(stream.Signature(streamed_row_note(config), always_ready=True)),
                "room": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        dot, queue, keys = self._dot, self._queue, self.keys.payload
        for name, block in (("dot", dot), ("queue", queue)):
            add_named(m, name, block)
        wiring.connect(m, queue.o, wiring.flipped(self.o))

        # The next row, and the one that is under way.
        held, inside, allowed = Signal(), Signal(), Signal()
        shape = Value.cast(self.q.payload).shape()
        coming = Signal(shape, name="next", reset_less=True)
        given = Signal(shape, name="row", reset_less=True)
        # What follows the last beat that a row may have is dropped.
        dropping = Signal()
        beat = Signal(range(self.config.softmax.format.beats))
        taken, issues, closes, full = Signal(), Signal(), Signal(), Signal()
        m.d.sync += allowed.eq(queue.room & self.room)
        m.d.comb += [
            self.q.ready.eq(~held),
            self.keys.ready.eq(inside & allowed),
            taken.eq(self.keys.valid & self.keys.ready),
            full.eq(beat == self.config.softmax.format.beats - 1),
            issues.eq(taken & ~dropping),
            closes.eq(issues & (keys.last | full)),
        ]
        with m.If(self.q.valid & ~held):
            m.d.sync += [held.eq(1), coming.eq(Value.cast(self.q.payload))]
        with m.If(~inside | (taken & keys.last)):
            m.d.sync += [inside.eq(held), given.eq(coming)]
            with m.If(held):
                m.d.sync += held.eq(0)
        with m.If(taken):
            m.d.sync += dropping.eq((dropping | full) & ~keys.last)
        with m.If(issues):
            m.d.sync += beat.eq(Mux(closes, 0, beat + 1))
        m.d.sync += [self.row.valid.eq(closes), self.row.payload.error.eq(~keys.last)]

        ones = (1 << self.config.lanes) - 1
        m.d.comb += [
            Value.cast(dot.q).eq(given),
            Value.cast(dot.keys).eq(Value.cast(keys.keys)),
        ]
        tail = Mux(keys.last, keys.tail, ones)
        queue_scores(m, dot, queue, dot.latency, tail=tail, last=closes, issued=issues)
        return m


def streamed_query_fields(config: AttentionConfig) -> Fields:
    """A row of q whose keys and values come with it."""
    return {"q": elements_of_query(config)}


def streamed_key_fields(config: AttentionConfig) -> Fields:
    """A beat of keys, for one row of q."""
    width = config.key_format.width
    keys = data.ArrayLayout(config.head_size * width, config.lanes)
    meaning = f"keys, lane 0 lowest, each of elements {config.keys}, {width} bits, the first lowest"
    return {
        "keys": Field(keys, meaning),
        "tail": Field(config.lanes, "lanes that hold a key; with keys_last only"),
        "last": Field(1, "last beat of a row's keys"),
    }


def streamed_row_note(config: AttentionConfig) -> data.StructLayout:
    """What the far end of the head has to know of a row: ``error``, its keys were too many."""
    return data.StructLayout({"error": 1})
