"""A head's responder and its unit, in Amaranth's simulator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from station_bench import Drain, Feed, Pause, Watch, message_words, messages_of, simulate
from station_rows import ERROR

from exaq.attention import AttentionConfig
from exaq_fpga.gateware.messages.head_responder import HeadResponder
from exaq_fpga.gateware.octets import MESSAGES
from exaq_hdl.attention.attention_head import AttentionHead

Component: Any = wiring.Component


class HeadBoard(Component):
    """A responder and an attention head."""

    pulses = ("taken", "damaged", "overflow", "line_error")

    def __init__(self, config: AttentionConfig, identity: bytes = b"identity"):
        self.unit: Any = AttentionHead(config)
        self.responder: Any = HeadResponder(
            config, identity, outputs_per_beat=self.unit.outputs_per_beat
        )
        ports: dict[str, Any] = {"i": In(MESSAGES), "o": Out(MESSAGES), "active": Out(1)}
        super().__init__(ports | {name: In(1) for name in self.pulses})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.unit = self.unit
        m.submodules.responder = responder = self.responder
        wiring.connect(m, wiring.flipped(self.i), responder.i)
        wiring.connect(m, responder.o, wiring.flipped(self.o))
        responder.connect_unit(m, self.unit)
        m.d.comb += self.active.eq(responder.active)
        m.d.comb += [getattr(responder, name).eq(getattr(self, name)) for name in self.pulses]
        return m


class HeadExchange:
    """Sends ``messages`` and waits for as many answers; of the unit's rows none may be left.

    Members
    -------
    answers
        What came, reports of the line left out.
    reports
        These.
    rows
        That the unit took.
    most_inside
        Rows that it had at a time, at most.
    beats, stalled
        Beats of outputs that were taken, and cycles in which one waited.
    """

    def __init__(
        self,
        board: HeadBoard,
        messages: Sequence[bytes],
        *,
        source: Pause = None,
        sink: Pause = None,
        parts: Sequence[Any] = (),
        limit: int = 60_000,
    ):
        feed, drain = Feed(board.i, message_words(messages), source), Drain(board.o, sink)
        unit = board.unit
        self.rows = self.beats = self.stalled = self.most_inside = 0
        inside = 0

        def count(cycle: int, begins: int, offered: int, ready: int, last: int) -> None:
            nonlocal inside
            self.rows += begins
            self.beats += offered & ready
            self.stalled += offered & ~ready & 1
            inside += begins - (offered & ready & last)
            self.most_inside = max(self.most_inside, inside)

        watched = [unit.q.valid & unit.q.ready, unit.o.valid, unit.o.ready, unit.o.payload.last]
        answers: list[bytes] = []
        parsed = 0

        def done() -> bool:
            nonlocal parsed
            for message in messages_of(drain.words[parsed:]):
                answers.append(message)
                parsed += len(message)
            count = sum(message[:2] != bytes([ERROR, 0]) for message in answers)
            return feed.done and count >= len(messages)

        every = [feed, drain, Watch(watched, count), *parts]
        simulate(board, every, done, limit=limit, more=100)
        done()
        assert parsed == len(drain.words)
        assert not inside
        self.times = drain.times
        self.taken = feed.times
        self.reports = [each for each in answers if each[:2] == bytes([ERROR, 0])]
        self.answers = [each for each in answers if each[:2] != bytes([ERROR, 0])]
        assert len(self.answers) == len(messages)
