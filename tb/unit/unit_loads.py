"""What follows from the words of table loads, from the contract alone."""

import random
from collections.abc import Sequence
from typing import NamedTuple

from float_oracle import SHAPES
from unit_tables import lowest_threshold, random_tables

from exaq import SoftmaxConfig, Tables

# A word of a load: whether it is marked first, and its value.
Word = tuple[bool, int]
# Cycles from a word's taking to the refusal that follows from it.
CUT_SHORT, JUDGED = 2, 3


class Outcome(NamedTuple):
    """What follows from the word at place ``word`` of all words."""

    word: int
    reasons: set[str]
    context: int = 0
    tables: Tables | None = None


def faults(config: SoftmaxConfig, load: list[int]) -> set[str]:
    """What is wrong with a load of the right length."""
    context, rest = load[0], load[1 : 2 * config.levels]
    thresholds, levels = rest[: config.levels - 1], rest[config.levels - 1 :]
    reasons = set()
    if not 0 <= context < config.contexts:
        reasons.add("context")
    if thresholds != sorted(thresholds):
        reasons.add("thresholds")
    if any(not lowest_threshold(config) <= t <= 0 for t in thresholds):
        reasons.add("thresholds")
    if config.logit_format == "bf16" and any(-256 < t < 0 for t in thresholds):
        reasons.add("thresholds")
    if any(not 0 <= e < 2 ** (config.exp_frac + 1) for e in levels) or levels[-1] == 0:
        reasons.add("exponentials")
    if config.row_results == "table" and levels[-1] < max(levels):
        reasons.add("exponentials")
    # From the lowest sink on, and below `beyond`.
    beyond = 2 ** (config.logit_width - 1)
    lowest = -beyond + (config.mask_value == "lowest")
    if config.logit_format != "integer":
        # The key of infinity; that of its negative is its complement.
        exponent, mantissa = SHAPES[config.logit_format]
        beyond = (2**exponent - 1) << mantissa
        lowest = ~beyond + 1
    if any(not lowest <= sink < beyond for sink in load[2 * config.levels :]):
        reasons.add("sink")
    return reasons


def outcomes(config: SoftmaxConfig, words: list[Word]) -> list[Outcome]:
    found, load = [], []
    for k, (first, word) in enumerate(words):
        if first == bool(load):
            found.append(Outcome(k, {"length"}))
        if first:
            load = []
        if first or load:
            load.append(word)
        if len(load) == 2 * config.levels + (config.sink is not None):
            reasons = faults(config, load)
            if reasons:
                found.append(Outcome(k, reasons))
            else:
                tables = Tables(
                    thresholds=tuple(load[1 : config.levels]),
                    exp_rom=tuple(load[config.levels : 2 * config.levels]),
                    sink=None if config.sink is None else load[-1],
                )
                found.append(Outcome(k, set(), load[0], tables))
            load = []
    return found


def good(config: SoftmaxConfig, rng: random.Random) -> list[Word]:
    context = rng.randrange(config.contexts)
    words = config.load_words(context, random_tables(config, rng))
    return [(k == 0, word) for k, word in enumerate(words)]


class Timeline:
    """When loads are in effect, refused and under way.

    ``good``: cycle in which each good one is committed, and its outcome. ``refused``: reasons
    by cycle.
    """

    def __init__(self) -> None:
        self.good: list[tuple[int, Outcome]] = []
        self.refused: dict[int, set[str]] = {}
        # Cycles in which something is under way, from and up to; the last one may be open.
        self._under_way: list[tuple[int, int | None]] = []

    def add(self, begin: int, end: int | None) -> None:
        self._under_way.append((begin, end))

    def busy(self, now: int) -> bool:
        return any(begin <= now and (end is None or now < end) for begin, end in self._under_way)


def timeline(
    config: SoftmaxConfig, words: Sequence[Word], times: Sequence[int], latency: int
) -> Timeline:
    """What ``words``, taken at ``times``, lead to; those not taken yet are left out.

    ``latency``: cycles from a good load's last word to its commit. A load is under way from its
    first word on, and until the cycle of its commit, or before that of its refusal.
    """
    words = list(words)[: len(times)]
    found = Timeline()
    ends = {outcome.word: outcome for outcome in outcomes(config, words)}
    begun = None
    for k, ((first, _), taken) in enumerate(zip(words, times, strict=True)):
        outcome = ends.get(k)
        begun = taken + 1 if begun is None and first else begun
        found.add(taken + 1, taken + 2)
        if outcome is None:
            continue
        if outcome.reasons == {"length"}:
            found.refused[taken + CUT_SHORT] = outcome.reasons
            continue
        if outcome.reasons:
            end = taken + JUDGED
            found.refused[end] = outcome.reasons
        else:
            found.good.append((taken + latency, outcome))
            end = taken + latency + 1
        found.add(begun, end)
        begun = None
    if begun is not None:
        found.add(begun, None)
    return found
