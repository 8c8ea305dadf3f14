"""Functional coverage: the bins that a whole regression must hit, and who hits them.

``tb/testplan.toml`` says what each bin is for; a test keeps the two lists equal.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from rtl_rows import Row
from rtl_stalls import STALLS
from rtl_tables import BAD_LOADS

from exaq import Baps, Exaq, Lut, Multiply, Shift, Softermax, SoftmaxConfig, quantize
from exaq_hdl.kernels.division.normalizer import Normalizer
from exaq_hdl.kernels.exaq.layouts import division_of
from exaq_hdl.kernels.exaq.tables.provider import tables_of
from exaq_hdl.parts.memory import SIMULATED

_BINS = {
    "config": (
        "bits_2",
        "bits_3",
        "bits_4",
        "bits_5",
        "bits_6",
        "lanes_1",
        "lanes_64",
        "group_1",
        "group_several",
        "sum_rom_largest",
        "masking_off",
        "pad_bits",
        "logit_bytes_3",
        "prob_bits_4",
        "prob_bits_24",
        "free_tables",
        "max_row_one_beat",
        "max_row_no_power_of_two",
        "max_row_1024",
        "one_divider",
        "several_dividers",
        "several_rings",
        "p_table_registers",
        "p_table_distributed",
        "p_table_block",
        "one_context",
        "several_contexts",
        "contexts_no_power_of_two",
        "sink",
        "sinks_of_contexts",
        "codes_and_sums",
        "codes_and_tables",
        "results",
        "window",
        "mask_value",
        "bf16",
        "fp16",
        "baps_e5m3",
        "baps_hif8",
        "baps_linear",
        "baps_float",
        "multiply_table",
        "multiply_polynomial",
        "multiply_pieces",
        "shift_e2softmax",
        "shift_ita",
        "lut_rexp",
        "lut_2d",
        "softermax_table",
        "softermax_sum",
    ),
    "number": (
        "nan",
        "plus_infinity",
        "minus_infinity",
        "nan_masked",
        "nan_beyond_max_row",
        "bad_row_without_live",
        "good_row_after_bad",
        "both_zeros",
        "denormal",
    ),
    "results": (
        "before_the_last_element",
        "behind_the_last_element",
        "no_live_element",
        "error",
        "stalled",
        "as_many_wait_as_declared",
        "elements_first",
        "latency",
    ),
    "sink": (
        "above_all",
        "ties",
        "code_between",
        "on_threshold",
        "below_threshold",
        "all_masked",
    ),
    "row": (
        "one_element",
        "one_beat",
        "longest",
        "every_length",
        "every_tail",
        "null_last_beat",
        "null_only",
    ),
    "value": (
        "all_equal",
        "tied_maxima",
        "rising",
        "falling",
        "full_range",
        "every_code",
        "on_threshold",
        "below_threshold",
        "max_in_every_lane",
        "max_in_first_beat",
        "max_in_last_beat",
        "saturated",
        "live_zero",
    ),
    "mask": (
        "some",
        "all",
        "beat",
        "first_beat",
        "last_beat",
        "lone_live",
        "above_live_maximum",
        "causal",
        "excess_of_over_long",
        "by_value",
        "all_by_value",
    ),
    "window": (
        "starts_in_beat",
        "stops_in_beat",
        "skips_beats",
        "leaves_beats",
        "within_a_beat",
        "one_element",
        "none",
        "beyond_row",
        "with_mask",
        "over_long",
        "after_over_long",
    ),
    "over_long": (
        "one_element",
        "many_beats",
        "null_beat",
        "twice",
        "after_longest",
        "before_one_beat",
    ),
    "flow": (
        "input_held_back",
        "output_stalled",
        "output_stalled_on_last",
        "stall_of_one_cycle",
        "stall_of_100_cycles",
        "source_idle_in_row",
        "both_sides_move",
        "three_rows_inside",
        "one_beat_rows_every_cycle",
        "valid_before_ready",
        "ready_before_valid",
    ),
    "context": (
        "every",
        "changes_with_every_row",
        "unknown",
        "unknown_over_long",
    ),
    "load": (
        "rows_in_flight",
        "other_context",
        "old_tables_after_words",
        "new_tables_before_done",
        "row_in_cycle_before_effect",
        "row_in_cycle_of_effect",
        "same_context_again",
        "other_context_next",
        "waits_for_rows",
        "word_while_waiting",
        "without_a_gap",
        "at_full_rate",
        *(f"bad_{kind}" for kind in BAD_LOADS),
        "bad_too_few",
        "bad_too_many",
        "bad_stray",
    ),
    "register": (
        "constants",
        "errors",
        "counters_running",
        "counters_cleared",
        "wider_bus",
    ),
    "reset": (
        "idle",
        "row_half_in",
        "row_half_out",
        "output_stalled",
        "while_dropping",
        "in_boot",
        "in_load_words",
        "in_load_fill",
        "while_load_waits",
    ),
    "rate": (
        "uniform",
        "mixed",
        "latency",
    ),
    "stall": tuple(
        f"{side}_{pattern}" for side in ("source", "sink", "results") for pattern in STALLS
    ),
}
#: Every bin there is.
BINS = frozenset(f"{kind}.{name}" for kind, names in _BINS.items() for name in names)


class Hits:
    """Counts hits of bins, test by test."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def add(self, test: str, bins: Iterable[str]) -> None:
        """Counts ``bins`` as hit by ``test``; KeyError where one is not in ``BINS``."""
        for name in bins:
            if name not in BINS:
                raise KeyError(f"{name} is not in BINS")
            self._counts[name][test] += 1

    def write(self, path: Path) -> None:
        """Writes {bin: {test: count}}."""
        path.write_text(json.dumps(self._counts, indent=1, sort_keys=True), encoding="utf-8")


