"""Units that give codes, row results or both, against the slow softmax in integers."""

import random
from collections.abc import Iterator
from itertools import chain, cycle, repeat

import pytest
from amaranth.hdl import ResetInserter, Signal
from test_unit_softmax import Row, lengths, random_row, row_words
from unit_bench import Bench, Pause, stalls, unpack
from unit_rows import element_beats, row_item

from exaq import SoftmaxConfig, Tables
from exaq_hdl.shell.ports import layout
from exaq_hdl.shell.row_shell import Softmax, unit_ports

pytestmark = pytest.mark.usefixtures("unused_components")

SHAPES = {
    "4 lanes": {"lanes": 4, "max_row": 64},
    "1 lane": {"lanes": 1, "max_row": 24, "prob_bits": 8},
    "3 lanes, no masks": {"lanes": 3, "max_row": 60, "masking": False, "logit_width": 5},
    "16 lanes": {"lanes": 16, "max_row": 160, "logit_width": 12},
    "3 bits": {"bits": 3, "lanes": 2, "max_row": 40, "logit_width": 10, "prob_bits": 9},
    "4 bits": {"bits": 4, "lanes": 2, "max_row": 24, "exp_frac": 20, "prob_bits": 24},
    "1 beat": {"lanes": 4, "max_row": 4},
    "rings": {"lanes": 1, "max_row": 30, "full_rate_row": 9},
    "1 context": {"lanes": 4, "max_row": 32, "contexts": 1},
    "3 contexts": {
        "lanes": 2,
        "max_row": 32,
        "exp_frac": 8,
        "contexts": 3,
        "context_tables": (
            Tables(thresholds=(-40, -3, -3), exp_rom=(0, 300, 17, 511)),
            Tables(thresholds=(-256, -100, 0), exp_rom=(511, 1, 2, 511)),
            Tables(thresholds=(-1000, -255, -20), exp_rom=(7, 0, 300, 400)),
        ),
    },
}
OUTPUTS = {
    "codes and sums": {"output": "codes", "row_results": "sum"},
    "codes and tables": {"output": "codes", "row_results": "table"},
    "sums": {"row_results": "sum"},
    "tables": {"row_results": "table"},
}
# Which of these each shape is tried with.
CHOSEN = {
    "4 lanes": list(OUTPUTS),
    "1 lane": ["codes and sums", "tables"],
    "3 lanes, no masks": ["codes and tables"],
    "16 lanes": ["codes and sums"],
    "3 bits": ["codes and tables", "sums"],
    "4 bits": ["tables"],
    "1 beat": ["codes and sums", "codes and tables"],
    "rings": ["codes and tables"],
    "1 context": ["codes and sums"],
    "3 contexts": ["codes and sums", "codes and tables", "tables"],
}
CONFIGS = {
    f"{shape}, {output}": SoftmaxConfig(**OUTPUTS[output], **SHAPES[shape])
    for shape, outputs in CHOSEN.items()
    for output in outputs
}
EVERY = pytest.mark.parametrize("name", CONFIGS)


class Run:
    """Streams rows through a unit and checks every beat and every row's results.

    ``rows_given`` are the rows of which all elements have left, as the simulation goes on.
    """

    def __init__(
        self,
        config: SoftmaxConfig,
        rows: list[Row],
        *,
        pause: Pause = None,
        sink: Pause = None,
        results: Pause = None,
        late: int | None = None,
        limit: int = 9000,
    ):
        """``late``: results wait until all elements of so many rows have left."""
        self.unit = Softmax(config)
        beats = [beat for row in rows for beat in element_beats(config, row)]
        items = [row_item(config, row) for row in rows]
        words = [word for row in rows for word in row_words(config, row)]
        boot = self.unit.boot_cycles
        bench = Bench(self.unit, limit=limit + boot)
        pause = chain(repeat(True, boot), pause or repeat(False))
        self.feed = bench.feed(self.unit.i, words, pause)
        self.drain = bench.drain(self.unit.o, len(beats), sink)
        if late is not None:
            results = self._late(late, len(rows))
        self.results = bench.drain(self.unit.row, len(items), results)
        self._last = [bool(beat["last"]) for beat in beats]
        bench.run(more=150)
        ports = unit_ports(config)
        assert [unpack(layout(ports["o"].fields), word) for word in self.drain.items] == beats
        assert [unpack(layout(ports["row"].fields), word) for word in self.results.items] == items

    @property
    def rows_given(self) -> int:
        return sum(self._last[: len(self.drain.items)])

    def _late(self, late: int, rows: int) -> Iterator[bool]:
        while True:
            left = self.rows_given
            yield left - len(self.results.items) < late and left < rows


