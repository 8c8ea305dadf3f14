"""Drives a board's streams cycle by cycle, in Amaranth's simulator."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from station_rows import ERROR

from exaq import SoftmaxConfig
from exaq_fpga.gateware.messages.responder import Responder
from exaq_fpga.gateware.octets import MESSAGES
from exaq_fpga.link.protocol import buffer_octets
from exaq_hdl.shell.row_shell import Softmax

Pause = Iterator[bool] | None


def stalls(seed: int, probability: float = 0.5) -> Iterator[bool]:
    """A flag a cycle, true to pause, in runs of changing density."""
    rng = random.Random(seed)
    while True:
        level = rng.choice([0.0, probability, 1 - (1 - probability) / 4])
        for _ in range(rng.randrange(1, 40)):
            yield rng.random() < level


class Feed:
    """Offers ``words`` to a stream; ``times`` are the cycles in which they were taken.

    While nothing is offered, the payload is noise. ``gate``: whether the word of a
    number may go.
    """

    def __init__(
        self,
        stream: Any,
        words: Sequence[int],
        pause: Pause = None,
        gate: Callable[[int], bool] | None = None,
    ):
        self.words = list(words)
        self.times: list[int] = []
        self.signals = [stream.ready]
        self._stream, self._pause, self._gate = stream, pause, gate
        self._payload = Value.cast(stream.payload)
        self._noise = random.Random(1)
        self._offered = False

    @property
    def done(self) -> bool:
        return len(self.times) == len(self.words)

    def before(self, ctx: Any) -> None:
        paused = self._pause is not None and next(self._pause)
        if not self._offered:
            open_gate = self._gate is None or self._gate(len(self.times))
            self._offered = not (self.done or paused) and open_gate
            noise = self._noise.getrandbits(len(self._payload))
            ctx.set(self._stream.valid, int(self._offered))
            ctx.set(self._payload, self.words[len(self.times)] if self._offered else noise)

    def after(self, cycle: int, sampled: list[int]) -> None:
        if self._offered and sampled[0]:
            self.times.append(cycle)
            self._offered = False


class Drain:
    """Takes words from a stream, and fails where one is withdrawn or changes."""

    def __init__(self, stream: Any, pause: Pause = None):
        self.words: list[int] = []
        self.times: list[int] = []
        self.signals = [stream.valid, Value.cast(stream.payload)]
        self._stream, self._pause = stream, pause
        self._held: int | None = None
        self._open = 0

    def before(self, ctx: Any) -> None:
        self._open = int(not (self._pause is not None and next(self._pause)))
        ctx.set(self._stream.ready, self._open)

    def after(self, cycle: int, sampled: list[int]) -> None:
        valid, payload = sampled
        if self._held is not None:
            assert (valid, payload) == (1, self._held), f"cycle {cycle}: an offer changed"
        self._held = payload if valid and not self._open else None
        if valid and self._open:
            self.words.append(payload)
            self.times.append(cycle)


class Watch:
    """Calls ``function`` with the cycle and the values of ``signals`` in it."""

    def __init__(self, signals: Sequence[Any], function: Callable[..., None]):
        self.signals = [Value.cast(signal) for signal in signals]
        self._function = function

    def before(self, ctx: Any) -> None:
        pass

    def after(self, cycle: int, sampled: list[int]) -> None:
        self._function(cycle, *sampled)


class Drive:
    """Sets ``signals`` to what ``function`` gives for each cycle."""

    signals: Sequence[Any] = ()

    def __init__(self, driven: Sequence[Any], function: Callable[[int], Sequence[int]]):
        self._driven, self._function = driven, function
        self._cycle = 0

    def before(self, ctx: Any) -> None:
        values = self._function(self._cycle)
        for signal, value in zip(self._driven, values, strict=True):
            ctx.set(Value.cast(signal), value)
        self._cycle += 1

    def after(self, cycle: int, sampled: list[int]) -> None:
        pass


def simulate(
    component: Any,
    parts: Sequence[Any],
    done: Callable[[], bool],
    *,
    limit: int = 30000,
    more: int = 60,
) -> None:
    """Run ``component`` until ``done`` and ``more`` cycles on; ``limit`` cycles are a failure."""

    async def drive(ctx: Any) -> None:
        left = more
        signals = [signal for part in parts for signal in part.signals]
        for cycle in range(limit):
            for part in parts:
                part.before(ctx)
            _, _, *sampled = await ctx.tick().sample(*signals)
            for part in parts:
                part.after(cycle, [sampled.pop(0) for _ in part.signals])
            left -= done()
            if not left:
                return
        raise AssertionError(f"not done after {limit} cycles")

    simulator: Any = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()


def message_words(messages: Sequence[bytes]) -> list[int]:
    """Messages as payloads of their octets: ``last`` above the octet."""
    return [
        octet | (k == len(message) - 1) << 8
        for message in messages
        for k, octet in enumerate(message)
    ]


def messages_of(words: Sequence[int]) -> list[bytes]:
    """The whole messages in payloads."""
    messages, octets = [], bytearray()
    for word in words:
        octets.append(word & 0xFF)
        if word >> 8:
            messages.append(bytes(octets))
            octets.clear()
    return messages


# Generic in its types only.
Component: Any = wiring.Component


class Board(Component):
    """A responder and its unit."""

    pulses = ("taken", "damaged", "overflow", "line_error")

    def __init__(self, config: SoftmaxConfig, identity: bytes = b"identity"):
        self.config = config
        self.unit: Any = Softmax(config)
        self.responder: Any = Responder(config, identity)
        ports: dict[str, Any] = {"i": In(MESSAGES), "o": Out(MESSAGES), "active": Out(1)}
        ports |= {name: In(1) for name in self.pulses}
        if config.contexts:
            ports["length"] = In(range(buffer_octets(config) + 1))
        super().__init__(ports)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.unit = unit = self.unit
        m.submodules.responder = responder = self.responder
        wiring.connect(m, wiring.flipped(self.i), responder.i)
        wiring.connect(m, responder.o, wiring.flipped(self.o))
        wiring.connect(m, responder.logits, unit.i)
        wiring.connect(m, unit.o, responder.elements)
        m.d.comb += self.active.eq(responder.active)
        m.d.comb += [getattr(responder, name).eq(getattr(self, name)) for name in self.pulses]
        if self.config.contexts:
            wiring.connect(m, responder.load, unit.load)
            m.d.comb += [
                responder.length.eq(self.length),
                responder.loaded.eq(unit.loaded),
                responder.refused.eq(unit.refused),
            ]
        return m


class Exchange:
    """Sends ``messages`` to a board and waits for as many answers.

    ``answers`` are what came, ``reports`` what the board sent of itself, each with the cycle of
    its first octet. A message too many is a failure, and so is a unit that is left with a row.
    ``parts`` are driven or watched beside; ``gate``: whether the octet of a number may go.
    """

    def __init__(
        self,
        board: Any,
        messages: Sequence[bytes],
        *,
        source: Pause = None,
        sink: Pause = None,
        parts: Sequence[Any] = (),
        gate: Callable[[int], bool] | None = None,
        limit: int = 30000,
        more: int = 100,
    ):
        self.feed = Feed(board.i, message_words(messages), source, gate)
        self.drain = Drain(board.o, sink)
        self._lengths = [len(message) for message in messages for _ in message]
        unit = board.unit
        #: Rows that the unit has taken to their end, and given; it has begun another.
        self.rows_in = self.rows_out = 0
        self.row_begun = False

        def count(cycle: int, taken: int, last: int, given: int) -> None:
            if taken:
                self.rows_in += last
                self.row_begun = not last
            self.rows_out += given

        watched = [
            unit.i.valid & unit.i.ready,
            unit.i.payload.last,
            unit.o.valid & unit.o.ready & unit.o.payload.last,
        ]
        every = [self.feed, self.drain, Watch(watched, count), *parts]
        if hasattr(board, "length"):
            every.append(Drive([board.length], self._length))

        self.answers: list[bytes] = []
        self.reports: list[tuple[int, bytes]] = []
        self._parsed = 0

        def done() -> bool:
            for message in messages_of(self.drain.words[self._parsed :]):
                if message[:2] == bytes([ERROR, 0]):
                    self.reports.append((self.drain.times[self._parsed], message))
                else:
                    self.answers.append(message)
                self._parsed += len(message)
            return self.feed.done and len(self.answers) >= len(messages)

        simulate(board, every, done, limit=limit, more=more)
        assert self._parsed == len(self.drain.words)
        assert len(self.answers) == len(messages)
        assert not self.row_begun
        assert self.rows_in == self.rows_out

    def _length(self, cycle: int) -> tuple[int]:
        # What it says while nothing is offered is noise.
        place = len(self.feed.times)
        return (self._lengths[place] if place < len(self._lengths) else cycle % 100,)
