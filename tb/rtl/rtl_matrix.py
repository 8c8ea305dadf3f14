"""The configurations that the regression simulates, and why each is there."""

from __future__ import annotations

from exaq import SoftmaxConfig, Tables
from exaq_hdl.emit.target import Target

#: Name to configuration; a name is a pytest parameter, so -k selects by its parts. New ones go to
#: the end: a configuration's place says which of the stimuli are its share.
MATRIX: dict[str, SoftmaxConfig] = {
    # The usual unit, with rows of max_row frequent; full rate from its least legal row on.
    "2bit-x4": SoftmaxConfig(max_row=64, full_rate_row=32),
    # One lane, one serial divider.
    "2bit-x1": SoftmaxConfig(lanes=1, max_row=160, full_rate_row=140),
    # One beat is the longest row; the rate is bound by divisions.
    "2bit-x4-one-beat": SoftmaxConfig(max_row=4, prob_bits=12),
    # Pad bits in two-byte logits, a byte of probability, a few beats.
    "2bit-x8-logit12": SoftmaxConfig(
        lanes=8, logit_width=12, logit_scale=2**-7, prob_bits=8, max_row=128, full_rate_row=64
    ),
    # Largest LUT_sum of 2 bits, rows of no power of two, lanes of none either.
    "2bit-x12-group6": SoftmaxConfig(lanes=12, group=6, max_row=60, prob_bits=13, exp_frac=10),
    # Several groups, a divider for each level.
    "2bit-x16": SoftmaxConfig(lanes=16, max_row=512, full_rate_row=400),
    # Hundreds of beats, in buffers of as many.
    "2bit-x2-row1024": SoftmaxConfig(lanes=2, max_row=1024, full_rate_row=256),
    # Widest beat with the narrowest numbers.
    "2bit-x64-narrow": SoftmaxConfig(
        lanes=64, logit_width=4, logit_scale=0.5, prob_bits=4, exp_frac=4, max_row=768
    ),
    # No masks, no LUT_sum worth the name, p-tables in distributed RAM.
    "2bit-x4-nomask-group1": SoftmaxConfig(
        group=1,
        masking=False,
        max_row=16,
        prob_bits=20,
        logit_width=10,
        logit_scale=2**-5,
        p_table="distributed",
    ),
    # Equal thresholds; exponentials that are zero, that fall, that are not 1 at the maximum.
    # P-tables in block RAM, which come one behind the other out of several rings.
    "2bit-x4-free": SoftmaxConfig(
        p_table="block",
        max_row=36,
        prob_bits=10,
        exp_frac=8,
        tables=Tables(thresholds=(-40, -3, -3), exp_rom=(0, 300, 17, 511)),
    ),
    # Every threshold 0: only the maximum is not at the lowest level.
    "2bit-x2-maximum-only": SoftmaxConfig(
        lanes=2,
        max_row=14,
        prob_bits=6,
        exp_frac=7,
        tables=Tables(thresholds=(0, 0, 0), exp_rom=(3, 9, 200, 101)),
    ),
    "3bit-x4": SoftmaxConfig(
        bits=3, logit_width=16, logit_scale=2**-11, prob_bits=24, max_row=128, full_rate_row=64
    ),
    "3bit-x4-group4-nomask": SoftmaxConfig(
        bits=3, group=4, masking=False, max_row=32, prob_bits=16, p_table="registers"
    ),
    # A threshold that every distance reaches, one at 0.
    "3bit-x2-free": SoftmaxConfig(
        bits=3,
        lanes=2,
        max_row=24,
        prob_bits=9,
        tables=Tables(
            thresholds=(-300, -127, -100, -64, -20, -1, 0),
            exp_rom=(1, 2, 3, 8191, 5, 12000, 16383, 1),
        ),
    ),
    "4bit-x2": SoftmaxConfig(
        bits=4, lanes=2, logit_width=24, logit_scale=2**-19, max_row=96, full_rate_row=80
    ),
    "4bit-x1": SoftmaxConfig(
        bits=4, lanes=1, max_row=48, full_rate_row=32, prob_bits=18, p_table="distributed"
    ),
    # LUT_sum of 1024 entries; a table of codes for 8 bits of distance.
    "5bit-x4": SoftmaxConfig(bits=5, max_row=256, full_rate_row=256),
    # 64 levels: rings of as many units, and 63 comparisons of long distances.
    "6bit-x1": SoftmaxConfig(
        bits=6,
        lanes=1,
        logit_width=14,
        logit_scale=2**-8,
        max_row=160,
        full_rate_row=128,
        prob_bits=20,
        p_table="registers",
    ),
    # Codes and sums: rows of one beat back to back; a byte of codes in a beat.
    "2bit-x4-codes-sums": SoftmaxConfig(output="codes", row_results="sum", max_row=64),
    # Codes across bytes, tables behind contexts, numbers without a context.
    "3bit-x6-codes-contexts3": SoftmaxConfig(
        bits=3, lanes=6, logit_width=11, max_row=48, output="codes", contexts=3, full_rate_row=96
    ),
    # Tables beside probabilities, each row's taken before the next row leaves.
    "2bit-x2-tables": SoftmaxConfig(
        lanes=2, max_row=40, full_rate_row=24, prob_bits=11, row_results="table"
    ),
    # A sink that all rows share, within the logits.
    "2bit-x4-sink": SoftmaxConfig(max_row=32, full_rate_row=32, prob_bits=10, sink=17),
    # A sink of each context: at both ends, and that of the configuration.
    "3bit-x2-contexts3-sinks": SoftmaxConfig(
        bits=3,
        lanes=2,
        max_row=32,
        full_rate_row=32,
        exp_frac=8,
        contexts=3,
        sink=-20,
        context_tables=(
            Tables(
                thresholds=(-90, -70, -60, -50, -20, -2, -1),
                exp_rom=(3, 9, 70, 0, 300, 5, 400, 256),
                sink=127,
            ),
            Tables(thresholds=(-40, -33, -27, -20, -14, -7, -2), exp_rom=(1,) * 7 + (511,)),
            Tables(thresholds=(-256,) * 7, exp_rom=(511, 0, 0, 0, 0, 0, 0, 511), sink=-128),
        ),
    ),
    # One context: no tid. Several rows fit between a row's maximum and its sum.
    "2bit-x4-contexts1": SoftmaxConfig(contexts=1, max_row=48, full_rate_row=32),
    # One serial divider: a row needs its exponentials long after the row before has left.
    "2bit-x1-contexts2": SoftmaxConfig(
        contexts=2, lanes=1, max_row=48, full_rate_row=140, logit_width=6, exp_frac=9
    ),
    # A number without a context; free tables, each different, with thresholds beyond all logits.
    "3bit-x2-contexts3-free": SoftmaxConfig(
        bits=3,
        lanes=2,
        max_row=40,
        full_rate_row=32,
        prob_bits=9,
        contexts=3,
        context_tables=(
            Tables(
                thresholds=(-300, -127, -100, -64, -20, -1, 0),
                exp_rom=(1, 2, 3, 8191, 5, 12000, 16383, 1),
            ),
            Tables(thresholds=(-9, -7, -6, -5, -2, -2, -1), exp_rom=(0, 0, 9, 70, 0, 300, 5, 9000)),
            Tables(thresholds=(-256,) * 7, exp_rom=(16383, 0, 0, 0, 0, 0, 0, 16383)),
        ),
    ),
    # Three numbers without a context; no masks, no LUT_sum worth the name.
    "4bit-x2-contexts5-nomask": SoftmaxConfig(
        bits=4,
        lanes=2,
        group=1,
        masking=False,
        logit_width=12,
        logit_scale=2**-7,
        max_row=64,
        full_rate_row=64,
        contexts=5,
    ),
    # 64 levels that are loaded.
    "6bit-x2-contexts2": SoftmaxConfig(bits=6, lanes=2, max_row=128, full_rate_row=256, contexts=2),
    # Windows above the mask bits; rows of half and of all of max_row.
    "2bit-x4-window": SoftmaxConfig(window=True, max_row=48, full_rate_row=32),
    # Windows without mask bits, over lanes of no power of two; the lowest logit masks; contexts.
    "2bit-x3-window-lowest-contexts3": SoftmaxConfig(
        lanes=3,
        window=True,
        masking=False,
        mask_value="lowest",
        max_row=36,
        full_rate_row=24,
        prob_bits=9,
        contexts=3,
    ),
    # Floating-point logits, masked by their values alone; full rate from its least legal row on.
    "2bit-x4-fp16-nomask": SoftmaxConfig(
        logit_format="fp16", masking=False, max_row=64, full_rate_row=32
    ),
    # The same with masks and with tables that change.
    "3bit-x2-bf16-contexts3": SoftmaxConfig(
        bits=3,
        lanes=2,
        logit_format="bf16",
        max_row=48,
        full_rate_row=32,
        prob_bits=12,
        contexts=3,
    ),
    # BAPS: codes that leave before the row's end, each beat with its reference.
    "baps-x4": SoftmaxConfig(kernel="baps", output="codes", row_results="sum", max_row=64),
    # HiF8; t by a product of three bytes' logits; masked by value and by windows.
    "baps-x2-hif8": SoftmaxConfig(
        kernel="baps",
        output="codes",
        row_results="sum",
        code_format="hif8",
        lanes=2,
        logit_width=18,
        logit_scale=2**-13,
        max_row=44,
        masking=False,
        mask_value="lowest",
        window=True,
    ),
    # Linear probabilities of mantissas that are divided; references of single octaves.
    "baps-x4-linear": SoftmaxConfig(
        kernel="baps", max_row=64, prob_bits=12, full_rate_row=64, reference_step=1
    ),
    # Probabilities of HiF8; rows as short as may be, and of no power of two.
    "baps-x3-float": SoftmaxConfig(
        kernel="baps",
        code_format="hif8",
        probability_format="float",
        prob_bits=8,
        lanes=3,
        max_row=66,
        full_rate_row=57,
        logit_scale=2**-5,
    ),
    # Two passes: two tables and a product, full rate from its least legal row on.
    "multiply-x2-split": SoftmaxConfig(kernel="multiply", lanes=2, max_row=72, prob_bits=12),
    # Linear pieces; distances beyond their reach, sums of the width of a weight and little more.
    "multiply-x1-pwl4": SoftmaxConfig(
        kernel="multiply",
        exponential="pwl4",
        exp_bits=9,
        lanes=1,
        max_row=40,
        prob_bits=6,
        logit_width=10,
        logit_scale=0.05,
    ),
    # A polynomial of several products; no masks, lanes of no power of two.
    "multiply-x3-taylor3-nomask": SoftmaxConfig(
        kernel="multiply",
        exponential="taylor3",
        lanes=3,
        max_row=96,
        prob_bits=9,
        exp_bits=12,
        masking=False,
    ),
    # Powers of two, divided in the log domain: no word for zero, a row's item in every cycle.
    "shift-x4": SoftmaxConfig(kernel="shift", max_row=48),
    # The same by a serial division, of odd widths; no masks.
    "shift-x2-ita": SoftmaxConfig(
        kernel="shift",
        variant="ita",
        factor_bits=7,
        lanes=2,
        masking=False,
        max_row=40,
        prob_bits=11,
        logit_width=10,
        logit_scale=0.013,
    ),
    # A lookup a lane and one a row, multiplied; steps of several distances in the table.
    "lut-x4": SoftmaxConfig(
        kernel="lut", max_row=48, prob_bits=13, logit_width=11, logit_scale=0.011
    ),
    # Two lookups a lane, of which the second gives probabilities.
    "lut-x3-2d": SoftmaxConfig(
        kernel="lut", variant="2d", lanes=3, code_bits=5, max_row=36, prob_bits=8
    ),
    # One pass to exponentials of linear pieces: logarithms from a table, references of many
    # octaves, full rate from its least legal row on.
    "softermax-x4": SoftmaxConfig(kernel="softermax", max_row=128, logit_scale=0.125),
    # Logarithms by sums of shifted logits, exponentials of another width than probabilities, lanes
    # of no power of two, no masks.
    "softermax-x3-wide-nomask": SoftmaxConfig(
        kernel="softermax",
        exp_bits=11,
        lanes=3,
        masking=False,
        max_row=87,
        prob_bits=9,
        logit_width=13,
        logit_scale=0.003,
    ),
    # One lane; the widest exponentials and probabilities, references of two octaves,
    # windows and a logit that masks.
    "softermax-x1-narrow": SoftmaxConfig(
        kernel="softermax",
        exp_bits=24,
        lanes=1,
        mask_value="lowest",
        max_row=40,
        prob_bits=24,
        logit_width=6,
        logit_scale=0.02,
        window=True,
    ),
    # Units for a chip: see TARGETS.
    "2bit-x4-asic": SoftmaxConfig(max_row=64),
    "2bit-x4-asic-single-port": SoftmaxConfig(max_row=64, sink=-8),
    "3bit-x2-contexts3-asic": SoftmaxConfig(
        bits=3, lanes=2, max_row=48, contexts=3, logit_width=6, logit_scale=0.25
    ),
    "multiply-x2-asic-single-port": SoftmaxConfig(kernel="multiply", lanes=2, max_row=48),
}

