"""Rows that the regression streams: what they hold, how they lie in beats, what must come back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from cocotbext.axi import AxiStreamFrame
from numpy.typing import NDArray
from rtl_tables import Contexts, alone, random_tables, without_sink

from exaq import Exaq, SoftmaxConfig, Tables, beat_references, quantize, row_results, softmax
from exaq.float_format import bits_of_keys


class Beat(NamedTuple):
    """One output beat as the bus carries it: ``data``, ``keep`` and ``user`` are the ports' values.

    ``context`` is ``tid``, 0 where there is none.
    """

    data: int
    keep: int
    user: int
    last: int
    context: int = 0


class Results(NamedTuple):
    """A row's results as the bus carries them; ``context`` as of a beat."""

    data: int
    user: int
    context: int = 0


@dataclass(frozen=True)
class Row:
    """A row of logits.

    Parameters
    ----------
    config
        What the unit was generated for.
    logits
        Integers, or keys of floating-point numbers, shape (n,). Longer than ``max_row`` makes an
        over-long row.
    live
        Boolean, shape (n,), whatever masks: all true where the configuration has no masks.
    kind
        Which generator made it; stands in messages.
    null_beat
        Whether ``tlast`` comes alone, in a further beat without elements. Only where the
        elements fill their beats.
    context
        What ``tid`` says; 0 where there is none.
    tables
        What the row goes by; None until that is known. Always the configuration's where it has
        no contexts.
    flags
        What ``tuser`` says of each element: which of them is masked by that alone is not live.
        None: the same as ``live``.
    window
        Start and stop beside the first beat, of a unit with windows.
    """

    config: SoftmaxConfig
    logits: NDArray[np.int64]
    live: NDArray[np.bool_]
    kind: str
    null_beat: bool = False
    context: int = 0
    tables: Tables | None = None
    flags: NDArray[np.bool_] | None = None
    window: tuple[int, int] = (0, 0)

    def by(self, tables: Tables) -> Row:
        """The row going by ``tables``."""
        return replace(self, tables=tables)

    @property
    def rules(self) -> SoftmaxConfig:
        """The configuration of a unit without contexts that has only this row's tables."""
        if not self.config.contexts:
            return self.config
        assert self.tables is not None
        return alone(self.config, self.tables)

    @property
    def part(self) -> NDArray[np.bool_]:
        """What takes part: neither masked nor of a value that masks."""
        floats = self.config.float_format
        return self.live if floats is None else self.live & ~floats.masked(self.logits)

    @property
    def bad(self) -> bool:
        """Whether an element of the row is NaN or +inf and not masked."""
        floats, kept = self.config.float_format, slice(self.config.max_row)
        return floats is not None and bool((self.live & floats.bad(self.logits))[kept].any())

    @property
    def sink(self) -> int | None:
        """The sink of the row; None: there is none."""
        return next(iter(self.rules.sinks), None)

    @property
    def all_masked(self) -> bool:
        """Whether none of the elements that come back takes part."""
        return not self.part[: self.config.max_row].any()

    @property
    def unknown(self) -> bool:
        """Whether there is no such context."""
        return self.context >= max(self.config.contexts, 1)

    @property
    def elements(self) -> int:
        """Elements sent."""
        return len(self.logits)

    @property
    def beats_in(self) -> int:
        """Beats sent."""
        return -(-self.elements // self.config.lanes) + self.null_beat

    @property
    def over_long(self) -> bool:
        """Whether the row is still open after ``max_row / lanes`` beats."""
        return self.beats_in > self.config.beats

    @property
    def beats_out(self) -> int:
        """Beats that come back."""
        return min(self.beats_in, self.config.beats)

    @cached_property
    def probabilities(self) -> NDArray[np.int64]:
        """What the golden model says, for the elements that come back."""
        kept = min(self.elements, self.config.max_row)
        if kept == 0:
            return np.zeros(0, dtype=np.int64)
        live = self.live[:kept]
        rules, logits = self.rules, self.logits[:kept]
        if self.sink is not None:
            # A sink is one more element, of which nothing comes back.
            rules = without_sink(rules)
            logits, live = np.append(logits, self.sink), np.append(live, True)
        mask = None if live.all() else live
        return softmax(self._numbers(logits), rules, mask=mask)[:kept].astype(np.int64)

    def _numbers(self, logits: NDArray[Any]) -> NDArray[Any]:
        """Logits as numbers."""
        floats = self.config.float_format
        return logits if floats is None else floats.values(logits.astype(np.int16))

    @property
    def _live(self) -> NDArray[np.bool_]:
        """Of the elements that come back."""
        return self.part[: min(self.elements, self.config.max_row)]

    @cached_property
    def codes(self) -> NDArray[np.uint8]:
        """What the golden model says, for the elements that come back."""
        live = self._live
        if not len(live):
            return np.zeros(0, np.uint8)
        return quantize(self._numbers(self.logits[: len(live)]), self.rules, mask=live)

    @cached_property
    def references(self) -> NDArray[np.int32]:
        """What the golden model says of the beats that come back, where codes come with it; of a
        beat without elements that of the one before.
        """
        live = self._live
        logits = self._numbers(self.logits[: len(live)])
        # The last beat may be without elements: one that is masked says the same.
        count = self.beats_out * self.config.lanes
        padded = np.pad(logits, (0, count - len(logits)))
        return beat_references(padded, self.rules, np.pad(live, (0, count - len(live))))

    @property
    def error(self) -> int:
        """What the unit says of the row."""
        return int(self.over_long or self.unknown or self.bad)

    def expected_results(self) -> Results:
        """The row's results that must come, by the codes of its elements."""
        # No unit of the matrix has sinks and row results: compiled simulation tries those.
        assert self.sink is None
        config, live = self.config, self._live
        if not isinstance(config.kernel, Exaq):
            return self._golden_results()
        exponentials = self.rules.tables.exp_rom
        total = sum(exponentials[code] for code in self.codes[live])
        lowest = config.format.lowest_logit
        maximum = max(self.logits[: len(live)][live].tolist(), default=lowest)
        if config.float_format is not None:
            maximum = int(bits_of_keys(np.array([maximum], np.int16))[0])
        parts = [(maximum, config.logit_width), (total, config.sum_bits)]
        if config.row_results == "table":
            one = 1 << config.prob_bits
            for exponential in exponentials:
                quotient = (exponential * one + total // 2) // total if total else one
                parts.append((min(quotient, one - 1), config.prob_bits))
        return self._packed(parts)

    def _golden_results(self) -> Results:
        """Those of the golden model."""
        live = self._live
        logits = self._numbers(self.logits[: len(live)])
        if not len(live):
            logits, live = np.zeros(1, np.int64), np.zeros(1, bool)
        found = row_results(logits, self.rules, live)
        parts = [
            (int(found.maximum), self.config.logit_width),
            (int(found.sum), self.config.sum_bits),
        ]
        return self._packed(parts)

    def _packed(self, parts: Iterable[tuple[int, int]]) -> Results:
        """Values of so many bits, each in its own whole bytes."""
        data = place = 0
        for value, bits in parts:
            octets = -(-bits // 8)
            data |= (value & (1 << 8 * octets) - 1) << place
            place += 8 * octets
        return Results(data, self.error, self.context)

    def expected(self) -> list[Beat]:
        """The beats that must come back."""
        return self._code_beats() if self.config.output == "codes" else self._probability_beats()

    def _code_beats(self) -> list[Beat]:
        config, beats = self.config, []
        for beat in range(self.beats_out):
            here = slice(beat * config.lanes, (beat + 1) * config.lanes)
            codes, live = self.codes[here].tolist(), self._live[here].tolist()
            data = sum(code << lane * config.bits for lane, code in enumerate(codes))
            keep = (1 << -(-len(codes) * config.bits // 8)) - 1
            user = sum(alive << lane for lane, alive in enumerate(live))
            if config.kernel.beat_reference_bits:
                reference = (
                    int(self.references[beat]) & (1 << config.kernel.beat_reference_bits) - 1
                )
                user |= reference << config.lanes
            beats.append(Beat(data, keep, user, int(beat == self.beats_out - 1), self.context))
        return beats

    def _probability_beats(self) -> list[Beat]:
        config = self.config
        lanes, width = config.lanes, config.prob_bytes
        padded = np.zeros(self.beats_out * lanes, dtype="<u8")
        padded[: len(self.probabilities)] = self.probabilities
        present = np.arange(self.beats_out * lanes) < self.elements
        data = padded.view(np.uint8).reshape(self.beats_out, lanes, 8)[:, :, :width]
        keep = np.repeat(present.reshape(self.beats_out, lanes), width, axis=1)
        keep[:-1] = True
        last = self.beats_out - 1
        return [
            Beat(value, kept, self.error * (beat == last), int(beat == last), self.context)
            for beat, (value, kept) in enumerate(zip(_integers(data), _bits(keep), strict=True))
        ]

    def frame(self, rng: np.random.Generator) -> AxiStreamFrame:
        """The row on the bus, beats as rtl_harness.BEAT has them.

        Whatever the unit must not look at holds noise.

        That is: pad bits, absent lanes' data and masks, ``tkeep`` before the last beat, and
        ``tkeep`` of the upper bytes of every lane; ``tid`` but with the beat that closes the row;
        the window but with the first beat.
        """
        config, beats = self.config, self.beats_in
        lanes, width = config.lanes, config.logit_bytes
        shape = (beats, lanes)
        present = (np.arange(beats * lanes) < self.elements).reshape(shape)
        words = rng.integers(0, 2 ** (8 * width), shape, dtype=np.int64)
        field = 2**config.logit_width - 1
        logits = self.logits
        if config.float_format is not None:
            logits = bits_of_keys(logits.astype(np.int16)).astype(np.int64)
        words[present] = (words[present] & ~field) | (logits & field)
        masked = rng.random(shape) < 0.5
        masked[present] = ~(self.live if self.flags is None else self.flags)
        keep = rng.random((*shape, width)) < 0.5
        keep[-1, :, 0] = present[-1]
        data = words.astype("<u8").view(np.uint8).reshape(*shape, 8)[:, :, :width]
        parts = [(_integers(data), 8 * lanes * width), (_bits(keep), lanes * width)]
        if config.masking:
            parts.append((_bits(masked), lanes))
        if config.window:
            for edge in self.window:
                edges = rng.integers(0, 1 << config.format.index_bits, beats).tolist()
                parts.append(([edge, *edges[1:]], config.format.index_bits))
        if config.context_bits:
            numbers = rng.integers(0, 1 << config.context_bits, beats).tolist()
            numbers[self.beats_out - 1] = self.context
            parts.append((numbers, config.context_bits))
        payload = [0] * beats
        place = 0
        for values, bits in parts:
            payload = [beat | value << place for beat, value in zip(payload, values, strict=True)]
            place += bits
        return AxiStreamFrame(payload)

    def __str__(self) -> str:
        masked = np.flatnonzero(~self.live).tolist()
        null = ", then a null beat" if self.null_beat else ""
        window = f", window {self.window}" if self.config.window else ""
        tables = f" of context {self.context} by {self.tables}" if self.config.contexts else ""
        return (
            f"{self.kind} row of {self.elements}{null}{tables}{window}: {self.logits.tolist()}, "
            f"masked {masked}"
        )


class Rows:
    """Makes rows for one configuration from one random generator.

    Rows of random contexts, ``next`` first; their values look for the thresholds that their
    context has when they are made.
    """

    def __init__(
        self, config: SoftmaxConfig, rng: np.random.Generator, contexts: Contexts | None = None
    ) -> None:
        self.config = config
        self.rng = rng
        self.contexts = Contexts(config) if contexts is None else contexts
        self.next = 0
        self.low, self.high = config.logit_range
        self.floats = floats = config.float_format
        if floats is not None:
            self.low, self.high = floats.lowest, floats.infinity - 1

    def row(
        self,
        logits: object,
        kind: str,
        live: object = None,
        null_beat: bool = False,
        window: tuple[int, int] | None = None,
    ) -> Row:
        """A row of given values; ``live`` says it where masks come with them, and a random window
        where windows do and none is given.
        """
        config = self.config
        values = np.asarray(logits, dtype=np.int64)
        given = live is not None and config.masking
        alive = np.array(live, dtype=bool) if given else np.ones(len(values), dtype=bool)
        row = Row(config, values, alive, kind, null_beat, self.next)
        if config.window or config.mask_value == "lowest":
            part = alive & ~((values == self.low) & (config.mask_value == "lowest"))
            if config.window:
                window = self._window(len(values)) if window is None else window
                places = np.arange(len(values))
                part &= (window[0] <= places) & (places < window[1])
            row = replace(row, live=part, flags=alive, window=window or (0, 0))
        if self.config.context_bits:
            self.next = int(self.rng.integers(1 << self.config.context_bits))
        return row

    def of(self, context: int, elements: int | None = None) -> Row:
        """A random row of a given context."""
        self.next = context
        return self.random(elements)

    def mixed(self) -> Row:
        """A random row, now and then one that is too long or has no live element."""
        draw = self.rng.random()
        if draw < 0.05:
            return self.over_long(int(self.rng.integers(1, 2 * self.config.lanes + 1)))
        row = self.random()
        if draw < 0.1 and self.config.masking:
            return self.row(row.logits, "all-masked", np.zeros(row.elements, dtype=bool))
        return row

    def context(self) -> int:
        """A random context, one that there is."""
        return int(self.rng.integers(self.config.contexts))

    def tables(self) -> Tables:
        """Random tables for a context."""
        return random_tables(self.config, self.rng)

    @property
    def _thresholds(self) -> tuple[int, ...]:
        return self.contexts.borders[self.contexts.known(self.next)]

    def length(self) -> int:
        """A random length, short and longest rows favoured."""
        config = self.config
        longest = config.max_row
        return int(
            self.rng.choice(
                [
                    self.rng.integers(1, longest + 1),
                    self.rng.integers(1, min(longest, 3 * config.lanes) + 1),
                    longest - self.rng.integers(0, config.lanes),
                ]
            )
        )

    def random(self, elements: int | None = None, masks: bool = True) -> Row:
        """A row of random length, values and masks."""
        count = self.length() if elements is None else elements
        draw = [self._uniform, self._narrow, self._near_thresholds, self._normal]
        if self.config.sinks:
            draw.append(self._near_sink)
        logits = draw[self.rng.integers(len(draw))](count)
        if self.config.mask_value == "lowest" and self.rng.random() < 0.5:
            logits[self.rng.random(count) < self.rng.random()] = self.low
        if self.floats is not None and self.rng.random() < 0.3:
            logits = self._with_specials(logits)
        if not (masks and self.config.masking) or self.rng.random() < 0.4:
            return self.row(logits, "random")
        return self.masked(logits, self.rng.random(count) < self.rng.random(), "randomly masked")

    def masked(self, logits: NDArray[np.int64], live: NDArray[np.bool_], kind: str) -> Row:
        """A row whose masked elements mostly lie above all others."""
        if self.rng.random() < 0.7:
            logits = np.where(live, logits, self.high)
        return self.row(logits, kind, live)

    def _uniform(self, count: int) -> NDArray[np.int64]:
        return self.rng.integers(self.low, self.high + 1, count)

    def _narrow(self, count: int) -> NDArray[np.int64]:
        base = self.rng.integers(self.low, self.high + 1)
        return np.clip(base + self.rng.integers(0, 4, count), self.low, self.high)

    def _near_thresholds(self, count: int) -> NDArray[np.int64]:
        top = self.rng.integers(self.high // 2, self.high + 1)
        borders = self.rng.choice(self.reached(int(top), [0, *self._thresholds]), count)
        logits = np.clip(borders + self.rng.integers(-1, 2, count), self.low, top)
        logits[self.rng.integers(count)] = top
        return logits

    def reached(self, top: int, thresholds: Sequence[int]) -> NDArray[np.int64]:
        """The lowest logits that reach each threshold in a row with the maximum ``top``."""
        if self.floats is None:
            return top + np.array(thresholds)
        return self.floats.borders(np.array([top], np.int16), thresholds)[0].astype(np.int64)

    def _with_specials(self, logits: NDArray[np.int64]) -> NDArray[np.int64]:
        """``logits`` with a few zeros, denormal numbers, infinities and NaN among them."""
        assert self.floats is not None
        infinity = self.floats.infinity
        specials = [0, -1, 1, -2, 2**self.floats.mantissa - 1, ~infinity, ~infinity, infinity]
        specials += [infinity + 1, 32767, ~infinity - 1, -32768]
        chosen = self.rng.choice(specials, len(logits))
        return np.where(self.rng.random(len(logits)) < self.rng.random() / 4, chosen, logits)

    def _near_sink(self, count: int) -> NDArray[np.int64]:
        """The greatest one from which the sink just reaches a threshold, or just does not."""
        sink = self.contexts.sink(self.contexts.known(self.next)) or 0
        far = self.rng.choice([0, *self._thresholds]) + self.rng.integers(-1, 2)
        top = int(np.clip(sink - far, self.low, self.high))
        logits = np.clip(top - self.rng.integers(0, 30, count), self.low, top)
        logits[self.rng.integers(count)] = top
        return logits

    def _normal(self, count: int) -> NDArray[np.int64]:
        if self.floats is not None:
            scale = 10.0 ** self.rng.integers(-6, 4)
            draws = self.floats.round(self.rng.normal(0, scale, count))
            return self.floats.keys(draws).astype(np.int64)
        sigma = max(1.0, abs(self._thresholds[0]) / 2)
        draws = np.rint(self.rng.normal(0, sigma, count)).astype(np.int64)
        return np.clip(draws, self.low, self.high)

    def _window(self, count: int) -> tuple[int, int]:
        """A window for a row of ``count`` elements, one of all of them frequent."""
        most = (1 << self.config.format.index_bits) - 1
        if self.rng.random() < 0.3:
            return 0, int(self.rng.integers(min(count, most), most + 1))
        start, stop = self.rng.integers(0, min(count, most) + 1, 2).tolist()
        if self.rng.random() < 0.9:
            start, stop = min(start, stop), max(start, stop)
        return start, stop

    def windows(self) -> Iterator[Row]:
        """Windows of every kind: causal, sliding, of one element, beyond the row, of none."""
        lanes, longest = self.config.lanes, self.config.max_row
        most = (1 << self.config.format.index_bits) - 1
        for size in sorted({longest, min(longest, 3 * lanes + 1), min(lanes, longest)}):
            for stop in self.some(range(size + 1), 12):
                for start in sorted({0, max(0, stop - lanes - 1), max(0, stop - 1), stop}):
                    yield self.row(self._normal(size), "windowed", window=(start, stop))
            for start in self.some(range(size), 6):
                yield self.row(self._uniform(size), "open", window=(start, most))
                yield self.row(self._narrow(size), "none of", window=(start + 1, start))
            yield self.row(self._uniform(size), "nothing of", window=(most, most))
            flags = self.rng.random(size) < 0.5
            yield self.row(self._uniform(size), "masked", flags, window=(1, size))

    def some(self, values: Iterable[int], most: int) -> list[int]:
        """The first, the last and random others of ``values``, ``most`` at most, ascending."""
        ends = sorted(set(values))
        if len(ends) <= most:
            return ends
        inner = self.rng.choice(ends[1:-1], most - 2, replace=False)
        return [ends[0], *sorted(inner.tolist()), ends[-1]]

    def corners(self) -> Iterator[Row]:
        """Ties, equal, rising and falling values, extremes, maxima in every lane, thresholds."""
        config, low, high = self.config, self.low, self.high
        lanes, longest = config.lanes, config.max_row
        sizes = sorted({1, lanes, min(lanes + 1, longest), longest - lanes // 2, longest})
        for size in sizes:
            for value in (low, 0, high):
                yield self.row(np.full(size, value), "all equal")
            rising = np.linspace(low, high, size).astype(np.int64)
            yield self.row(rising, "rising")
            yield self.row(rising[::-1], "falling")
            strict = np.arange(size) % (high - low + 1) + low
            yield self.row(strict, "step by step rising")
            yield self.row(strict[::-1], "step by step falling")
            yield self.row(np.where(np.arange(size) % 2, low, high), "alternating extremes")
            yield self.row(np.where(np.arange(size) % 3, high - 1, high), "tied maxima")
        for place in [*range(lanes), *range(longest - lanes, longest)]:
            logits = np.full(longest, low)
            logits[place] = high
            yield self.row(logits, "lone maximum")
        # The largest floating-point number is so far from the next one that all borders are it.
        top = high if self.floats is None else int(self.floats.keys([8.0])[0])
        for context, borders in enumerate(self.contexts.borders):
            for threshold in sorted(set(borders)):
                border = int(self.reached(top, [threshold])[0])
                if border - 1 >= low:
                    near = np.array([top, border, border - 1, min(border + 1, top)])
                    self.next = context
                    logits = np.resize(near, min(longest, 4 * lanes))
                    yield self.row(logits, "at a threshold")
            sink = self.contexts.sink(context)
            if sink is not None:
                for distance in sorted({0, *borders}):
                    for highest in range(sink - distance - 1, sink - distance + 2):
                        self.next = context
                        logits = np.full(lanes, np.clip(highest, low, high))
                        yield self.row(logits, "at the sink's code")

    def masks(self) -> Iterator[Row]:
        """Causal masks, all-masked rows, masked beats, lone live elements."""
        lanes, longest = self.config.lanes, self.config.max_row
        for size in sorted({longest, min(longest, 2 * lanes + 1), min(lanes, longest)}):
            places = np.arange(size)
            for live in self.some(range(size + 1), 14):
                yield self.masked(self._near_thresholds(size), places < live, "causal")
            for lone in self.some(range(size), 5):
                yield self.masked(self._uniform(size), places == lone, "lone live element in")
            for beat in self.some(range(-(-size // lanes)), 6):
                yield self.masked(self._uniform(size), places // lanes != beat, "masked beat in")
            for lane in self.some(range(lanes), 6):
                yield self.masked(self._narrow(size), places % lanes != lane, "masked lane in")
            yield self.masked(self._uniform(size), places < 0, "all-masked")
            yield self.row(np.full(size, self.low), "all-masked lowest", places < 0)
            yield self.row(np.full(size, self.low), "lowest, half masked", places % 2 == 0)

    def over_long(self, beyond: int, null_beat: bool = False) -> Row:
        """A row ``beyond`` elements longer than ``max_row``, the greatest value in the excess.

        Of floating-point numbers a NaN, which is no error there.
        """
        row = self.random(self.config.max_row + beyond)
        logits = row.logits.copy()
        logits[self.config.max_row :] = self.high if self.floats is None else 32767
        return self.row(logits, "over-long", row.live, null_beat)


def _bits(flags: NDArray[np.bool_]) -> list[int]:
    """An integer for each beat, from flags of shape (beats, ...), the first one lowest."""
    return _integers(np.packbits(flags.reshape(len(flags), -1), axis=1, bitorder="little"))


def _integers(octets: NDArray[np.uint8]) -> list[int]:
    """An integer for each beat, from octets of shape (beats, ...), the first one lowest."""
    return [int.from_bytes(beat.tobytes(), "little") for beat in octets]
