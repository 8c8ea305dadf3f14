"""LUT_sum and the excess of every bank: every address, against sums of exponentials."""

import random

import pytest
from unit_bench import Bench, pack
from unit_tables import bank_tables, excess_words, lut_sum, sum_words

from exaq import SoftmaxConfig
from exaq_hdl.kernels.exaq.tables.banks.sum_ram import ExcessRam, SumRam
from exaq_hdl.kernels.exaq.tables.words import excess_word, sum_word

CONFIGS = {
    "1 context": SoftmaxConfig(contexts=1),
    "a full block": SoftmaxConfig(contexts=3),
    "a block and a bank": SoftmaxConfig(contexts=4, exp_frac=4),
    "7 banks of 64": SoftmaxConfig(bits=3, group=2, contexts=6),
    "9 banks of 256": SoftmaxConfig(bits=4, lanes=2, group=2, contexts=8, exp_frac=24),
    "3 banks of 1024": SoftmaxConfig(lanes=5, max_row=20, group=5, contexts=2),
    "2 banks of 4096": SoftmaxConfig(bits=3, group=4, contexts=1),
    "4 banks of 4": SoftmaxConfig(lanes=3, max_row=12, group=1, contexts=3),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)


def look_up(ram, words: list[int], lookups: list[dict], result, *, gaps=None, spoil=()):
    """Stores ``words``, then looks up an entry a cycle; the values, ``latency`` cycles later.

    ``gaps`` leaves cycles out, in which the addresses are noise; ``spoil`` are words stored
    while that goes on.
    """
    bench = Bench(ram, limit=60000)
    rng = random.Random(1)
    bench.feed(ram.store, [*words, *spoil])
    left = iter(lookups)
    taken = []

    def drive(ctx, now: int) -> None:
        enable = now >= len(words) and not (gaps and rng.random() < gaps)
        wanted = next(left, None) if enable else None
        if wanted is not None:
            taken.append(now)
        ctx.set(ram.enable, int(wanted is not None))
        for name in lookups[0]:
            port = getattr(ram, name)
            noise = rng.getrandbits(len(port))
            ctx.set(port, noise if wanted is None else wanted[name])

    bench.every(drive)
    found = bench.probe(result)
    bench.run(cycles=len(words) + round(len(lookups) * (1 + 3 * (gaps or 0))) + ram.latency + 60)
    assert len(taken) == len(lookups)
    return [found.values[now + ram.latency] for now in taken]


@EVERY
def test_every_sum_of_every_bank(name: str) -> None:
    config = CONFIGS[name]
    banks = bank_tables(config, 1)
    wanted = [
        ({"bank": bank, "codes": codes}, total)
        for bank, tables in enumerate(banks)
        for codes, total in lut_sum(config, tables).items()
    ]
    random.Random(name).shuffle(wanted)
    ram = SumRam(config.kernel)
    found = look_up(ram, sum_words(config, banks), [w for w, _ in wanted], ram.total)
    assert found == [total for _, total in wanted]
    assert SumRam.latency == 3


@EVERY
def test_gaps_and_a_spare_bank_being_written(name: str) -> None:
    """Lookups in all banks but one, whose words change meanwhile."""
    config = CONFIGS[name]
    banks = bank_tables(config, 2)
    rng = random.Random(name)
    sums = [list(lut_sum(config, tables).items()) for tables in banks]
    spare = rng.randrange(len(banks))
    used = [bank for bank in range(len(banks)) if bank != spare]
    wanted = []
    for _ in range(300):
        bank = rng.choice(used)
        codes, total = rng.choice(sums[bank])
        wanted.append(({"bank": bank, "codes": codes}, total))
    spoil = [
        pack(
            sum_word(config.kernel),
            {"bank": spare, "codes": rng.choice(sums[spare])[0], "total": 1},
        )
        for _ in range(600)
    ]
    ram = SumRam(config.kernel)
    words = sum_words(config, banks)
    found = look_up(ram, words, [w for w, _ in wanted], ram.total, gaps=0.4, spoil=spoil)
    assert found == [total for _, total in wanted]


@EVERY
@pytest.mark.parametrize("gaps", [None, 0.5])
def test_every_excess(name: str, gaps: float | None) -> None:
    config = CONFIGS[name]
    banks = bank_tables(config, 3)
    wanted = [
        ({"bank": bank, "lanes": n}, n * tables.exp_rom[0])
        for bank, tables in enumerate(banks[:-1])
        for n in range(config.lanes + 1)
    ] * 3
    random.Random(name).shuffle(wanted)
    spare = len(banks) - 1
    spoil = [pack(excess_word(config.kernel), {"bank": spare, "lanes": 0, "excess": 1})] * 20
    ram = ExcessRam(config.kernel)
    words = excess_words(config, banks)
    found = look_up(ram, words, [w for w, _ in wanted], ram.excess, gaps=gaps, spoil=spoil)
    assert found == [excess for _, excess in wanted]
    assert ExcessRam.latency == 2