#: What a configuration is emitted for, where that is not an FPGA.
TARGETS: dict[str, Target] = {
    "2bit-x4-asic": Target(kind="asic", reset="async"),
    "2bit-x4-asic-single-port": Target(kind="asic", ram="single-port"),
    "3bit-x2-contexts3-asic": Target(kind="asic", ram_latency=2),
    "multiply-x2-asic-single-port": Target(kind="asic", ram="single-port", ram_latency=2),
}

#: Configurations that Icarus repeats: it knows X and reads Verilog in its own way.
ICARUS = (
    "2bit-x4-nomask-group1",
    "2bit-x4-free",
    "3bit-x2-free",
    "3bit-x2-contexts3-free",
    "2bit-x4-asic",
)

#: Every simulation, by the name that its test and its record have: simulator and configuration.
RUNS = {
    f"{simulator}-{name}": (simulator, name)
    for simulator, names in (("verilator", MATRIX), ("icarus", ICARUS))
    for name in names
}

#: Runs that every ``make test`` simulates, whatever their records say. Together they have each
#: kernel and what changes a unit most.
QUICK = (
    "verilator-2bit-x4-codes-sums",
    "verilator-2bit-x4-sink",
    "verilator-4bit-x1",
    "verilator-2bit-x4-window",
    "verilator-3bit-x2-bf16-contexts3",
    "verilator-baps-x4",
    "verilator-baps-x3-float",
    "verilator-multiply-x1-pwl4",
    "verilator-shift-x4",
    "verilator-lut-x4",
    "verilator-softermax-x4",
    "icarus-2bit-x4-free",
)
