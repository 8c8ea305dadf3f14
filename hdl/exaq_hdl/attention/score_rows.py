"""Rows of q against the keys of a bank: where each row begins and ends, and its scores."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from exaq.attention import AttentionConfig
from exaq.attention.attention_config import QUERY_WIDTH
from exaq_hdl.attention.dint_dot import DintDot
from exaq_hdl.attention.operand_store import OperandStore, row_end, up_to
from exaq_hdl.parts.assembly import add_named, late
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.fifo import Fifo
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.shell.ports import Field, Fields, layout
from exaq_hdl.shell.streams import logit_beat


class ScoreRows(Component):
    """Scores of rows of q: of each row with the first keys of the bank, a beat of them in a cycle.

    A row meets all keys; of a causal head the keys up to its own number, rows being counted from 0
    in each head. Several heads may use the same keys: the bank is released behind the last row of
    a head that says so.

    Latency ``latency`` cycles from a row's being taken to its first beat; throughput a beat a
    cycle, rows of ``FULL_RATE_BEATS`` and more following each other without a pause. Back-pressure
    on ``o`` stops rows at any beat. ``q.ready`` and ``keys.ready`` are registers.

    Parameters
    ----------
    config
        The head's parameters.
    multipliers
        As of ``DintDot``.
    memories
        Makes the RAMs of keys and queue.

    Members
    -------
    keys : stream of a key's elements as one ``vector``, and ``last`` with a head's last one, in
    q : stream of query_fields, in
    o : stream of the softmax unit's beats, out; logits are scores without their lowest
        ``score_shift`` bits
    row : stream of row_note, always taken, out: what a row is, a cycle behind its beginning
    room : whether a row may begin, in; looked at ``reaction`` cycles before it is told, at most
    """

    #: Cycles from a look at ``room`` until the row that begins by it is told on ``row``.
    reaction = 3
    #: Beats of the shortest rows that follow each other without a pause.
    FULL_RATE_BEATS = 3

    def __init__(
        self,
        config: AttentionConfig,
        *,
        multipliers: str = "lut",
        memories: Memories = SIMULATED,
    ):
        self.config = config
        format = config.softmax.format
        width = config.head_size * config.key_format.width
        self._store = OperandStore(
            width=width, lanes=config.lanes, most=format.max_row, memories=memories
        )
        self._dot = DintDot(config, multipliers=multipliers)
        # From the look at room, in the cycle of a beat's address, to the queue.
        self._way = way = OperandStore.latency + self._dot.latency
        self._queue = Fifo(
            logit_beat(format), capacity=2, slack=way + 1, place="logic", memories=memories
        )
        self.latency = 2 + way + Fifo.latency
        super().__init__(
            {
                "keys": In(self._store.i.signature.flip()),
                "q": In(stream.Signature(layout(query_fields(config)))),
                "o": Out(stream.Signature(logit_beat(format))),
                "row": Out(stream.Signature(row_note(config), always_ready=True)),
                "room": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        store, dot, queue = self._store, self._dot, self._queue
        for name, block in (("store", store), ("dot", dot), ("queue", queue)):
            add_named(m, name, block)
        wiring.connect(m, wiring.flipped(self.keys), store.i)
        wiring.connect(m, queue.o, wiring.flipped(self.o))

        # The next row, and the one that is under way.
        held = Signal()
        fields = layout(query_fields(self.config))
        coming: Any = Signal(fields, name="next", reset_less=True)
        given: Any = Signal(fields, name="row", reset_less=True)
        # A beat in which no row is under way begins one.
        inside, beat = Signal(), Signal.like(store.address)
        ready, begins, issues, ends = Signal(), Signal(), Signal(), Signal()
        row: Any = Signal.like(given, name="current")
        end = self._end(m, ends, row.last)
        m.d.comb += [
            self.q.ready.eq(~held),
            issues.eq((inside | ready) & queue.room),
            begins.eq(issues & ~inside),
            ends.eq(issues & (beat == end.beat)),
            row.eq(Mux(inside, given, coming)),
        ]
        with m.If(self.q.valid & ~held):
            m.d.sync += [held.eq(1), coming.eq(self.q.payload)]
        with m.If(begins):
            m.d.sync += [held.eq(0), given.eq(coming)]
        with m.If(issues):
            m.d.sync += [inside.eq(~ends), beat.eq(Mux(ends, 0, beat + 1))]
        # Whether the next row has all that it needs, a cycle late: none has behind these events.
        m.d.sync += ready.eq(held & store.loaded & self.room & ~begins & ~store.release)
        m.d.comb += [
            store.address.eq(beat),
            store.read_enable.eq(1),
            store.output_enable.eq(1),
            store.release.eq(ends & row.last & row.release),
        ]
        note = self.row.payload
        m.d.sync += [
            self.row.valid.eq(begins),
            note.keys.eq(store.end),
            note.error.eq(store.error),
            note.release.eq(row.last & row.release),
        ]

        m.d.comb += [
            # The row is in `given` one cycle after its first address, the keys are there two.
            Value.cast(dot.q).eq(late(m, Value.cast(given.q), OperandStore.latency - 1, "q")),
            Value.cast(dot.keys).eq(Value.cast(store.word)),
        ]
        queue_scores(m, dot, queue, self._way, tail=end.tail, last=ends, issued=issues)
        return m

    def _end(self, m: Module, ends: Value, head_ends: Value) -> Any:
        """Where the row ends that is under way or begins next.

        ``ends``: its last beat is issued; ``head_ends``: and it is its head's last row.
        """
        store = self._store
        if not self.config.causal:
            return store.end
        # The place of the key with the row's own number, which stays at the last key.
        own: Any = Signal(row_end(store.beats, self.config.lanes), name="own_end")
        lane, beat = Signal(self.config.lanes, init=1), Signal(range(store.beats))
        m.d.comb += [own.beat.eq(beat), own.tail.eq(up_to(lane))]
        with m.If(ends & head_ends):
            m.d.sync += [beat.eq(0), lane.eq(1)]
        with m.Elif(ends & (own.as_value() != store.end.as_value())):
            m.d.sync += lane.eq(lane.rotate_left(1))
            with m.If(lane[-1]):
                m.d.sync += beat.eq(beat + 1)
        return own


def queue_scores(
    m: Module, dot: DintDot, queue: Fifo, delay: int, *, tail: Value, last: Value, issued: Value
) -> None:
    """Scores to the queue of logits, without their lowest ``score_shift`` bits.

    ``tail``, ``last`` and ``issued`` are of the beat whose scores are there ``delay`` cycles later.
    """
    beat: Any = queue.i.payload
    for lane in range(dot.config.lanes):
        m.d.comb += beat.logits[lane].eq(dot.scores[lane] >> dot.config.score_shift)
    m.d.comb += [
        beat.tail.eq(late(m, tail, delay, "tail")),
        beat.last.eq(late(m, last, delay, "last")),
        queue.i.valid.eq(late(m, issued, delay, "issued", cleared=True)),
    ]


def query_fields(config: AttentionConfig) -> Fields:
    """A row of q."""
    return {
        "q": elements_of_query(config),
        "last": Field(1, "last row of a head, whose rows are counted anew"),
        "release": Field(1, "with q_last: no further head uses these keys and values"),
    }


def elements_of_query(config: AttentionConfig) -> Field:
    """The elements of a row of q."""
    q = data.ArrayLayout(signed(QUERY_WIDTH), config.head_size)
    return Field(q, "elements of q, signed, the first one lowest")


def vector_fields(name: str, size: int, width: int, kind: str) -> Fields:
    """A key or a value of ``size`` elements."""
    meaning = f"elements of a {name}, {kind}, {width} bits each, the first one lowest"
    return {
        "vector": Field(size * width, meaning),
        "last": Field(1, f"last {name} of its head"),
    }


def row_note(config: AttentionConfig) -> data.StructLayout:
    """What the far end of the head has to know of a row.

    ``keys`` is where the bank's keys end, ``error`` that they were too many; ``release``: it is the
    last row that uses the values.
    """
    format = config.softmax.format
    keys = row_end(format.beats, config.lanes)
    return data.StructLayout({"keys": keys, "error": 1, "release": 1})
