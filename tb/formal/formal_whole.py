"""A small unit as a whole beside its specification: ``whole_rules``, for the first cycles alone.

The specification takes the numbers of one row, any one, as they come in, and has the row's outputs
from them by tables made with fractions and whole numbers: codes by distance from the maximum, and
probabilities by code and sum; or the codes, and the row's maximum and sum. Nothing of the unit is
cut out; rows before and behind the one looked at may have any lengths, masks and numbers, and input
and outputs may stall as they like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, ResetSignal, Signal, signed
from formal_blocks import exact_codes
from formal_engines import Answer, Claim, _ask_abc, _refuted
from formal_text import Dut, Opened

from exaq import SoftmaxConfig


@dataclass(frozen=True)
class Small:
    """A unit whose rows are followed as a whole.

    Members
    -------
    config
        The unit.
    cycles
        For how many.
    without
        Those of ``FRAMES`` that do not leave within them.
    """

    config: SoftmaxConfig
    cycles: int
    without: frozenset[str]


def _small(cycles: int, *without: str, **settings: Any) -> Small:
    usual = {
        "bits": 2,
        "logit_width": 4,
        "exp_frac": 4,
        "prob_bits": 4,
        "logit_scale": 0.5,
        "clip": -4,
    }
    return Small(SoftmaxConfig(**(usual | settings)), cycles, frozenset(without))


_MASKED_BETWEEN = "a row with masked elements between live ones"
_SECOND = "a row behind another one"
#: Units by the names of their proofs.
SMALL = {
    "2 lanes, rows of 4": _small(37, _SECOND, lanes=2, max_row=4),
    "1 lane, rows of 3": _small(40, lanes=1, max_row=3),
    "2 lanes, rows of 2": _small(46, _MASKED_BETWEEN, lanes=2, max_row=2),
    "1 lane, rows of 2": _small(40, _MASKED_BETWEEN, lanes=1, max_row=2),
    "2 lanes, rows of 4, codes and sums": _small(
        16, lanes=2, max_row=4, output="codes", row_results="sum"
    ),
}
#: Rows are numbered from 0 on; behind so many they are not told apart any more.
_ROWS = 8


@dataclass
class _Row:
    """The row that is looked at, as it came in: its number, a logit for each place, and flags."""

    number: Signal
    logits: list[Signal]
    live: list[Signal]
    held: list[Signal]
    beats: Signal
    error: Signal
    whole: Signal


def rounded(exponential: int, total: int, prob_bits: int) -> int:
    """The probability of an exponential in a row with this sum, as documented."""
    return min(((exponential << prob_bits) + total // 2) // total, (1 << prob_bits) - 1)


def truncated(exponential: int, total: int, prob_bits: int) -> int:
    """What a division gives that does not round: wrong."""
    return min((exponential << prob_bits) // total, (1 << prob_bits) - 1)


def whole_rules(
    config: SoftmaxConfig,
    design: Opened,
    *,
    probability: Callable[[int, int, int], int] = rounded,
    never: str = "",
) -> Claim:
    """Each row's beats come out in order, with its lanes, its end, its error and its probabilities;
    or with its codes, and beside them its maximum, its sum and its error.

    ``probability`` is what one has to be of its exponential and its row's sum. Of a unit that gives
    sums, these are claimed to be one more where it is another one. With ``never``, one of
    ``FRAMES``, it is claimed instead that such a frame does not leave the unit.
    """
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    # A row would begin anew behind a later reset, with less time.
    claim.given(claim.first | ~ResetSignal())
    number = claim.constant((_ROWS - 1).bit_length(), "number")
    row = _received(m, claim, dut, config, number)
    format = config.format

    rows, beat = Signal(range(_ROWS + 1), name="rows_out"), Signal(range(format.beats + 1))
    valid, last = dut["m_axis_tvalid"], dut["m_axis_tlast"]
    given = valid & dut["m_axis_tready"]
    with m.If(given):
        m.d.sync += beat.eq(Mux(last, 0, beat + 1))
        with m.If(last & (rows != _ROWS)):
            m.d.sync += rows.eq(rows + 1)
    here = valid & (rows == number)
    ends = beat == row.beats - 1
    rules = [row.whole, last == ends]
    if config.output == "codes":
        rules += _code_beats(config, dut, row, beat)
    else:
        wanted = _probabilities(config, row, probability)
        rules.append(dut["m_axis_tuser"] == (ends & row.error))
        rules += _probability_beats(config, dut, row, beat, wanted)
    if never:
        leaves = here & given & last
        claim.always(~(leaves & FRAMES[never](config, row)))
    else:
        claim.always(~here | Cat(rules).all())
        if config.row_results == "sum":
            off = probability is not rounded
            claim.always(_row_result(m, config, dut, row, number, off=off))
    claim.free += dut.free
    return claim


def _at(values: Sequence[Any], config: SoftmaxConfig, lane: int, beat: Any) -> Any:
    """The value of the element that is in this lane of a beat."""
    return Array(values[lane :: config.lanes])[beat]


def _probability_beats(
    config: SoftmaxConfig, dut: Dut, row: _Row, beat: Any, wanted: Sequence[Any]
) -> Iterator[Any]:
    octets = config.format.prob_bytes
    for lane in range(config.lanes):
        held = _at(row.held, config, lane, beat)
        offered = dut["m_axis_tdata"].word_select(lane, 8 * octets)
        yield dut["m_axis_tkeep"].word_select(lane, octets) == held.replicate(octets)
        yield ~held | (offered == _at(wanted, config, lane, beat))


def _code_beats(config: SoftmaxConfig, dut: Dut, row: _Row, beat: Any) -> Iterator[Any]:
    codes, bits, lanes = _codes(config, row), config.bits, range(config.lanes)
    live, held, code = (
        [_at(each, config, lane, beat) for lane in lanes] for each in (row.live, row.held, codes)
    )
    yield dut["m_axis_tdata"] == Cat(Mux(live[lane], code[lane], 0) for lane in lanes)
    yield dut["m_axis_tuser"] == Cat(live)
    for octet, keep in enumerate(dut["m_axis_tkeep"]):
        yield keep == held[8 * octet // bits]


def _row_result(
    m: Module, config: SoftmaxConfig, dut: Dut, row: _Row, number: Signal, *, off: bool
) -> Any:
    rows = Signal(range(_ROWS + 1), name="results_out")
    valid = dut["m_row_tvalid"]
    with m.If(valid & dut["m_row_tready"] & (rows != _ROWS)):
        m.d.sync += rows.eq(rows + 1)
    octets = 8 * config.format.logit_bytes
    offered = dut["m_row_tdata"]
    right = [
        row.whole,
        offered[:octets].as_signed() == _maximum(config, row),
        offered[octets:] == _sum(config, row, _codes(config, row)) + off,
        dut["m_row_tuser"] == row.error,
    ]
    return ~(valid & (rows == number)) | Cat(right).all()


def _received(m: Module, claim: Claim, dut: Dut, config: SoftmaxConfig, number: Signal) -> _Row:
    """Rows as they are taken, and the one that has this number."""
    format, lanes = config.format, config.lanes
    places = format.beats * lanes
    row = _Row(
        number,
        [Signal(signed(config.logit_width), name=f"logit{k}") for k in range(places)],
        [Signal(name=f"live{k}") for k in range(places)],
        [Signal(name=f"held{k}") for k in range(places)],
        Signal(range(format.beats + 1), name="beats"),
        Signal(name="error"),
        Signal(name="whole"),
    )
    rows, count = Signal(range(_ROWS + 1), name="rows_in"), Signal(range(format.beats + 1))
    taken, last = dut["s_axis_tvalid"] & dut["s_axis_tready"], dut["s_axis_tlast"]
    names = (f"s_axis_{name}" for name in ("tdata", "tkeep", "tuser"))
    payload = Cat(*(dut[name] for name in names if dut.has(name)), last)
    claim.given(claim.held(dut["s_axis_tvalid"], dut["s_axis_tready"], payload, "s_axis"))
    keep = [dut["s_axis_tkeep"][lane * format.logit_bytes] for lane in range(lanes)]
    for lower, upper in pairwise(keep):
        claim.given(~(taken & last) | lower | ~upper)
    full = count == format.beats
    with m.If(taken):
        m.d.sync += count.eq(Mux(last, 0, Mux(full, count, count + 1)))
        with m.If(last & (rows != _ROWS)):
            m.d.sync += rows.eq(rows + 1)
        with m.If(rows == number):
            m.d.sync += row.whole.eq(last | full | (count == format.beats - 1))
            with m.If(full):
                pass
            with m.Else():
                m.d.sync += row.beats.eq(count + 1)
                m.d.sync += row.error.eq(~last & (count == format.beats - 1))
    for k in range(places):
        lane, beat = k % lanes, k // lanes
        octets = dut["s_axis_tdata"].word_select(lane, 8 * format.logit_bytes)
        held = ~last | keep[lane]
        masked = dut["s_axis_tuser"][lane] if config.format.masking else Const(0, 1)
        with m.If(taken & (rows == number) & (count == beat)):
            m.d.sync += [
                row.logits[k].eq(octets[: config.logit_width]),
                row.held[k].eq(held),
                row.live[k].eq(held & ~masked),
            ]
    return row


def _maximum(config: SoftmaxConfig, row: _Row) -> Any:
    """A row's; the lowest logit where no element is live."""
    lowest = Const(-(1 << config.logit_width - 1), signed(config.logit_width))

    def greater(a: Any, b: Any) -> Any:
        return Mux(a > b, a, b)

    lives = zip(row.logits, row.live, strict=True)
    return reduce(greater, (Mux(live, x, lowest) for x, live in lives))


