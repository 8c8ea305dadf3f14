"""What single blocks of EXAQ's emitted text compute, against exact arithmetic: every case there is.

``quantizer_rules`` has the authors' quantizer in fractions as its specification, ``table_rules``
sums and exponentials of the golden model, ``divider_rules`` whole numbers divided by Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from formal_engines import Claim
from formal_text import Dut, Opened
from rational import position, round_half_even

from exaq import SoftmaxConfig
from exaq_hdl.kernels.exaq.layouts import code_beat
from exaq_hdl.shell.streams import row_beat


def exact_codes(config: SoftmaxConfig) -> list[int]:
    """Code of each distance 0, 1, ... from the row's maximum, by the authors' quantizer in
    fractions.
    """
    assert config.clip is not None
    clip, scale = Fraction(config.clip), Fraction(config.logit_scale)
    places = [position(-d, clip, scale, config.bits) for d in range(1 << config.logit_width)]
    return [round_half_even(place) for place in places]


def quantizer_rules(config: SoftmaxConfig, design: Opened, *, codes: Sequence[int]) -> Claim:
    """Two cycles after a beat is taken its codes are there: ``codes`` of the distance of each lane
    that is live, 0 of others, whatever beats and maxima come. Where its receiver can stop the
    quantizer, in a unit that gives codes, that is for a receiver that does not.
    """
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    kernel: Any = config.kernel
    beat = data.View(row_beat(config.format), dut["quantizer_i_payload"])
    given = data.View(code_beat(kernel), dut["quantizer_o_payload"])
    maximum = dut["quantizer_maximum_payload"]
    taken = dut["quantizer_i_valid"] & dut["quantizer_i_ready"]
    table = Array(Const(code, config.bits) for code in codes)
    steps: list[Any] = [taken]
    for lane in range(config.lanes):
        # A live lane's logit is not above its row's maximum, which is the largest of them.
        logit = beat.logits[lane]
        live = beat.live[lane] if config.format.partial_rows else beat.tail[lane]
        claim.given(~(taken & live) | (logit <= maximum))
        distance = Signal(config.logit_width, name=f"distance{lane}")
        m.d.comb += distance.eq(maximum - logit)
        steps.append(Mux(live, table[distance], 0))
    for stage in range(2):
        later = [
            Signal(len(step), name=f"step{stage}_{k}") for k, step in enumerate(map(_value, steps))
        ]
        m.d.sync += [into.eq(step) for into, step in zip(later, steps, strict=True)]
        steps = list(later)
    valid, *expected = steps
    claim.always(dut["quantizer_o_valid"] == valid)
    for lane, code in enumerate(expected):
        claim.always(~valid | (given.codes[lane] == code))
    if dut.has("quantizer_o_ready"):
        dut.drive("quantizer_o_ready", 1)
    claim.free += dut.free
    return claim


def _value(value: Any) -> Any:
    return value.as_value() if hasattr(value, "as_value") else value


def divider_rules(config: SoftmaxConfig, design: Opened, total: int, *, off: int = 0) -> Claim:
    """Quotients of rows whose sum is ``total``, for all exponentials up to it and any stalls.

    Quotient k of a row is floor((E_k * 2**prob_bits + floor(S / 2)) / S), all ones at most, and
    there are 2**bits of them a row, in order. With ``off`` added to each, it is not true.
    """
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    levels, one = 1 << config.bits, 1 << config.prob_bits
    complement = dut["i__payload"]
    dut.drive("i__payload", ~total & (1 << len(complement)) - 1)
    width = len(dut["exp_rom.exponential"])
    most = min(total, (1 << width) - 1)
    exponentials = [claim.constant(width, f"exponential{k}") for k in range(levels)]
    for exponential in exponentials:
        claim.given(exponential <= most)
    dut.drive("exp_rom.exponential", Array(exponentials)[dut["exp_rom.code"]])
    quotients = [min((e * one + total // 2) // total, one - 1) + off for e in range(most + 1)]
    spec = Array(Const(quotient, config.prob_bits + 1) for quotient in quotients)
    level = Signal(range(levels))
    given = dut["o__valid"] & dut["o__ready"]
    with m.If(given):
        m.d.sync += level.eq(level + 1)
    claim.always(~dut["o__valid"] | (dut["o__payload"] == spec[Array(exponentials)[level]]))
    claim.free += dut.free
    return claim


def sum_table_rules(config: SoftmaxConfig, design: Opened, *, off: int = 0) -> Claim:
    """Two cycles after an address, which is a group of codes, LUT_sum gives the sum of their
    exponentials; ``off`` added to the first entry's, that is not true.
    """
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    address, total = dut["addr"], dut["total"]
    lanes = len(address) // config.bits
    sums = [
        sum(config.tables.exp_rom[a >> config.bits * k & config.levels - 1] for k in range(lanes))
        for a in range(1 << len(address))
    ]
    sums[0] += off
    table = Array(Const(entry, len(total)) for entry in sums)
    asked, since = Signal(2 * len(address)), Signal(2)
    m.d.sync += [asked.eq(Cat(address, asked)), since.eq(Mux(since == 2, 2, since + 1))]
    claim.always((since < 2) | (total == table[asked[len(address) :]]))
    claim.free += dut.free
    return claim


def exponential_rules(config: SoftmaxConfig, design: Opened, *, off: int = 0) -> Claim:
    """The dividers' table has the exponential of each code; ``off`` added to one, it has not."""
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    given = dut["exponential"]
    entries = [entry + off for entry in config.tables.exp_rom]
    claim.always(given == Array(Const(entry, len(given) + 1) for entry in entries)[dut["code"]])
    claim.free += dut.free
    return claim
