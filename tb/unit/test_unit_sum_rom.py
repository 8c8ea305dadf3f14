"""LUT_sum: every address, against sums of ExpRom's entries."""

import itertools

import pytest
from unit_bench import Bench
from unit_blocks import TARGETS

from exaq import SoftmaxConfig, Tables
from exaq_hdl.kernels.exaq.tables.constants.sum_rom import SumRom
from exaq_hdl.parts.memory import Memories

LARGEST = Tables(thresholds=(-3, -2, -1), exp_rom=(31, 30, 17, 31))


@pytest.mark.parametrize(
    "config",
    [
        SoftmaxConfig(bits=2, group=4),
        SoftmaxConfig(bits=3, group=2),
        SoftmaxConfig(bits=3, group=4),
        SoftmaxConfig(bits=4, group=2),
        SoftmaxConfig(bits=4, group=1),
        SoftmaxConfig(bits=2, group=3, lanes=3, max_row=12),
        SoftmaxConfig(bits=2, group=4, exp_frac=4, tables=LARGEST),
    ],
    ids=lambda c: f"{c.group} of {c.bits} bits",
)
@TARGETS
def test_every_address(config: SoftmaxConfig, memories: Memories) -> None:
    """One address a cycle; the first lane's code is the lowest."""
    codes = range(2**config.bits)
    order = list(itertools.product(codes, repeat=config.group))
    rom = SumRom(config.kernel, memories=memories)
    bench = Bench(rom)

    def drive(ctx, cycle: int) -> None:
        of_lanes = order[cycle % len(order)]
        ctx.set(rom.codes, sum(code << k * config.bits for k, code in enumerate(of_lanes)))

    bench.every(drive)
    found = bench.probe(rom.total)
    bench.run(cycles=len(order) + rom.latency)
    expected = [sum(config.tables.exp_rom[code] for code in of_lanes) for of_lanes in order]
    assert found.values[rom.latency :] == expected
    assert rom.latency == (1 if memories.chip else 2)
