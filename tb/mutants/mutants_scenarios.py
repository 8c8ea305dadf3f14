"""What mutants of a unit are run through: the rows, stalls, resets and loads of the regression.

The rows are those that tb/rtl makes (``rtl_rows``), and so are loads, good and bad. All scenarios
of a unit run in one simulation, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from rtl_rows import Row, Rows
from rtl_tables import Contexts, bad_loads, words_of

from exaq import SoftmaxConfig
from exaq_hdl.shell.register_map import REGISTERS

SEED = 2026
# Beats that one scenario sends at most, whatever the size of the unit.
_BEATS = 6000
# Rows that are sent for the sake of their sums.
_SUMS = 2000

_STATUS = REGISTERS["STATUS"]
_CLEAR = _STATUS.mask(sticky=True)
_READ_AT_REST = ("ID", "CODES", "FORMATS", "MAX_ROW", "FULL_RATE_ROW", "CONTEXTS", "LATENCY")


@dataclass(frozen=True)
class Pauses:
    """When a channel pauses: by chance in any cycle, for long now and then, and at the beginning.

    Parameters
    ----------
    chance
        Probability that it pauses in a cycle.
    burst, longest
        Probability that a long pause begins, and how many cycles that takes at most.
    closed
        Cycles from the segment's beginning in which nothing moves.
    """

    chance: float = 0.0
    burst: float = 0.0
    longest: int = 0
    closed: int = 0


#: The patterns of stalls of the regression (``rtl_stalls.STALLS``).
NEVER = Pauses()
LIGHT, HEAVY, SINGLE = Pauses(0.1), Pauses(0.8), Pauses(0.3)
BURSTS = Pauses(burst=0.05, longest=40)


@dataclass
class Sent:
    """A beat that a channel of the unit is offered.

    ``after`` says how many beats of this segment other channels must have moved, and ``delay`` how
    many cycles must have gone by since.
    """

    payload: int
    after: dict[str, int] = field(default_factory=dict)
    delay: int = 0


@dataclass
class Segment:
    """What is sent between one reset and the next.

    Members
    -------
    end
        Cycle in which the next reset comes; 0: when all is in and out.
    reset
        Cycles of the reset before it.
    pauses
        Of each channel that pauses, by name.
    sent
        Beats of each channel of the unit's inputs.
    rows
        What ``s_axis`` is sent, each with its tables where these are known.
    moved
        Beats that each channel will have moved when all is done.
    """

    config: SoftmaxConfig
    rng: np.random.Generator
    end: int = 0
    reset: int = 1
    pauses: dict[str, Pauses] = field(default_factory=dict)
    sent: dict[str, list[Sent]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    moved: dict[str, int] = field(default_factory=dict)

    def send(self, rows: Iterable[Row], *, apart: int = -1) -> int:
        """Sends rows; with ``apart`` >= 0 each so many cycles after all before it is out. Beats."""
        count = 0
        for row in rows:
            beats = row.frame(self.rng).tdata
            for place, beat in enumerate(beats):
                last = place + 1 == len(beats)
                sent = Sent(beat | last << self.payload_bits)
                if apart >= 0 and place == 0:
                    sent.after, sent.delay = self.done(), apart
                self._send("s_axis", sent)
            self.rows.append(row)
            self._expect("m_axis", row.beats_out)
            if self.config.row_results != "none":
                self._expect("m_row", 1)
            count += len(beats)
        return count

    @property
    def payload_bits(self) -> int:
        """Of a beat of rows, without ``tlast``."""
        config = self.config
        bits = config.lanes * config.logit_bytes * 9 + config.context_bits
        bits += config.lanes * config.masking
        return bits + (2 * config.format.index_bits if config.window else 0)

    def done(self) -> dict[str, int]:
        """Beats that outputs will have moved when all that was sent until now is done."""
        return {name: count for name, count in self.moved.items() if name not in self.sent}

    def write(self, address: int, word: int, *, strobes: int = 15, delay: int = 0) -> None:
        """Writes a register once all accesses before are answered."""
        before = self._answered()
        self._send("aw", Sent(address | 5 << 12, before, delay))
        self._send("w", Sent((word & 0xFFFFFFFF) | strobes << 32, before, delay))
        self._expect("b", 1)

    def read(self, address: int, *, delay: int = 0) -> None:
        """Reads a register once all accesses before are answered."""
        self._send("ar", Sent(address | 2 << 12, self._answered(), delay))
        self._expect("r", 1)

    def words(self, words: Sequence[int], *, begin: bool = True) -> None:
        """Writes words of a load."""
        for place, word in enumerate(words):
            name = "LOAD_BEGIN" if begin and place == 0 else "LOAD_WORD"
            self.write(REGISTERS[name].offset, word)

    def load(self, words: Sequence[int], *, delay: int = 0, see: bool = True) -> None:
        """Loads tables, and reads STATUS when they should be in force."""
        self.write(_STATUS.offset, _CLEAR, delay=delay)
        self.words(words)
        if see:
            self.read(_STATUS.offset, delay=self.config.kernel.most_load_cycles + 20)

    def _answered(self) -> dict[str, int]:
        return {name: self.moved.get(name, 0) for name in ("b", "r")}

    def _send(self, channel: str, beat: Sent) -> None:
        self.sent.setdefault(channel, []).append(beat)
        self._expect(channel, 1)

    def _expect(self, channel: str, beats: int) -> None:
        self.moved[channel] = self.moved.get(channel, 0) + beats


@dataclass(frozen=True)
class Scenario:
    """Segments that belong together.

    ``exact`` where the cycles are those that the manifest and docs/performance.md state: nothing
    pauses, and rows come one by one or back to back.
    """

    name: str
    segments: tuple[Segment, ...]
    exact: bool = False


class Writer:
    """Makes the scenarios of a unit."""

    def __init__(self, config: SoftmaxConfig) -> None:
        self.config = config
        self.rng = np.random.default_rng(SEED)
        self.contexts = Contexts(config)
        self.rows = Rows(config, self.rng, self.contexts)
        # Rows of which two fill a scenario of a large unit are few; those of a small one are many.
        self.longest = config.beats
        self.many = max(12, min(400, _BEATS // max(1, self.longest // 2)))

    def all(self) -> Iterator[Scenario]:
        """All scenarios, those first that most mutants fall by."""
        config = self.config
        yield self._one("mixed rows", self._mixed(60), sink=SINGLE, source=LIGHT, results=LIGHT)
        yield self._one("corners", self.rows.corners())
        yield self._one("lengths", self._lengths())
        if config.masking:
            yield self._one("masks", self.rows.masks(), sink=BURSTS, results=SINGLE)
        if config.window:
            yield self._one("windows", self.rows.windows(), sink=LIGHT)
        yield self._one("too long", self._too_long(), sink=LIGHT)
        yield self._one("null beats", self._null_beats(), source=LIGHT)
        yield self._one("sums", self._sums())
        yield self._one("large sums", self._large_sums())
        yield self._latency()
        yield self._rate("rates", self._uniform())
        yield self._rate("mixed rates", self._lengths_at_rate())
        for source, sink in ((NEVER, HEAVY), (HEAVY, NEVER), (BURSTS, BURSTS), (LIGHT, SINGLE)):
            yield self._one("stalls", self._mixed(), source=source, sink=sink, results=sink)
        for source, sink in ((NEVER, SINGLE), (SINGLE, NEVER), (HEAVY, LIGHT), (BURSTS, BURSTS)):
            rows = (self._short() for _ in range(400))
            yield self._one("short rows", rows, source=source, sink=sink, results=sink)
        yield from self._closed()
        yield self._resets()
        if config.contexts:
            yield from self._loads()

    def segment(
        self,
        *,
        source: Pauses = NEVER,
        sink: Pauses = NEVER,
        results: Pauses = NEVER,
        bus: Pauses = NEVER,
        end: int = 0,
        reset: int = 1,
    ) -> Segment:
        """A segment whose contexts have the tables of reset."""
        self.contexts.reset()
        pauses = {"s_axis": source, "m_axis": sink, "m_row": results}
        pauses |= dict.fromkeys(("aw", "w", "b", "ar", "r"), bus)
        return Segment(self.config, self.rng, pauses=pauses, end=end, reset=reset)

    def known(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Rows that go by the tables which their contexts have now."""
        for row in rows:
            if self.config.contexts:
                yield row.by(self.contexts.tables[self.contexts.known(row.context)])
            else:
                yield row

    def _one(
        self,
        name: str,
        rows: Iterable[Row],
        *,
        source: Pauses = NEVER,
        sink: Pauses = NEVER,
        results: Pauses = NEVER,
    ) -> Scenario:
        segment = self.segment(source=source, sink=sink, results=results, reset=3)
        made = list(rows)
        budget = _BEATS
        for place in self.rng.permutation(len(made)):
            budget -= segment.send(self.known([made[place]]))
            if budget < 0:
                break
        return Scenario(name, (segment,))

    def _mixed(self, count: int = 0) -> Iterator[Row]:
        return (self.rows.mixed() for _ in range(count or self.many))

    def _lengths(self) -> Iterator[Row]:
        longest = self.config.max_row
        some = self.rows.some(range(1, longest + 1), 3 * self.config.lanes + 24)
        yield from (self.rows.random(n) for n in some)

    def _sums(self) -> Iterator[Row]:
        """Short rows of elements of every code, whose sums have no order to them."""
        borders = np.array([0, *self.contexts.borders[0]]) if self.contexts.borders else [0]
        for _ in range(_SUMS):
            most = min(self.config.max_row, int(self.rng.choice([4, 12, 40])))
            elements = int(self.rng.integers(1, most + 1))
            top = self.rows.high - int(self.rng.integers(0, 3))
            few = self.rng.choice(borders, int(self.rng.integers(1, 4)))
            logits = top + self.rng.choice(few, elements)
            logits[self.rng.integers(elements)] = top
            yield self.rows.row(np.clip(logits, self.rows.low, self.rows.high), "sum")

    def _large_sums(self) -> Iterator[Row]:
        """Longest rows of which nearly all have one code, of which sums are greatest."""
        low, high, longest = self.rows.low, self.rows.high, self.config.max_row
        for _ in range(24):
            elements = int(self.rng.integers(longest // 2 + 1, longest + 1))
            for value in (high, low, int(self.rng.integers(low, high))):
                logits = np.full(elements, value)
                logits[self.rng.random(elements) < 0.03] = low
                logits[self.rng.integers(elements)] = high
                yield self.rows.row(logits, "large sum")

    def _short(self) -> Row:
        """A row of a beat, now and then of two or three."""
        most = min(self.config.lanes * int(self.rng.choice([1, 1, 1, 3])), self.config.max_row)
        return self.rows.random(int(self.rng.integers(1, most + 1)))

    def _too_long(self) -> Iterator[Row]:
        config, rows = self.config, self.rows
        for beyond in (1, config.lanes, config.lanes + 1, config.max_row, 3 * config.max_row + 1):
            for good in (1, config.max_row):
                yield from (rows.random(good), rows.over_long(beyond), rows.over_long(1))
            yield rows.over_long(beyond - beyond % config.lanes, null_beat=True)

    def _null_beats(self) -> Iterator[Row]:
        config, rows = self.config, self.rows
        for beats in (*range(min(config.beats, 8)), config.beats - 1):
            row = rows.random(beats * config.lanes) if beats else rows.row([], "empty")
            yield rows.row(row.logits, row.kind, row.live, null_beat=True)
            yield rows.random()

    def _latency(self) -> Scenario:
        config = self.config
        lanes, longest = config.lanes, config.max_row
        lengths = {1, lanes, lanes + 1, 2 * lanes, longest // 2 + 1, longest - 1, longest}
        segment = self.segment()
        for elements in sorted(lengths):
            segment.send(self.known([self.rows.random(elements)]), apart=40)
        return Scenario("latency", (segment,), exact=True)

    def _uniform(self) -> Iterator[Iterable[Row]]:
        """Rows of one length each time, also those that divisions bound."""
        config = self.config
        shortest, longest = min(config.full_rate_row, config.max_row), config.max_row
        lengths = {
            1,
            config.lanes,
            2 * config.lanes + 1,
            shortest,
            (shortest + longest) // 2,
            longest,
        }
        for elements in sorted(lengths):
            count = 12 + 2 * config.beats // -(-elements // config.lanes)
            yield [self.rows.random(elements) for _ in range(min(count, 60))]

    def _lengths_at_rate(self) -> Iterator[Iterable[Row]]:
        config = self.config
        shortest, longest = min(config.full_rate_row, config.max_row), config.max_row
        yield [self.rows.random(int(n)) for n in self.rng.integers(shortest, longest + 1, 30)]
        few = 3 + 2 * config.beats // config.full_rate_beats
        yield [self.rows.random(n) for n in ([longest] + [shortest] * min(few, 40)) * 3]

    def _rate(self, name: str, batches: Iterable[Iterable[Row]]) -> Scenario:
        segments = []
        for rows in batches:
            segments.append(self.segment())
            segments[-1].send(self.known(rows))
        return Scenario(name, tuple(segments), exact=True)

    def _closed(self) -> Iterator[Scenario]:
        """Every queue filled, by short rows, longest ones, equal ones and any, then emptied."""
        config, longest = self.config, self.config.max_row
        kinds: dict[str, Callable[[], Row]] = {
            "short": self._short,
            "longest": lambda: self.rows.random(longest),
            "any": self.rows.random,
            # The largest sums, and so the last bits of divisions.
            "equal": lambda: self.rows.row(np.full(longest, self.rows.low), "all equal"),
        }
        segments = []
        for kind, make in kinds.items():
            for sink in (NEVER, SINGLE):
                # More rows than all queues hold, and time for all that get in.
                count = 48 + 4 * config.beats // config.full_rate_beats if kind == "short" else 8
                cycles = 4 * config.beats + (40 * count if kind == "short" else 600)
                shut = Pauses(sink.chance, closed=cycles)
                segments.append(self.segment(sink=shut, results=sink))
                segments[-1].send(self.known(make() for _ in range(count)))
                if config.row_results != "none":
                    segments.append(self.segment(sink=sink, results=shut))
                    segments[-1].send(self.known(make() for _ in range(count)))
        yield Scenario("closed sink", tuple(segments))

    def _resets(self) -> Scenario:
        segments = []
        reach = 3 * self.config.beats + 120
        for number in range(32):
            shut = Pauses(closed=reach) if number % 4 == 3 else (LIGHT if number % 2 else NEVER)
            end = int(self.rng.integers(1, reach))
            segment = self.segment(sink=shut, end=end, reset=int(self.rng.choice([1, 2, 5])))
            rows = self._many_beats(reach, number)
            segment.send(self.known(rows))
            if self.config.contexts:
                self._endless_loads(segment, end)
            segments.append(segment)
            # The longest row first: it shows a count, a maximum or a sum that outlived the reset.
            after = self.segment(reset=int(self.rng.choice([1, 2, 5])))
            random = self.rows.random
            after.send(self.known([random(self.config.max_row), random(1), random()]))
            if self.config.contexts:
                after.read(_STATUS.offset)
                self._read_counters(after)
            segments.append(after)
        return Scenario("resets", tuple(segments))

    def _many_beats(self, beats: int, number: int) -> Iterator[Row]:
        """Rows of so many beats and a little more, of a kind that ``number`` chooses."""
        config = self.config
        kinds: tuple[Callable[[], Row], ...] = (
            lambda: self.rows.random(config.max_row),
            self.rows.mixed,
            lambda: self.rows.random(int(self.rng.integers(1, 2 * config.lanes + 1))),
            lambda: self.rows.over_long(int(self.rng.integers(1, 3 * config.max_row))),
        )
        make = kinds[number // 4 % len(kinds)]
        while beats > 0:
            row = make()
            beats -= row.beats_in
            yield row

    # Units with contexts.

    def _endless_loads(self, segment: Segment, end: int) -> None:
        """Loads until the reset comes, the first as soon as may be or once the unit has started."""
        words = 2 * self.config.levels + 1
        delay = int(
            self.rng.choice([0, self.config.contexts * self.config.kernel.most_load_cycles])
        )
        segment.end += delay
        for _ in range(2 + end // (4 * words)):
            segment.load(self._good(), delay=delay)
            delay = 0

    def _good(self) -> list[int]:
        return words_of(self.rows.context(), self.rows.tables())

    def _read_counters(self, segment: Segment, *, clear: bool = False) -> None:
        """Reads all counters at rest; the answers are those of the segment's end."""
        counters = [register for register in REGISTERS.values() if register.event]
        rest = segment.done()
        for register in counters:
            segment.read(register.offset)
            segment.sent["ar"][-1].after |= rest
            segment.sent["ar"][-1].delay = 20
            if clear and self.rng.random() < 0.5:
                segment.write(register.offset, 1)
                segment.read(register.offset)

    def _start(self) -> int:
        """Cycles in which the unit has taken its first tables."""
        return (self.config.contexts + 1) * self.config.kernel.most_load_cycles

    def _loads(self) -> Iterator[Scenario]:
        yield self._registers()
        yield self._load_after_load()
        yield self._loads_among_rows()
        yield self._bad_loads()
        yield self._loads_wait()

    def _registers(self) -> Scenario:
        """Every address read and written, whole and in part, also before the unit has started."""
        segments = []
        for bus, delay in ((NEVER, self._start()), (LIGHT, 0)):
            segment = self.segment(bus=bus)
            segment.read(_STATUS.offset, delay=delay)
            addresses = [*range(0, 0x80, 4), 0x100, 0x134, 0x234, 0x40C, 0x800, 0x834, 0xFFC]
            for address in addresses:
                segment.read(address)
                for strobes in (15, 15, 1, 7, 14, 0):
                    word = int(self.rng.integers(1 << 32))
                    segment.write(address, word, strobes=strobes)
                segment.read(address)
                segment.read(_STATUS.offset)
            segment.send(self.known(self.rows.mixed() for _ in range(8)), apart=0)
            self._read_counters(segment, clear=True)
            segments.append(segment)
        return Scenario("registers", tuple(segments))

    def _load_after_load(self) -> Scenario:
        """Each load seen to its end, then rows of all contexts by the new tables."""
        segments = []
        for bus in (NEVER, LIGHT, HEAVY):
            segment = self.segment(bus=bus)
            segment.read(_STATUS.offset, delay=self._start())
            for number in range(6):
                context = number % self.config.contexts
                tables = self.rows.tables()
                # Rows before are out, so no bank is in use.
                rest = segment.done()
                segment.load(words_of(context, tables))
                for channel in ("aw", "w"):
                    first = segment.sent[channel][-len(words_of(context, tables)) - 1]
                    first.after = first.after | rest
                self.contexts.tables[context] = tables
                rows = [
                    self.rows.of(each) for each in range(self.config.contexts) for _ in range(3)
                ]
                rows += [self.rows.mixed() for _ in range(4)]
                before = len(segment.sent.get("s_axis", []))
                segment.send(self.known(rows))
                segment.sent["s_axis"][before].after = segment.done() | {
                    "m_axis": rest.get("m_axis", 0)
                }
            segment.write(REGISTERS["LOAD_WORD"].offset, 3)
            segment.read(_STATUS.offset, delay=8)
            self._read_counters(segment, clear=True)
            segments.append(segment)
        return Scenario("loads", tuple(segments))

    def _loads_among_rows(self) -> Scenario:
        """Loads while rows stream; which tables a row gets is the unit's word."""
        segments = []
        for sink, bus in ((NEVER, NEVER), (SINGLE, LIGHT), (BURSTS, NEVER)):
            segment = self.segment(sink=sink, bus=bus)
            segment.send(self.rows.mixed() for _ in range(self.many // 2))
            segment.read(_STATUS.offset, delay=self._start())
            for number in range(5):
                segment.load(self._good(), see=number % 2 == 0, delay=int(self.rng.integers(60)))
            segments.append(segment)
        return Scenario("loads among rows", tuple(segments))

    def _bad_loads(self) -> Scenario:
        """Whatever is wrong with a load, and good ones between."""
        config = self.config
        segment = self.segment()
        segment.read(_STATUS.offset, delay=self._start())
        wait = config.kernel.most_load_cycles + 20
        for number, bad in enumerate(bad_loads(config, self.rng)):
            segment.load(bad.words)
            if number % 4 == 0:
                segment.load(self._good())
        good = self._good()
        for given in (1, 2, config.levels, config.levels + 1, len(good) - 1):
            segment.words(self._good()[:given])
            segment.read(_STATUS.offset, delay=6)
            segment.load(self._good())
        for _ in range(2):
            segment.load([*self._good(), -1])
        for word in (0, -1):
            segment.write(_STATUS.offset, _CLEAR)
            segment.words([word], begin=False)
            segment.read(_STATUS.offset, delay=wait)
        for name in _READ_AT_REST:
            segment.read(REGISTERS[name].offset)
        segment.send(self.rows.mixed() for _ in range(12))
        segment.sent["s_axis"][0].after = {name: segment.moved[name] for name in ("b", "r")}
        return Scenario("bad loads", (segment,))

    def _loads_wait(self) -> Scenario:
        """Loads against a closed sink: the second waits until the rows before it have left."""
        segments = []
        for count in (6, 4, 1):
            for again in (0, 1):
                start = self._start()
                shut = start + 6 * self.config.kernel.most_load_cycles
                segment = self.segment(sink=Pauses(0.2 * again, closed=shut))
                context = self.rows.context()
                following = (context + again) % self.config.contexts
                segment.send(self.rows.of(context, self.config.lanes) for _ in range(count))
                segment.read(_STATUS.offset, delay=start)
                segment.load(words_of(context, self.rows.tables()))
                before = len(segment.sent["s_axis"])
                segment.send(self.rows.of(context, self.config.lanes) for _ in range(2))
                segment.sent["s_axis"][before].after = {"r": segment.moved["r"]}
                for _ in range(8):
                    segment.read(_STATUS.offset)
                for name in ("LOAD_BEGIN", "LOAD_WORD"):
                    segment.write(REGISTERS[name].offset, 0)
                    segment.read(_STATUS.offset)
                    segment.write(_STATUS.offset, _CLEAR)
                segment.load(words_of(following, self.rows.tables()), delay=shut)
                after = len(segment.sent["s_axis"])
                segment.send(self.rows.of(each) for each in (context, following))
                segment.sent["s_axis"][after].after = {"r": segment.moved["r"]}
                segments.append(segment)
        return Scenario("loads that wait", tuple(segments))


def scenarios(config: SoftmaxConfig) -> list[Scenario]:
    """The scenarios of a unit, the same each time."""
    return list(Writer(config).all())
