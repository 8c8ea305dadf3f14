"""Rows for the sums of values by level, and what must come of them, one integer at a time."""

import random
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
from unit_bench import Bench, Drain, Feed, Pause, pack, unpack

from exaq.attention import AttentionConfig, level_sums, outputs
from exaq_hdl.attention.level_sums import LevelSums


@dataclass(frozen=True)
class LevelRow:
    """A row's codes, live bits and values, key by key; and what its sum has beyond its keys'."""

    codes: list[int]
    live: list[bool]
    values: list[list[int]]
    sink: int = 0

    def total(self, config: AttentionConfig) -> int:
        """The row's sum."""
        rom = config.softmax.tables.exp_rom
        keys = zip(self.codes, self.live, strict=True)
        return sum(rom[code] for code, live in keys if live) + self.sink


def random_row(
    config: AttentionConfig, keys: int, rng: random.Random, *, live: float = 0.8, sink: int = 0
) -> LevelRow:
    half = 1 << config.value_width - 1
    levels = config.softmax.levels
    return LevelRow(
        codes=[rng.randrange(levels) for _ in range(keys)],
        live=[rng.random() < live for _ in range(keys)],
        values=[[rng.randrange(-half, half) for _ in range(config.head_size)] for _ in range(keys)],
        sink=sink,
    )


def uniform_row(config: AttentionConfig, keys: int, code: int, value: int) -> LevelRow:
    return LevelRow([code] * keys, [True] * keys, [[value] * config.head_size] * keys)


def beats(config: AttentionConfig, row: LevelRow) -> list[dict[str, Any]]:
    """The row as beats in; noise in absent and dead lanes."""
    lanes, found = config.lanes, []
    half = 1 << config.value_width - 1
    noise = random.Random(len(row.codes))
    for k in range(0, len(row.codes), lanes):
        absent = lanes - len(row.codes[k : k + lanes])
        found.append(
            {
                "codes": row.codes[k : k + lanes]
                + [noise.randrange(config.softmax.levels) for _ in range(absent)],
                "live": sum(live << lane for lane, live in enumerate(row.live[k : k + lanes])),
                "values": row.values[k : k + lanes]
                + [
                    [noise.randrange(-half, half) for _ in range(config.head_size)]
                    for _ in range(absent)
                ],
                "last": int(k + lanes >= len(row.codes)),
            }
        )
    return found


def expected(config: AttentionConfig, row: LevelRow) -> list[int]:
    """The row's outputs, by fractions; the golden model must say the same."""
    rom, whole = config.softmax.tables.exp_rom, row.total(config)
    found = []
    for d in range(config.head_size):
        weighed = sum(
            rom[code] * values[d]
            for code, live, values in zip(row.codes, row.live, row.values, strict=True)
            if live
        )
        mean = Fraction(weighed << config.output_frac, whole) if whole else Fraction(0)
        found.append(floor(mean + Fraction(1, 2)) if whole else 0)
    sums = level_sums(np.array([row.codes]), np.array([row.live]), np.array(row.values), config)
    assert outputs(sums, [whole], config)[0].tolist() == found
    return found


def output_beats(config: AttentionConfig, row: LevelRow, per_beat: int) -> list[dict[str, Any]]:
    values = expected(config, row)
    return [
        {"outputs": values[k : k + per_beat], "last": int(k + per_beat == len(values))}
        for k in range(0, len(values), per_beat)
    ]


@dataclass
class Run:
    """A simulated unit, and what went in and out of it."""

    unit: LevelSums
    beats: Feed
    sums: Feed
    outputs: Drain


def run_rows(
    config: AttentionConfig,
    rows: list[LevelRow],
    *,
    per_beat: int | None = None,
    pauses: tuple[Pause, Pause, Pause] = (None, None, None),
    limit: int = 20000,
) -> Run:
    """Streams rows through the unit and compares what comes out."""
    unit = LevelSums(config, outputs_per_beat=per_beat)
    bench = Bench(unit, limit=limit)
    taken: Any = unit.i.payload.shape()
    given: Any = unit.o.payload.shape()
    wanted = [beat for row in rows for beat in output_beats(config, row, unit.outputs_per_beat)]
    run = Run(
        unit=unit,
        beats=bench.feed(
            unit.i, [pack(taken, beat) for row in rows for beat in beats(config, row)], pauses[0]
        ),
        sums=bench.feed(unit.sum, [row.total(config) for row in rows], pauses[1]),
        outputs=bench.drain(unit.o, len(wanted), pauses[2]),
    )
    bench.run()
    assert [unpack(given, word) for word in run.outputs.items] == wanted
    return run
