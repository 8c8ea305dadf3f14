"""Windows against indices that are written out: every window there is, rows of every length."""

import itertools
import random

import pytest
from unit_bench import Bench

from exaq import StreamFormat
from exaq_hdl.shell.window import Window

# Lanes of a power of two and of none, a beat that is the longest row, one that is an element.
SMALL = [(1, 1), (1, 5), (2, 2), (2, 6), (3, 3), (3, 9), (4, 12), (5, 5), (6, 12), (8, 8)]


def run(format: StreamFormat, rows: list[tuple[int, int, int]], idle: float) -> None:
    """Rows of (start, stop, beats), compared beat by beat with what their indices say."""
    rng = random.Random(format.lanes)
    lanes, most = format.lanes, (1 << format.index_bits) - 1
    script, expected = [], []
    for start, stop, beats in rows:
        for beat in range(beats):
            while rng.random() < idle:
                script.append((rng.randint(0, most), rng.randint(0, most), 0, rng.randint(0, 1)))
                expected.append(None)
            # Behind the first beat the window is noise.
            window = (start, stop) if beat == 0 else (rng.randint(0, most), rng.randint(0, most))
            script.append((*window, 1, int(beat == beats - 1)))
            indices = range(beat * lanes, (beat + 1) * lanes)
            expected.append(sum((start <= k < stop) << lane for lane, k in enumerate(indices)))
    script.append((0, 0, 0, 0))
    window = Window(format)
    bench = Bench(window, limit=len(script))

    def drive(ctx, cycle: int) -> None:
        names = ("start", "stop", "taken", "last")
        for name, value in zip(names, script[cycle], strict=True):
            ctx.set(getattr(window, name), value)

    bench.every(drive)
    kept = bench.probe(window.kept)
    bench.run(cycles=len(script))
    late = kept.values[Window.latency :]
    for cycle, (found, right) in enumerate(zip(late, expected, strict=True)):
        assert right is None or found == right, (cycle, script[cycle])


@pytest.mark.parametrize("idle", [0.0, 0.3])
@pytest.mark.parametrize(("lanes", "max_row"), SMALL)
def test_every_window(lanes: int, max_row: int, idle: float) -> None:
    """With rows of every length and some that are too long; no row leaves anything to the next."""
    format = StreamFormat(lanes=lanes, max_row=max_row)
    indices = range(1 << format.index_bits)
    lengths = (*range(1, format.beats + 1), format.beats + 1, 3 * format.beats + 2)
    rows = list(itertools.product(indices, indices, lengths))
    random.Random(7).shuffle(rows)
    run(format, rows, idle)


@pytest.mark.parametrize(("lanes", "max_row"), [(4, 1024), (16, 65536), (12, 3000), (64, 4096)])
def test_long_rows(lanes: int, max_row: int) -> None:
    rng = random.Random(lanes)
    format = StreamFormat(lanes=lanes, max_row=max_row)
    most = (1 << format.index_bits) - 1
    near = [0, 1, lanes - 1, lanes, lanes + 1, 128, 255, 256, 257, max_row - 1, max_row, most]
    rows = []
    for _ in range(60):
        start, stop = (min(most, rng.choice([*near, rng.randint(0, 300)])) for _ in range(2))
        rows.append((start, stop, rng.randint(1, 400 // lanes + 2)))
    rows += [(max_row - 2, max_row, format.beats if format.beats < 500 else 300)]
    run(format, rows, 0.1)
