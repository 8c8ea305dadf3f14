"""Codes beside the values of their keys: banks, notes and codes that come late, errors, cycles."""

import random
from dataclasses import dataclass
from typing import Any

import pytest
from unit_bench import Bench, Pause, pack, stalls, unpack

from exaq.attention import AttentionConfig
from exaq_hdl.attention.level_layouts import value_fields
from exaq_hdl.attention.score_rows import row_note, vector_fields
from exaq_hdl.attention.value_rows import ValueRows
from exaq_hdl.shell.ports import layout
from exaq_hdl.shell.streams import code_fields

LANES, MAX_ROW = 2, 8
CONFIG = AttentionConfig(head_size=16, lanes=LANES, max_row=MAX_ROW, value_width=4)
BEATS = MAX_ROW // LANES


@dataclass(frozen=True)
class Bank:
    """Values of a head, the keys that its notes tell of and whether in error, beats of its rows."""

    values: list[list[int]]
    keys: int
    error: bool
    rows: list[int]

    def notes(self) -> list[int]:
        beat, tail = divmod(self.keys - 1, LANES)
        end = {"beat": beat, "tail": (2 << tail) - 1}
        return [
            pack(
                row_note(CONFIG),
                {"keys": end, "error": int(self.error), "release": int(k == len(self.rows) - 1)},
            )
            for k in range(len(self.rows))
        ]

    def errors(self) -> list[int]:
        known = min(len(self.values), MAX_ROW)
        wrong = self.error or len(self.values) > MAX_ROW or self.keys != known
        return [int(wrong)] * len(self.rows)


def random_banks(seed: int, count: int) -> list[Bank]:
    rng = random.Random(seed)
    banks = []
    for _ in range(count):
        values = rng.randrange(1, MAX_ROW + 3)
        known = min(values, MAX_ROW)
        banks.append(
            Bank(
                values=[[rng.randrange(-8, 8) for _ in range(16)] for _ in range(values)],
                keys=rng.choice((known, known, rng.randrange(1, MAX_ROW + 1))),
                error=rng.random() < 0.2,
                # As of a causal head: no beat behind the last values.
                rows=[
                    rng.choice((1, rng.randrange(1, -(-known // LANES) + 1)))
                    for _ in range(rng.randrange(1, 6))
                ],
            )
        )
    return banks


class Run:
    """Banks through the block: ``beats`` and ``times`` of what left, ``errors`` and when."""

    def __init__(self, banks: list[Bank], pauses: list[Pause], *, room: Pause = None):
        unit = ValueRows(CONFIG)
        bench = Bench(unit, limit=20000)
        vector = layout(vector_fields("value", 16, 4, "signed"))
        vectors = [
            {
                "vector": sum((each & 15) << 4 * k for k, each in enumerate(value)),
                "last": int(n == len(bank.values) - 1),
            }
            for bank in banks
            for n, value in enumerate(bank.values)
        ]
        rng = random.Random(len(vectors))
        fields = layout(code_fields(CONFIG.softmax.format, CONFIG.softmax.bits))
        self.given: list[dict[str, Any]] = [
            {
                "codes": [rng.randrange(4) for _ in range(LANES)],
                "live": rng.randrange(4),
                "tail": 3,
                "last": int(beat == row - 1),
            }
            for bank in banks
            for row in bank.rows
            for beat in range(row)
        ]
        bench.feed(unit.values, [pack(vector, each) for each in vectors], pauses[0])
        bench.feed(unit.row, [note for bank in banks for note in bank.notes()], pauses[1])
        self.codes = bench.feed(unit.codes, [pack(fields, each) for each in self.given], pauses[2])
        self.o = bench.drain(unit.o, len(self.given), pauses[3])
        has_room: list[int] = []

        def drive(ctx: Any, cycle: int) -> None:
            has_room.append(int(room is None or not next(room)))
            ctx.set(unit.room, has_room[-1])

        bench.every(drive)
        probe = bench.probe(unit.error.valid, unit.error.payload)
        bench.run()
        told = [(cycle, error) for cycle, (valid, error) in enumerate(probe.values) if valid]
        self.errors = [error for _, error in told]
        # The look at room was so early that the queue behind it counts the error in time.
        assert all(has_room[cycle - (unit.reaction - 1)] for cycle, _ in told)
        shape = layout(value_fields(CONFIG))
        self.beats = [unpack(shape, word) for word in self.o.items]

    def check(self, banks: list[Bank]) -> None:
        assert self.errors == [error for bank in banks for error in bank.errors()]
        places = [(bank, beat) for bank in banks for row in bank.rows for beat in range(row)]
        for given, found, (bank, beat) in zip(self.given, self.beats, places, strict=True):
            assert {name: found[name] for name in ("codes", "live", "last")} == {
                name: given[name] for name in ("codes", "live", "last")
            }
            # Lanes behind the last value hold anything.
            known = bank.values[:MAX_ROW][beat * LANES : (beat + 1) * LANES]
            assert found["values"][: len(known)] == known


@pytest.mark.parametrize("stalled", ["", "0", "1", "2", "3", "4", "01", "0123", "01234"])
@pytest.mark.parametrize("seed", range(2))
def test_values_meet_their_codes(stalled: str, seed: int) -> None:
    """Stalls of values, notes, codes, of what leaves and of room for errors."""
    banks = random_banks(seed, 40)
    pauses = [stalls(seed + n, 0.8) if str(n) in stalled else None for n in range(5)]
    Run(banks, pauses[:4], room=pauses[4]).check(banks)


def test_latency_and_full_rate() -> None:
    """Rows of as many beats as they need follow each other; a bank later, a cycle is lost."""
    rng = random.Random(1)
    rows = [ValueRows.FULL_RATE_BEATS] * 3 + [BEATS] * 3
    banks = [
        Bank([[rng.randrange(-8, 8) for _ in range(16)] for _ in range(MAX_ROW)], 8, False, rows)
        for _ in range(3)
    ]
    late = iter([True] * 30 + [False] * 200)
    run = Run(banks, [None, None, late, None])
    run.check(banks)
    waits = {out - taken for out, taken in zip(run.o.times, run.codes.times, strict=True)}
    assert waits == {ValueRows.latency}
    steps = [b - a for a, b in zip(run.o.times, run.o.times[1:], strict=False)]
    ends = [sum(rows) * (k + 1) - 1 for k in range(2)]
    assert steps == [2 if k in ends else 1 for k in range(len(steps))]
