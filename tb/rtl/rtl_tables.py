"""Tables that the regression loads, good and bad, and which of them rows go by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from exaq import SoftmaxConfig, Tables

#: The kinds of ``bad_loads``.
BAD_LOADS = (
    "descending",
    "above_0",
    "too_low",
    "just_below_0",
    "level_too_wide",
    "level_negative",
    "last_level_0",
    "unknown_context",
    "all_at_once",
)


@cache
def alone(config: SoftmaxConfig, tables: Tables) -> SoftmaxConfig:
    """A unit without contexts that has only these tables."""
    return config.replace(contexts=0, tables=tables)


@dataclass
class Contexts:
    """Which tables each context has; none without contexts, where the kernel's never change.

    A load is awaited from before its last word is written until software has seen how it ended.
    Meanwhile it may take effect, once, and rows go by it from that cycle on.
    """

    config: SoftmaxConfig
    tables: list[Tables] = field(default_factory=list)
    awaited: tuple[int, Tables] | None = None
    in_force: bool = False

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Every context has the tables of reset, and no load is awaited."""
        self.tables[:] = self.config.context_tables if self.config.contexts else ()
        self.awaited = None
        self.in_force = False

    @property
    def borders(self) -> list[tuple[int, ...]]:
        """Of each context, or of the unit, the distances at which an element's result changes."""
        return [tables.thresholds for tables in self.tables] or [self.config.kernel.borders]

    def known(self, number: int) -> int:
        """The context that a row of context ``number`` goes by."""
        return number if number < len(self.tables) else 0

    def expect(self, context: int, tables: Tables) -> None:
        """Awaits a load."""
        self.awaited = (context, tables)
        self.in_force = False

    def take_effect(self) -> bool:
        """The awaited load is in force; False where none is awaited, or it was before."""
        if self.awaited is None or self.in_force:
            return False
        context, tables = self.awaited
        self.tables[context] = tables
        self.in_force = True
        return True

    def settle(self) -> bool:
        """The awaited load is over; whether it is in force."""
        self.awaited = None
        return self.in_force


def lowest_threshold(config: SoftmaxConfig) -> int:
    """The lowest that a unit takes."""
    return -(2**config.logit_width) if config.float_format is None else -(2**31)


def random_tables(config: SoftmaxConfig, rng: np.random.Generator) -> Tables:
    """Free tables that a unit takes word by word: any span of thresholds, any exponentials."""
    lowest = lowest_threshold(config)
    span = int(rng.choice([3, 40, 1 << (-lowest).bit_length() - 2, -lowest]))
    thresholds = np.sort(-rng.integers(0, span + 1, config.levels - 1))
    if config.float_format is not None:
        thresholds[thresholds > config.float_format.least_threshold] = 0
    if rng.random() < 0.2:
        thresholds[0] = lowest
    exponentials = rng.integers(0, 2**config.exp_bits, config.levels)
    exponentials[rng.random(config.levels) < 0.1] = 2**config.exp_bits - 1
    exponentials[-1] = max(1, exponentials[-1])
    if config.row_results == "table":
        exponentials[-1] = exponentials.max()
    return Tables(
        thresholds=tuple(map(int, thresholds)), exp_rom=tuple(int(each) for each in exponentials)
    )


def words_of(context: int, tables: Tables) -> list[int]:
    """The words of a load: for LOAD_BEGIN the first, for LOAD_WORD the others."""
    return [context, *tables.thresholds, *tables.exp_rom]


@dataclass(frozen=True)
class BadLoad:
    """A load that is wrong. ``reasons`` are the fields of STATUS that say so."""

    kind: str
    words: list[int]
    reasons: frozenset[str]


def bad_loads(config: SoftmaxConfig, rng: np.random.Generator) -> Iterator[BadLoad]:
    """Every way in which a load of the right length can be wrong, by a step and by far."""
    lowest, widest = lowest_threshold(config), 2**config.exp_bits
    extremes = (-(2**31), 2**31 - 1)
    first_level = config.levels

    def bad(kind: str, changes: dict[int, int], *reasons: str) -> BadLoad:
        words = words_of(int(rng.integers(config.contexts)), random_tables(config, rng))
        for place, word in changes.items():
            words[place] = word
        return BadLoad(kind, words, frozenset(reasons))

    near = -5 if config.float_format is None else -505
    flat = dict.fromkeys(range(1, first_level), near)
    for place in sorted({1, 1 + (first_level - 2) // 2, first_level - 2}):
        yield bad("descending", flat | {place: near + 1, place + 1: near}, "thresholds")
    for word in (1, 2**config.logit_width, extremes[1]):
        yield bad("above_0", flat | {first_level - 1: word}, "thresholds")
    yield bad("above_0", flat | {1: 3}, "thresholds")
    for word in (lowest - 1, 2 * lowest, extremes[0]):
        if extremes[0] <= word < lowest:
            yield bad("too_low", flat | {1: word}, "thresholds")
    if config.float_format is not None:
        for word in range(config.float_format.least_threshold + 1, 0, 127):
            yield bad("just_below_0", flat | {first_level - 1: word}, "thresholds")
    for word in (widest, widest + 1, 2 * widest, extremes[1]):
        place = int(rng.integers(first_level, 2 * config.levels))
        yield bad("level_too_wide", {place: word}, "exponentials")
    for word in (-1, 1 - widest, -widest, extremes[0]):
        place = int(rng.integers(first_level, 2 * config.levels))
        yield bad("level_negative", {place: word}, "exponentials")
    yield bad("last_level_0", {2 * config.levels - 1: 0}, "exponentials")
    beyond = 1 << config.context_bits
    for word in sorted({config.contexts, beyond, 2 * beyond + config.contexts - 1, 2**16}):
        yield bad("unknown_context", {0: word}, "context")
    for word in (-1, *extremes):
        yield bad("unknown_context", {0: word}, "context")
    yield bad(
        "all_at_once", {0: -1, 1: 1, first_level: -1}, "context", "thresholds", "exponentials"
    )