def _codes(config: SoftmaxConfig, row: _Row) -> list[Any]:
    """A row's, place by place; of elements that are not live, any."""
    maximum = _maximum(config, row)
    by_distance = Array(Const(code, config.bits) for code in exact_codes(config))
    return [by_distance[(maximum - x).as_unsigned()[: config.logit_width]] for x in row.logits]


def _sum(config: SoftmaxConfig, row: _Row, codes: Sequence[Any]) -> Any:
    exponentials = config.tables.exp_rom
    by_code = Array(Const(each, max(exponentials).bit_length()) for each in exponentials)
    lives = zip(codes, row.live, strict=True)
    return sum((Mux(live, by_code[code], 0) for code, live in lives), start=Const(0, 1))


def _probabilities(
    config: SoftmaxConfig, row: _Row, probability: Callable[[int, int, int], int]
) -> list[Any]:
    """A row's, place by place, of a unit whose tables are fixed."""
    exponentials, codes = config.tables.exp_rom, _codes(config, row)
    most = len(row.logits) * max(exponentials)
    table = Array(
        Const(probability(e, total, config.prob_bits) if total else 0, config.prob_bits)
        for e in exponentials
        for total in range(most + 1)
    )
    total = _sum(config, row, codes)
    lives = zip(codes, row.live, strict=True)
    return [Mux(live, table[code * (most + 1) + total], 0) for code, live in lives]


def within(claim: Claim, folder: Path, *, cycles: int, seconds: int = 1200) -> Answer:
    """Whether a claim holds in the first ``cycles``, by ABC."""
    said = _ask_abc(claim, folder, f"bmc3 -F {cycles}", seconds)
    if re.search(rf"No output asserted in {cycles} frames", said):
        return Answer.PROVED
    return _refuted(said)


#: Frames that have to be among those that leave within the bound, each told by the row.
FRAMES: dict[str, Callable[[SoftmaxConfig, _Row], Any]] = {
    "a row of most elements, all live": lambda config, row: Cat(*row.live)[: config.max_row].all(),
    "a row with a tail": lambda config, row: ~Cat(*row.held).all(),
    "a row that is too long": lambda config, row: row.error,
    "a row without a live element": lambda config, row: ~Cat(*row.live).any(),
    _MASKED_BETWEEN: lambda config, row: row.live[0] & ~row.live[1] & row.live[2],
    "a row of a single beat": lambda config, row: row.beats == 1,
    _SECOND: lambda config, row: row.number != 0,
}
