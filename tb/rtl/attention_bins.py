"""What every simulation of an attention head has to show, by what came out right."""

from __future__ import annotations

from collections.abc import Iterable

from rtl_stalls import STALLS

from exaq.attention import AttentionConfig

#: A bin, and what it is for. Those of rows count when the row's outputs were right.
BINS: dict[str, str] = {
    "keys.one": "a row that meets one key",
    "keys.whole_beats": "its keys fill the last beat",
    "keys.part_of_a_beat": "they do not",
    "keys.max_row": "as many as there may be",
    "keys.fewer_than_before": "a bank holds keys of a former head behind its own",
    "rows.one": "a head of one row",
    "rows.several": "a head of several",
    "groups.several": "several heads of q on the same keys and values",
    "scores.tie": "two keys share the greatest score, and their values differ",
    "scores.apart": "a key's score is by 8 above all others",
    "outputs.lowest": "an output is the lowest that there is",
    "outputs.highest": "an output is the highest that there is",
    "error.long_keys": "more keys than max_row, and as many values",
    "error.long_values": "more values than keys",
    "error.short_values": "fewer values than keys",
    "error.between": "a row that is right behind one in error",
    "loads.ahead": "a head's keys were all in before the last outputs of the head before",
    "waits.q": "q was not taken while the sink stood still",
    "waits.k": "nor were keys",
    "waits.v": "nor were values",
    "reset.loading": "a reset while keys came, and rows that were right behind it",
    "reset.leaving": "a reset in the middle of a row's outputs",
} | {f"stall.{side}.{name}": "a pattern on that side" for side in "qkvo" for name in STALLS}

_STORED_ONLY = {"keys.fewer_than_before", "rows.one", "rows.several", "groups.several"}


def required(config: AttentionConfig, *, stored: bool) -> set[str]:
    """The bins that a simulation of this head must hit."""
    without = set() if stored else _STORED_ONLY | {"loads.ahead"}
    if config.lanes == 1:
        without.add("keys.part_of_a_beat")
    return BINS.keys() - without


def missed(hits: Iterable[str], config: AttentionConfig, *, stored: bool) -> list[str]:
    """Those of them that it did not; a KeyError where a hit is no bin."""
    found = set(hits)
    if unknown := found - BINS.keys():
        raise KeyError(f"no bins: {sorted(unknown)}")
    return sorted(required(config, stored=stored) - found)