def live_rows(config: SoftmaxConfig, rng: random.Random, counts: list[int]) -> list[Row]:
    return [random_row(config, rng, count) for count in counts]


@EVERY
@pytest.mark.parametrize("rates", [(0.1, 0.6, 0.2), (0.4, 0.1, 0.8)])
def test_random_rows(name: str, rates: tuple[float, float, float]) -> None:
    """Rows short and long, too long, with masks of all kinds; each side stalls in its own way."""
    config = CONFIGS[name]
    rng = random.Random(name)
    rows = live_rows(config, rng, lengths(config, rng, 16))
    pause, sink, results = (stalls(k, rate) for k, rate in enumerate(rates))
    Run(config, rows, pause=pause, sink=sink, results=results)


@EVERY
def test_latencies(name: str) -> None:
    """Of lonely rows, for any length: the first element, then a beat a cycle, and the results."""
    config = CONFIGS[name]
    counts = sorted({1, min(2, config.beats), (config.beats + 1) // 2, config.beats})
    rng = random.Random(name)
    rows = live_rows(config, rng, [n * config.lanes for n in counts])
    silence = 2 * config.beats + 200
    pattern = (flag for n in counts for flag in [*[False] * n, *[True] * silence])
    run = Run(config, rows, pause=chain(pattern, repeat(True)))
    whole_row = config.output == "probabilities"
    begin = 0
    for n, result in zip(counts, run.results.times, strict=True):
        taken, left = run.feed.times[begin : begin + n], run.drain.times[begin : begin + n]
        assert left[0] == taken[-1] + run.unit.latency + n * whole_row
        assert left == list(range(left[0], left[0] + n))
        assert result == taken[-1] + n + run.unit.results_latency
        if not whole_row and not config.contexts:
            assert left[-1] - taken[0] + 1 <= 2 * n + 20
        begin += n


@EVERY
def test_no_bubble_in_rows_of_full_rate(name: str) -> None:
    """A beat a cycle goes in and comes out, and a row's results in each row's cycles."""
    config = CONFIGS[name]
    config = config.replace(max_row=max(config.max_row, config.full_rate_beats * config.lanes))
    count = 14 if config.full_rate_beats > 1 else 80
    beats = count * config.full_rate_beats
    rng = random.Random(name)
    run = Run(config, live_rows(config, rng, [config.full_rate_row] * count))
    for times in (run.feed.times, run.drain.times):
        assert times == list(range(times[0], times[0] + beats))
    assert run.results.times[-1] - run.results.times[0] == (count - 1) * config.full_rate_beats


@pytest.mark.parametrize("shape", ["4 lanes", "16 lanes"])
def test_any_mixture_of_lengths_streams_where_nothing_divides(shape: str) -> None:
    """Codes and sums: rows of one beat and of many, in any order, are never held back."""
    config = CONFIGS[f"{shape}, codes and sums"]
    assert config.full_rate_row == config.lanes
    rng = random.Random(shape)
    counts = [1] * 20 + [config.beats] + [1] * 30 + [2, 1, 1, config.beats, 3, 1, 1, 1, 4, 1, 5]
    counts += [rng.choice([1, 1, 2, 3, config.beats]) for _ in range(60)]
    run = Run(config, live_rows(config, rng, [n * config.lanes for n in counts]))
    assert run.feed.times == list(range(run.feed.times[0], run.feed.times[0] + sum(counts)))


@pytest.mark.parametrize(
    "name",
    [
        *(f"4 lanes, {output}" for output in OUTPUTS),
        "rings, codes and tables",
        "3 contexts, codes and sums",
    ],
)
def test_so_many_rows_wait_for_their_results_to_be_taken(name: str) -> None:
    """As many as declared where rows are long enough, and no fewer where they are short."""
    # Rows longer than whatever lies between a row's last element and its results.
    config = CONFIGS[name].replace(max_row=64 * CONFIGS[name].lanes)
    unit = Softmax(config)
    waiting = unit.results_waiting
    for beats in (64, 1):
        asleep = unit.boot_cycles + (waiting + 3) * (beats + 12) + 300
        rows = live_rows(config, random.Random(beats), [beats * config.lanes] * (waiting + 30))
        pause = chain([True] * asleep, repeat(False))
        run = Run(config, rows[: waiting + 3] if beats > 1 else rows, results=pause)
        left = sum(time < asleep for time in run.drain.times[beats - 1 :: beats])
        assert (left == waiting) if beats > 1 else (left >= waiting), (left, waiting, beats)


@pytest.mark.parametrize(
    "name", [*(f"4 lanes, {output}" for output in OUTPUTS), "3 contexts, codes and sums"]
)
@pytest.mark.parametrize("late", [1, None])
def test_a_consumer_takes_all_elements_of_a_row_before_its_results(
    name: str, late: int | None
) -> None:
    """Nothing locks up, even where results are taken as late as the declared number allows."""
    config = CONFIGS[name]
    rng = random.Random(name)
    rows = live_rows(config, rng, lengths(config, rng, 40))
    run = Run(config, rows, late=late or Softmax(config).results_waiting)
    assert run.rows_given == len(rows)


@pytest.mark.parametrize("output", OUTPUTS)
def test_closed_elements_stop_the_input(output: str) -> None:
    """While no element is taken the unit fills up and refuses; then all comes, in order."""
    config = CONFIGS[f"4 lanes, {output}"]
    rows = live_rows(config, random.Random(output), [*[64] * 5, *[1] * 60, *[64] * 2])
    asleep = 500
    run = Run(config, rows, sink=chain([True] * asleep, repeat(False)))
    assert sum(time < asleep for time in run.feed.times) < len(run.feed.times)
    assert not any(run.feed.ready[asleep - 50 : asleep])
    # Of a row that has not left no result is known, but for the two whose tables are there.
    known = 2 if config.output == "probabilities" else 0
    assert sum(time < asleep for time in run.results.times) == known


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("when", [3, 20, 61, 140])
def test_reset_in_mid_row(output: str, when: int) -> None:
    """What went in before is gone; the rows after it come out as if they were the first."""
    config = CONFIGS[f"4 lanes, {output}"]
    rng = random.Random(when)
    before = live_rows(config, rng, lengths(config, rng, 12))
    after = live_rows(config, rng, lengths(config, rng, 5))
    beats = [beat for row in after for beat in element_beats(config, row)]
    unit = Softmax(config)
    reset = Signal()
    bench = Bench(ResetInserter(reset)(unit))

    def drive(ctx, now: int) -> None:
        ctx.set(reset, int(now == when))
        if now == when + 1:
            feed.restart(word for row in after for word in row_words(config, row))
            drain.restart(len(beats))
            results.restart(len(after))

    bench.every(drive)
    feed = bench.feed(unit.i, cycle(w for row in before for w in row_words(config, row)))
    drain = bench.drain(unit.o, 10000, stalls(when, 0.3))
    results = bench.drain(unit.row, 10000, stalls(when + 1, 0.5))
    bench.run(more=150)
    ports = unit_ports(config)
    assert [unpack(layout(ports["o"].fields), word) for word in drain.items] == beats
    found = [unpack(layout(ports["row"].fields), word) for word in results.items]
    assert found == [row_item(config, row) for row in after]


def test_what_is_declared() -> None:
    """Codes leave before the row's sum is known, and tables need the division."""
    latencies = {name: Softmax(CONFIGS[f"4 lanes, {name}"]).latency for name in OUTPUTS}
    assert latencies == {"codes and sums": 6, "codes and tables": 6, "sums": 37, "tables": 37}
    waiting = {name: Softmax(CONFIGS[f"4 lanes, {name}"]).results_waiting for name in OUTPUTS}
    assert waiting == {"codes and sums": 26, "codes and tables": 29, "sums": 1, "tables": 1}
    assert Softmax(SoftmaxConfig()).results_waiting == 0
