"""ExpRom and the lookup it is made of, against the constants."""

import random

import pytest
from amaranth.sim import Simulator
from unit_bench import truth_table

from exaq import SoftmaxConfig, Tables
from exaq_hdl.kernels.exaq.tables.constants.exp_rom import ExpRom, lookup


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 65])
def test_lookup(length: int) -> None:
    """Also by addresses with bits to spare."""
    rng = random.Random(length)
    constants = [rng.randrange(1 << 10) for _ in range(length)]
    least = max(1, (length - 1).bit_length())
    for width in (least, least + 1, least + 3):
        found = truth_table(
            lambda address: lookup(address, constants) + 0 * address, width, range(length)
        )
        assert found == constants


@pytest.mark.parametrize(
    "config",
    [
        SoftmaxConfig(),
        SoftmaxConfig(bits=3, exp_frac=4),
        SoftmaxConfig(bits=4, exp_frac=24),
        SoftmaxConfig(exp_frac=4, tables=Tables(thresholds=(-3, -2, -1), exp_rom=(31, 0, 7, 1))),
    ],
    ids=["2 bits", "3 bits", "4 bits", "free"],
)
def test_every_code(config: SoftmaxConfig) -> None:
    rom = ExpRom(config.kernel)
    found = []

    async def drive(ctx) -> None:
        for code in range(2**config.bits):
            ctx.set(rom.code, code)
            found.append(ctx.get(rom.exponential))

    simulator = Simulator(rom)
    simulator.add_testbench(drive)
    simulator.run()
    assert found == list(config.tables.exp_rom)