def config_bins(config: SoftmaxConfig) -> Iterator[str]:
    """Bins that a configuration hits by being simulated."""
    beats = config.beats
    hit = {
        "lanes_1": config.lanes == 1,
        "lanes_64": config.lanes == 64,
        "masking_off": not config.masking,
        "pad_bits": config.logit_width % 8 != 0,
        "logit_bytes_3": config.logit_bytes == 3,
        "prob_bits_4": config.prob_bits == 4,
        "prob_bits_24": config.prob_bits == 24,
        "max_row_one_beat": beats == 1,
        "max_row_no_power_of_two": beats & (beats - 1) != 0,
        "max_row_1024": config.max_row >= 1024,
        "one_context": config.contexts == 1,
        "several_contexts": config.contexts > 1,
        "contexts_no_power_of_two": config.contexts & (config.contexts - 1) != 0,
        "bf16": config.logit_format == "bf16",
        "fp16": config.logit_format == "fp16",
        "codes_and_sums": (config.output, config.row_results) == ("codes", "sum"),
        "codes_and_tables": (config.output, config.row_results) == ("codes", "table"),
        "results": config.output == "probabilities" and config.row_results != "none",
        "window": config.window,
        "mask_value": config.mask_value == "lowest",
        "sink": bool(config.sinks) and not config.contexts,
        "sinks_of_contexts": bool(config.sinks) and config.contexts > 0,
    }
    if isinstance(config.kernel, Exaq):
        hit |= _exaq_bins(config.kernel)
    if isinstance(config.kernel, Baps):
        kernel, codes = config.kernel, config.output == "codes"
        hit[f"baps_{kernel.code_format if codes else kernel.probability_format}"] = True
    if isinstance(config.kernel, Multiply):
        hit[f"multiply_{_WAYS[config.kernel.exponential]}"] = True
    if isinstance(config.kernel, Shift | Lut):
        hit[f"{config.kernel.name}_{config.kernel.variant}"] = True
    if isinstance(config.kernel, Softermax):
        hit[f"softermax_{'table' if config.logit_width <= 10 else 'sum'}"] = True
    return (f"config.{name}" for name, is_hit in hit.items() if is_hit)


# What the ways to make an exponential have in hardware.
_WAYS = {
    "split": "table",
    "taylor2": "polynomial",
    "taylor3": "polynomial",
    "pwl4": "pieces",
    "pwl8": "pieces",
    "schraudolph": "pieces",
}


def _exaq_bins(kernel: Exaq) -> dict[str, bool]:
    """Of those, the ones of EXAQ's own parameters."""
    dividers, rings = Normalizer.choose(division_of(kernel), tables_of(kernel, SIMULATED).prelude)
    return {
        f"bits_{kernel.bits}": True,
        f"p_table_{kernel.p_table_place}": True,
        "group_1": kernel.group == 1 and kernel.format.lanes > 1,
        "group_several": kernel.groups > 1 and kernel.group > 1,
        "sum_rom_largest": kernel.bits * kernel.group == 12,
        "free_tables": kernel.clip is None,
        "one_divider": (dividers, rings) == (1, 1),
        "several_dividers": dividers > 1 and rings == 1,
        "several_rings": rings > 1,
    }


