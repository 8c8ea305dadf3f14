"""One attention head: rows of q in, rows of o out, keys and values held inside.

    keys ---> store -+                       values ---> store -+
                     v                                          v
    q ------> dot products --> queue --> softmax -- codes --> levels' sums --> o
                     |                      +------ row sums ----^
                     +------ what a row is ------ ... -------^

Scores are integers and go into the softmax as they are. It gives codes, and a row's sum; so the
values are added up by level, and a row's end multiplies and divides. Several rows are on the way at
once: while one's codes meet the values, the scores of the next ones are made.

With the kernel ``multiply`` the softmax gives probabilities, and each value is multiplied by one:
``WeightedSums`` in the place of the levels' sums. That head is here to compare with.

    >>> from exaq.attention import AttentionConfig
    >>> from exaq_hdl.attention.attention_head import AttentionHead
    >>> head = AttentionHead(AttentionConfig(head_size=32, max_row=256))
    >>> head.full_rate_row
    128

Keys and values may also come from outside with each row, ``operands="streamed"``: then nothing is
stored, and every row of q brings a row of keys and one of values.
"""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from exaq.attention import AttentionConfig
from exaq.scalars import choice
from exaq_hdl.attention.level_layouts import output_fields
from exaq_hdl.attention.level_sums import LevelSums
from exaq_hdl.attention.score_rows import ScoreRows, query_fields, vector_fields
from exaq_hdl.attention.streamed_scores import (
    StreamedScores,
    streamed_key_fields,
    streamed_query_fields,
)
from exaq_hdl.attention.streamed_values import StreamedValues, streamed_value_fields
from exaq_hdl.attention.value_rows import ValueRows
from exaq_hdl.attention.weighted_sums import WeightedSums
from exaq_hdl.parts.assembly import add_named
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.fifo import Fifo
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.parts.register_slice import RegisterSlice
from exaq_hdl.shell.ports import Field, Ports, StreamPort, members
from exaq_hdl.shell.row_shell import Softmax

#: Where keys and values are while rows run.
OPERANDS = ("stored", "streamed")

# Rows between the keys and the values: what the softmax holds of short ones, and more.
_ROWS_INSIDE = 62
# Rows between the values and the outputs.
_ROWS_LEAVING = 14


