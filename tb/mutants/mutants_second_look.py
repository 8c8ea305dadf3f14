"""More sums and resets, for mutants that survive: some faults show in few rows or moments."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from mutants_scenarios import HEAVY, LIGHT, NEVER, Scenario, Writer
from rtl_rows import Row

from exaq import Exaq, SoftmaxConfig

# Rows of each unit, and beats that they may take in all.
_ROWS, _BEATS = 12000, 60000
# Rows that are drawn to find those at borders, and how many are taken for each step and level.
_DRAWN, _NEAREST = 100000, 24
_RESETS = 400


def second_look(config: SoftmaxConfig) -> list[Scenario]:
    """Rows of random codes back to back, short ones and longest ones; resets of a cycle."""
    writer = Writer(config)
    writer.rng = writer.rows.rng = np.random.default_rng(1)
    resets = []
    for number in range(_RESETS):
        stalled = (NEVER, LIGHT, HEAVY)[number % 3]
        end = int(writer.rng.integers(8, 3 * config.beats + 160))
        resets.append(writer.segment(sink=stalled, end=end))
        while end > 0:
            row = writer.rows.mixed() if number % 2 else writer.rows.random(config.lanes)
            end -= resets[-1].send(writer.known([row]))
    segment = writer.segment()
    beats = 0
    for row in writer.known((*_at_borders(writer), *_rows(writer))):
        beats += segment.send([row])
        if beats > _BEATS:
            break
    return [Scenario("more resets", tuple(resets)), Scenario("more sums", (segment,))]


def _at_borders(writer: Writer) -> Iterator[Row]:
    """Rows for which a step of a division just leaves something, or just falls short.

    Of many random rows those whose remainder behind a step lies nearest to 0 or to the sum.
    """
    config, rng = writer.config, writer.rng
    if not isinstance(config.kernel, Exaq) or config.contexts or config.sinks:
        return
    tables, levels = config.tables, config.levels
    shares = rng.dirichlet(np.full(levels, 0.4), _DRAWN)
    elements = rng.integers(1, min(config.max_row, 64) + 1, _DRAWN)
    counts = np.floor(shares * elements[:, None]).astype(np.int64)
    counts[:, -1] += elements - counts.sum(axis=1)
    sums = counts @ np.array(tables.exp_rom)
    chosen = []
    for exponential in tables.exp_rom:
        dividend = (exponential << config.prob_bits) + sums // 2
        for step in range(config.prob_bits):
            left = (dividend >> step) % sums
            order = np.argsort(np.minimum(left, sums - left), kind="stable")
            chosen.append(order[:_NEAREST])
    distances = np.array([tables.thresholds[0] - 1, *tables.thresholds])
    distances[-1] = 0
    for each in dict.fromkeys(np.concatenate(chosen).tolist()):
        logits = writer.rows.high + np.repeat(distances, counts[each])
        yield writer.rows.row(np.clip(logits, writer.rows.low, None), "at a border")


def _rows(writer: Writer) -> Iterator[Row]:
    rows, rng = writer.rows, writer.rng
    config = writer.config
    for _ in range(_ROWS):
        borders = np.array([0, *writer.contexts.borders[rows.next % max(config.contexts, 1)]])
        longest = 4 if rng.random() < 0.3 else 16 if rng.random() < 0.9 else config.max_row
        elements = int(rng.integers(1, min(longest, config.max_row) + 1))
        weights = rng.dirichlet(np.full(len(borders), 0.4))
        logits = rows.high - 2 + rng.choice(borders, elements, p=weights)
        logits[rng.integers(elements)] = rows.high - 2
        yield rows.row(np.clip(logits, rows.low, rows.high), "sum")