def row_bins(row: Row) -> Iterator[str]:
    """Bins that one row hits by coming back right."""
    yield from _shape_bins(row)
    if row.config.window and row.elements:
        yield from _window_bins(row)
    yield from _number_bins(row)
    if row.over_long:
        beyond = row.elements - row.config.max_row
        yield from ["over_long.one_element"] if beyond == 1 else []
        yield from ["over_long.many_beats"] if beyond > 2 * row.config.lanes else []
        yield from ["over_long.null_beat"] if row.null_beat else []
        if not row.live[row.config.max_row :].all():
            yield "mask.excess_of_over_long"
    elif row.elements:
        yield from _value_bins(row)
        if not row.part.all():
            yield from _mask_bins(row)
        if row.sink is not None:
            yield from _sink_bins(row, row.sink)


def _sink_bins(row: Row, sink: int) -> Iterator[str]:
    thresholds = row.rules.kernel.borders
    if not row.live.any():
        yield "sink.all_masked"
        return
    distance = sink - max(sink, int(row.logits[row.live].max()))
    code = sum(distance >= threshold for threshold in thresholds)
    hit = {
        "above_all": sink > row.logits[row.live].max(),
        "ties": sink == row.logits[row.live].max(),
        "on_threshold": distance in set(thresholds) - {0},
        "below_threshold": distance + 1 in set(thresholds) - {0},
        "code_between": 0 < code < len(thresholds),
    }
    yield from (f"sink.{name}" for name, is_hit in hit.items() if is_hit)


def _number_bins(row: Row) -> Iterator[str]:
    floats = row.config.float_format
    if floats is None:
        return
    kept = slice(row.config.max_row)
    keys, live = row.logits[kept], row.live[kept]
    nan = floats.bad(keys) & (keys != floats.infinity)
    size = np.where(keys < 0, ~keys, keys)
    hit = {
        "nan": (live & nan).any(),
        "plus_infinity": (live & (keys == floats.infinity)).any(),
        "minus_infinity": (live & (keys == floats.lowest)).any() and row.part.any(),
        "nan_masked": (~live & nan).any() and not row.bad and row.part.any(),
        "nan_beyond_max_row": row.over_long and bool(floats.bad(row.logits)[kept.stop :].any()),
        "bad_row_without_live": row.bad and row.all_masked,
        "both_zeros": {0, -1} <= set(keys[live].tolist()),
        "denormal": (live & (size > 0) & (size < 1 << floats.mantissa)).any(),
    }
    yield from (f"number.{name}" for name, is_hit in hit.items() if is_hit)


def result_bins(row: Row, before: bool) -> Iterator[str]:
    """Bins that a row's results hit by being right; ``before``: an element is still inside."""
    hit = {
        "before_the_last_element": before,
        "behind_the_last_element": not before,
        "no_live_element": row.all_masked,
        "error": bool(row.error),
    }
    return (f"results.{name}" for name, is_hit in hit.items() if is_hit)


def _shape_bins(row: Row) -> Iterator[str]:
    hit = {
        "one_element": row.elements == 1,
        "one_beat": row.beats_in == 1,
        "longest": row.elements == row.config.max_row and not row.over_long,
        "null_last_beat": row.null_beat and row.elements > 0,
        "null_only": row.elements == 0,
    }
    return (f"row.{name}" for name, is_hit in hit.items() if is_hit)


def context_bins(config: SoftmaxConfig, rows: list[Row]) -> Iterator[str]:
    """Bins of the contexts of all rows of a test, in the order they came back."""
    numbers = [row.context for row in rows]
    if set(numbers) >= set(range(config.contexts)):
        yield "context.every"
    if any(len({*three}) == 3 for three in zip(numbers, numbers[1:], numbers[2:], strict=False)):
        yield "context.changes_with_every_row"
    if any(row.unknown for row in rows):
        yield "context.unknown"
    if any(row.unknown and row.over_long for row in rows):
        yield "context.unknown_over_long"


