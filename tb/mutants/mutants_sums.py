"""More sums, for mutants that survive: some faults of a division show in few rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from mutants_scenarios import Scenario, Writer
from rtl_rows import Row

from exaq import SoftmaxConfig

# Rows of each unit, and beats that they may take in all.
_ROWS, _BEATS = 12000, 60000


def more_sums(config: SoftmaxConfig) -> list[Scenario]:
    """Rows of random codes back to back, short ones and longest ones."""
    writer = Writer(config)
    writer.rng = writer.rows.rng = np.random.default_rng(1)
    segment = writer.segment()
    beats = 0
    for row in writer.known(_rows(writer)):
        beats += segment.send([row])
        if beats > _BEATS:
            break
    return [Scenario("more sums", (segment,))]


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
