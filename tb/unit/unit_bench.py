"""Drives a component's streams cycle by cycle and watches what it does.

A cycle's inputs stand before its clock edge, and everything observed in that cycle is what the
edge sees; so times of one signal can be subtracted from times of another.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from amaranth.hdl import Const, Module, Shape, Signal, Value
from amaranth.lib import data
from amaranth.sim import Simulator

Pause = Iterator[bool] | None


def stalls(seed: int, probability: float = 0.5) -> Iterator[bool]:
    """A flag a cycle, true to pause, in runs: an even rate would never fill or empty a queue."""
    rng = random.Random(seed)
    while True:
        level = rng.choice([0.0, probability, 1 - (1 - probability) / 4])
        for _ in range(rng.randrange(1, 40)):
            yield rng.random() < level


def ceil_log2(n: int) -> int:
    """Smallest k with 2**k >= n."""
    return next(k for k in range(n + 1) if 2**k >= n)


def pack(layout: Any, value: Any) -> int:
    """The bits of ``value``: a dict for a struct, a list for an array, else an integer.

    Integers out of the shape's range are refused, where the simulator would cut them.
    """
    if isinstance(layout, data.StructLayout):
        assert set(value) == {name for name, _ in layout}
        return sum(pack(field.shape, value[name]) << field.offset for name, field in layout)
    if isinstance(layout, data.ArrayLayout):
        assert len(value) == layout.length
        width = Shape.cast(layout.elem_shape).width
        return sum(pack(layout.elem_shape, v) << k * width for k, v in enumerate(value))
    shape = Shape.cast(layout)
    least = -(1 << shape.width - 1) if shape.signed else 0
    assert least <= value < least + (1 << shape.width), (shape, value)
    return value & (1 << shape.width) - 1


def unpack(layout: Any, word: int) -> Any:
    """What ``pack`` put into ``word``."""
    if isinstance(layout, data.StructLayout):
        return {name: unpack(field.shape, word >> field.offset) for name, field in layout}
    if isinstance(layout, data.ArrayLayout):
        width = Shape.cast(layout.elem_shape).width
        return [unpack(layout.elem_shape, word >> k * width) for k in range(layout.length)]
    shape = Shape.cast(layout)
    word &= (1 << shape.width) - 1
    return word - (1 << shape.width) if shape.signed and word >> shape.width - 1 else word


class Feed:
    """Offers items to a stream.

    ``times`` are the cycles in which they were taken, ``offered`` the item of each cycle or
    None. While nothing is offered, the payload is noise.
    """

    def __init__(self, stream: Any, items: Iterable[int], pause: Pause):
        self.valid, self.payload = stream.valid, Value.cast(stream.payload)
        self.watched = [] if isinstance(stream.ready, Const) else [stream.ready]
        self.times: list[int] = []
        self.offered: list[int | None] = []
        self.ready: list[int] = []
        self._items = iter(items)
        self._ahead = next(self._items, None)
        self._pause = pause
        self._taken = True
        self._noise = random.Random(len(self.payload))

    @property
    def done(self) -> bool:
        return self._ahead is None

    def restart(self, items: Iterable[int]) -> None:
        """Forget the present offer and go on with ``items``, as after a reset."""
        self._items = iter(items)
        self._ahead = next(self._items, None)
        self._taken = True

    def before(self, ctx: Any, cycle: int) -> None:
        was = self.offered[-1] if self.offered else None
        now = was
        if self._taken:
            paused = self._pause is not None and next(self._pause)
            now = None if paused else self._ahead
        if now != was or cycle == 0:
            ctx.set(self.valid, int(now is not None))
            noise = self._noise.getrandbits(len(self.payload))
            ctx.set(self.payload, noise if now is None else now)
        self.offered.append(now)

    def after(self, cycle: int, sampled: list[int]) -> None:
        self.ready.append(sampled[0] if sampled else 1)
        self._taken = self.offered[-1] is None or bool(self.ready[-1])
        if self._taken and self.offered[-1] is not None:
            self.times.append(cycle)
            self._ahead = next(self._items, None)


class Drain:
    """Takes ``count`` items from a stream and fails where it breaks the rules of one.

    ``items`` are what was taken, ``times`` when.
    """

    def __init__(self, stream: Any, count: int, pause: Pause):
        self.ready = None if isinstance(stream.ready, Const) else stream.ready
        self.watched = [stream.valid, Value.cast(stream.payload)]
        self.items: list[int] = []
        self.times: list[int] = []
        self.count = count
        self._pause = pause
        self._waiting: int | None = None
        self._is_ready = 1
        assert pause is None or self.ready is not None

    @property
    def done(self) -> bool:
        return len(self.items) >= self.count

    def restart(self, count: int) -> None:
        """Forget what was taken, and an offer that a reset may have withdrawn."""
        self.items.clear()
        self.times.clear()
        self.count = count
        self._waiting = None

    def before(self, ctx: Any, cycle: int) -> None:
        ready = int(not (self._pause is not None and next(self._pause)))
        if self.ready is not None and (cycle == 0 or ready != self._is_ready):
            ctx.set(self.ready, ready)
        self._is_ready = ready

    def after(self, cycle: int, sampled: list[int]) -> None:
        valid, payload = sampled
        if self._waiting is not None:
            assert valid, f"cycle {cycle}: an offer was withdrawn"
            assert payload == self._waiting, f"cycle {cycle}: an offer changed"
        self._waiting = payload if valid and not self._is_ready else None
        if valid and self._is_ready:
            self.items.append(payload)
            self.times.append(cycle)


class Probe:
    """Values of ``signals`` in every cycle; one signal gives integers, several give tuples."""

    def __init__(self, signals: tuple[Any, ...]):
        self.watched = [Value.cast(signal) for signal in signals]
        self.values: list[Any] = []

    def before(self, ctx: Any, cycle: int) -> None:
        pass

    def after(self, cycle: int, sampled: list[int]) -> None:
        self.values.append(sampled[0] if len(sampled) == 1 else tuple(sampled))


class Hook:
    """Calls ``function(ctx, cycle)`` before every clock edge, after what was added earlier."""

    watched: tuple[()] = ()

    def __init__(self, function: Callable[[Any, int], None]):
        self.before = function

    def after(self, cycle: int, sampled: list[int]) -> None:
        pass


class Bench:
    """A simulation of ``component`` in clock domain ``domain``, at most ``limit`` cycles long."""

    def __init__(self, component: Any, *, limit: int = 5000, domain: str = "sync"):
        self.limit = limit
        self.domain = domain
        self._component = component
        self._parts: list[Any] = []

    def feed(self, stream: Any, items: Iterable[int], pause: Pause = None) -> Feed:
        return self._add(Feed(stream, items, pause))

    def drain(self, stream: Any, count: int, pause: Pause = None) -> Drain:
        return self._add(Drain(stream, count, pause))

    def probe(self, *signals: Any) -> Probe:
        return self._add(Probe(signals))

    def every(self, function: Callable[[Any, int], None]) -> None:
        self._add(Hook(function))

    def _add(self, part: Any) -> Any:
        self._parts.append(part)
        return part

    def run(self, *, cycles: int | None = None, more: int = 40) -> None:
        """Run until every feed and drain is done and ``more`` cycles on, or ``cycles`` cycles.

        What a drain then holds beyond its count is an error.
        """
        ends = [part for part in self._parts if isinstance(part, Feed | Drain)]
        assert ends or cycles is not None
        watched = [signal for part in self._parts for signal in part.watched]

        async def drive(ctx: Any) -> None:
            left = more
            for cycle in range(self.limit if cycles is None else cycles):
                for part in self._parts:
                    part.before(ctx, cycle)
                _, _, *sampled = await ctx.tick(self.domain).sample(*watched)
                for part in self._parts:
                    part.after(cycle, [sampled.pop(0) for _ in part.watched])
                if cycles is None and all(part.done for part in ends):
                    left -= 1
                    if not left:
                        return
            assert cycles is not None, f"not done after {self.limit} cycles"

        simulator: Any = Simulator(self._component)
        simulator.add_clock(1e-6, domain=self.domain)
        simulator.add_testbench(drive)
        simulator.run()
        if cycles is None:
            for part in ends:
                if isinstance(part, Drain):
                    assert len(part.items) == part.count


def truth_table(function: Callable[[Any], Any], width: int, inputs: Iterable[int]) -> list[int]:
    """What combinational ``function``, of one value to one value, gives for each input."""
    m = Module()
    given = Signal(width)
    value = Value.cast(function(given))
    found = Signal(len(value))
    m.d.comb += found.eq(value)
    results = []

    async def drive(ctx: Any) -> None:
        for word in inputs:
            ctx.set(given, word)
            results.append(ctx.get(found))

    simulator: Any = Simulator(m)
    simulator.add_testbench(drive)
    simulator.run()
    return results