class AttentionHead(Component):
    """Outputs of rows of q, bit-exact with ``exaq.attention.attend``.

    Keys and values of a head are loaded once and stay for as many rows as there are; meanwhile
    those of the next one are loaded. A row waits for its keys, and its codes for their values.
    Where they are streamed, a row's keys and values come with it, and are not kept.

    Latency: of a row that meets keys in n beats the first beat of outputs is offered
    ``passes`` * n + ``latency`` cycles after the row was taken, if keys and values are loaded and
    nothing before it waits; where they are streamed, after its first beat of keys was taken, if
    nothing waits. Throughput: ``lanes`` keys a cycle, rows of ``full_rate_row`` keys and more
    following each other without a pause, other stored keys a cycle later. Back-pressure on ``o``
    stops everything in the end, and loses nothing. No ``ready`` depends on its own ``valid``; those
    of stored operands are registers.

    Parameters
    ----------
    config
        The head's parameters.
    operands
        ``"stored"``: keys and values are held inside, in two banks. ``"streamed"``: they come from
        outside with each row; such a head can not be causal, since what a row meets is what comes.
    multipliers
        As of ``DintDot``.
    value_multipliers
        As of ``WeightedSums``, where the head has it; None: as ``multipliers``.
    outputs_per_beat
        As of ``LevelSums``; None: the least with which rows of as many keys as half of
        ``max_row`` stream without a pause.
    memories
        Makes the RAMs.

    Members
    -------
    q : stream of query_fields or, where operands are streamed, streamed_query_fields, in
    keys, values : streams of vector_fields, or of streamed_key_fields and streamed_value_fields, in
    o : stream of head_fields, out
    """

    def __init__(
        self,
        config: AttentionConfig,
        *,
        operands: str = "stored",
        multipliers: str = "lut",
        value_multipliers: str | None = None,
        outputs_per_beat: int | None = None,
        memories: Memories = SIMULATED,
    ):
        self.config = config
        self.operands = check_operands(config, operands)
        streamed = operands == "streamed"
        if outputs_per_beat is None:
            outputs_per_beat = usual_outputs_per_beat(config)
        scores = StreamedScores if streamed else ScoreRows
        self._scores = scores(config, multipliers=multipliers, memories=memories)
        self.softmax = Softmax(config.softmax, memories=memories)
        # What stops the sums of values would else reach through the softmax to its row buffer.
        self._codes = RegisterSlice(self.softmax.o.payload.shape())
        self._values: ValueRows | StreamedValues = (
            StreamedValues(config) if streamed else ValueRows(config, memories=memories)
        )
        self._sums: LevelSums | WeightedSums
        if config.by_level:
            self._sums = LevelSums(config, outputs_per_beat=outputs_per_beat, memories=memories)
        else:
            self._sums = WeightedSums(
                config,
                outputs_per_beat=outputs_per_beat,
                multipliers=value_multipliers or multipliers,
                memories=memories,
            )
        self.outputs_per_beat = self._sums.outputs_per_beat
        self._rows = Fifo(
            self._scores.row.payload.shape(),
            capacity=_ROWS_INSIDE,
            slack=scores.reaction,
            memories=memories,
        )
        self._errors = Fifo(
            1,
            capacity=_ROWS_LEAVING,
            slack=self._values.reaction,
            place="logic",
            memories=memories,
        )
        #: Times that all of a row's beats pass, one time behind the other: as scores, as codes
        #: with their values, and between these where the softmax waits for whole rows.
        self.passes = 2 + self.softmax.kernel.whole_row
        # A row's last beat is one less than its beats behind its first: of the scores and at the
        # sums. The softmax's latency says it of a pass within.
        self.latency = (
            self._scores.latency
            + self.softmax.latency
            + RegisterSlice.latency
            + self._values.latency
            + self._sums.latency
            - 2
        )
        #: Keys of the shortest rows that follow each other without a pause.
        self.full_rate_row = config.lanes * max(
            scores.FULL_RATE_BEATS, config.softmax.format.full_rate_beats, self._sums.steps
        )
        super().__init__(members(head_ports(config, self.outputs_per_beat, operands)))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        scores, softmax, values, sums = self._scores, self.softmax, self._values, self._sums
        blocks = {
            "scores": scores,
            "softmax": softmax,
            "codes": self._codes,
            "values": values,
            "sums": sums,
        }
        for name, block in (blocks | {"rows": self._rows, "errors": self._errors}).items():
            add_named(m, name, block)
        for port, inside in (("q", scores.q), ("keys", scores.keys), ("values", values.values)):
            wiring.connect(m, wiring.flipped(getattr(self, port)), inside)
        wiring.connect(m, scores.o, softmax.i)
        wiring.connect(m, scores.row, self._rows.i)
        wiring.connect(m, self._rows.o, values.row)
        wiring.connect(m, softmax.o, self._codes.i)
        wiring.connect(m, self._codes.o, values.codes)
        wiring.connect(m, values.o, sums.i)
        wiring.connect(m, values.error, self._errors.i)
        found, out = sums.o, self.o
        if isinstance(sums, LevelSums):
            m.d.comb += [
                sums.sum.valid.eq(softmax.row.valid),
                sums.sum.payload.sum.eq(softmax.row.payload.sum),
                softmax.row.ready.eq(sums.sum.ready),
            ]
        m.d.comb += [
            scores.room.eq(self._rows.room),
            values.room.eq(self._errors.room),
            out.valid.eq(found.valid),
            out.payload.outputs.eq(found.payload.outputs),
            out.payload.last.eq(found.payload.last),
            # It was there long before the row's last outputs.
            out.payload.error.eq(found.payload.last & self._errors.o.payload),
            found.ready.eq(out.ready),
            self._errors.o.ready.eq(found.valid & out.ready & found.payload.last),
        ]
        return m


def check_operands(config: AttentionConfig, operands: str) -> str:
    """``operands``, which must be one of OPERANDS and fit the head; else a ValueError."""
    choice("operands", operands, OPERANDS)
    if operands == "streamed" and config.causal:
        raise ValueError("operands must be stored in a causal head, not streamed")
    return operands


def usual_outputs_per_beat(config: AttentionConfig) -> int:
    """The least power of two that divides the head's size, and with which the outputs of a row
    leave in no more cycles than half of the longest row takes.
    """
    most = config.head_size & -config.head_size
    beats = max(config.softmax.format.beats // 2, 1)
    per_beat = 1
    while per_beat < most and config.head_size // per_beat > beats:
        per_beat *= 2
    return per_beat


def head_fields(config: AttentionConfig, per_beat: int) -> dict[str, Field]:
    """A beat of a head's outputs."""
    meaning = "keys or values were too many, or their numbers differ; with o_last only"
    return output_fields(config, per_beat) | {"error": Field(1, meaning)}


def head_ports(config: AttentionConfig, per_beat: int, operands: str = "stored") -> Ports:
    """The ports of ``AttentionHead``, each with what it is."""
    if operands == "streamed":
        return {
            "q": StreamPort(In, streamed_query_fields(config), item="row", ready_is_register=True),
            "keys": StreamPort(In, streamed_key_fields(config)),
            "values": StreamPort(In, streamed_value_fields(config)),
            "o": StreamPort(Out, head_fields(config, per_beat)),
        }
    return {
        "q": StreamPort(In, query_fields(config), item="row", ready_is_register=True),
        "keys": StreamPort(
            In,
            vector_fields("key", config.head_size, config.key_format.width, config.keys),
            item="key",
            ready_is_register=True,
        ),
        "values": StreamPort(
            In,
            vector_fields("value", config.head_size, config.value_width, "signed"),
            item="value",
            ready_is_register=True,
        ),
        "o": StreamPort(Out, head_fields(config, per_beat)),
    }
