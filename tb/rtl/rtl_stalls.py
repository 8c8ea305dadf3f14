"""When a side of the unit pauses: generators of one flag a cycle, true to pause."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

Stall = Callable[[np.random.Generator], Iterator[bool]]


def _random(probability: float) -> Stall:
    def pattern(rng: np.random.Generator) -> Iterator[bool]:
        while True:
            yield from (rng.random(256) < probability).tolist()

    return pattern


def _bursts(rng: np.random.Generator) -> Iterator[bool]:
    while True:
        yield from [False] * int(rng.integers(1, 40))
        yield from [True] * int(rng.integers(2, 40))


def _single(rng: np.random.Generator) -> Iterator[bool]:
    while True:
        yield from [False] * int(rng.integers(1, 6))
        yield True


#: Patterns for either side; ``never`` leaves out the generator.
STALLS: dict[str, Stall | None] = {
    "never": None,
    "light": _random(0.1),
    "heavy": _random(0.8),
    "bursts": _bursts,
    "single": _single,
}