def _value_bins(row: Row) -> Iterator[str]:
    config, live = row.rules, row.part
    if not live.any():
        return
    logits = row.logits[live]
    top = logits.max()
    peak = top if row.sink is None else max(top, row.sink)
    steps = np.diff(logits)
    beats = np.flatnonzero(live & (row.logits == top)) // config.lanes
    if config.float_format is None:
        present = set((logits - peak).tolist())
        borders = set(config.kernel.borders) - {0}
        ends = config.logit_range
    else:
        floats, thresholds = config.float_format, set(config.kernel.borders) - {0}
        present = set(logits.tolist())
        maximum = np.array([top], np.int16)
        borders = set(floats.borders(maximum, sorted(thresholds))[0].tolist())
        ends = (floats.lowest + 1, floats.infinity - 1)
    probabilities = row.probabilities[live]
    several = len(logits) > 1
    hit = {
        "all_equal": several and len(set(logits.tolist())) == 1,
        "tied_maxima": several and len(beats) > 1 and steps.any(),
        "rising": several and (steps > 0).all(),
        "falling": several and (steps < 0).all(),
        "full_range": (logits.min(), top) == ends,
        "on_threshold": not borders.isdisjoint(present),
        "below_threshold": not {t - 1 for t in borders}.isdisjoint(present),
        "max_in_first_beat": row.beats_in > 1 and set(beats.tolist()) == {0},
        "max_in_last_beat": row.beats_in > 1 and set(beats.tolist()) == {row.beats_in - 1},
    }
    if config.output == "probabilities":
        probabilities = row.probabilities[live]
        hit["saturated"] = probabilities.max() == 2**config.prob_bits - 1
        hit["live_zero"] = probabilities.min() == 0
    if isinstance(config.kernel, Exaq):
        values = logits
        if config.float_format is not None:
            values = config.float_format.values(logits.astype(np.int16))
        hit["every_code"] = len(set(quantize(values, config).tolist())) == config.kernel.levels
    yield from (f"value.{name}" for name, is_hit in hit.items() if is_hit)


def _mask_bins(row: Row) -> Iterator[str]:
    live, lanes = row.part, row.config.lanes
    starts = range(0, row.elements, lanes)
    masked_beats = [not live[start : start + lanes].any() for start in starts]
    count = int(live.sum())
    some = count > 0
    hit = {
        "some": some,
        "all": not some,
        "beat": some and any(masked_beats),
        "first_beat": some and masked_beats[0],
        "last_beat": some and masked_beats[-1],
        "lone_live": count == 1,
        "above_live_maximum": some and row.logits[~live].max() > row.logits[live].max(),
        "causal": some and bool(live[:count].all()),
    }
    if row.config.mask_value == "lowest":
        by_value = row.logits == row.config.logit_range[0]
        hit |= {"by_value": some and bool(by_value.any()), "all_by_value": bool(by_value.all())}
    yield from (f"mask.{name}" for name, is_hit in hit.items() if is_hit)


def _window_bins(row: Row) -> Iterator[str]:
    start, stop = row.window
    lanes, elements = row.config.lanes, min(row.elements, row.config.max_row)
    inside = start < min(stop, elements)
    flags = row.live if row.flags is None else row.flags
    hit = {
        "starts_in_beat": inside and start % lanes != 0,
        "stops_in_beat": inside and stop < elements and stop % lanes != 0,
        "skips_beats": inside and start >= lanes,
        "leaves_beats": inside and stop <= elements - lanes,
        "within_a_beat": inside and start // lanes == (stop - 1) // lanes and lanes > 1,
        "one_element": inside and min(stop, elements) == start + 1 and elements > 1,
        "none": start >= stop,
        "beyond_row": inside and stop > elements,
        "with_mask": inside and row.config.masking and not flags[start:stop].all(),
        "over_long": inside and row.over_long and (start > 0 or stop < elements),
    }
    yield from (f"window.{name}" for name, is_hit in hit.items() if is_hit)


def sequence_bins(config: SoftmaxConfig, rows: list[Row]) -> Iterator[str]:
    """Bins that all rows of a test hit together, in the order they came back."""
    lengths = {row.elements for row in rows if not row.over_long}
    if lengths >= set(range(1, config.max_row + 1)):
        yield "row.every_length"
    if config.lanes > 1 and {n % config.lanes for n in lengths} == set(range(config.lanes)):
        yield "row.every_tail"
    lone = {
        int(row.logits.argmax()) % config.lanes
        for row in rows
        if row.elements > config.lanes and (row.logits == row.logits.max()).sum() == 1
    }
    if config.lanes > 1 and lone == set(range(config.lanes)):
        yield "value.max_in_every_lane"
    for before, after in itertools.pairwise(rows):
        if before.over_long and after.over_long:
            yield "over_long.twice"
        if after.over_long and before.elements == config.max_row and not before.over_long:
            yield "over_long.after_longest"
        if config.window and before.over_long and after.live.any() and not after.live.all():
            yield "window.after_over_long"
        if before.bad and not after.bad:
            yield "number.good_row_after_bad"
        if before.over_long and after.beats_in == 1:
            yield "over_long.before_one_beat"
