"""The exponentials of every bank, step by step."""

import random

import pytest
from unit_bench import Bench, pack
from unit_tables import bank_tables, exponential_words

from exaq import SoftmaxConfig
from exaq_hdl.kernels.exaq.tables.banks.exp_ram import ExpRam
from exaq_hdl.kernels.exaq.tables.words import exponential_word

CONFIGS = {
    "2 bits": SoftmaxConfig(contexts=1),
    "3 bits": SoftmaxConfig(bits=3, contexts=6, exp_frac=4),
    "4 bits": SoftmaxConfig(bits=4, contexts=3, exp_frac=24),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("rate", [1.0, 0.4])
def test_every_level_of_every_bank(name: str, rate: float) -> None:
    """What was asked for stands from ``latency`` steps later on, until the step after those.

    The last bank is spare, and written all the time.
    """
    config = CONFIGS[name]
    banks = bank_tables(config, 1)
    rng = random.Random(name)
    wanted = [(bank, code) for bank in range(config.contexts) for code in range(config.levels)] * 3
    rng.shuffle(wanted)
    ram = ExpRam(config.kernel)
    bench = Bench(ram)
    words = exponential_words(config, banks)
    spare = {"bank": config.contexts, "code": 0, "exponential": 5}
    bench.feed(ram.store, [*words, *[pack(exponential_word(config.kernel), spare)] * 200])
    asked: list[tuple[int, int]] = []
    expected: list[int | None] = []

    def drive(ctx, now: int) -> None:
        step = now >= len(words) and rng.random() < rate and len(asked) < len(wanted)
        bank, code = wanted[len(asked)] if step else (rng.randrange(config.contexts), 0)
        ctx.set(ram.step, int(step))
        ctx.set(ram.bank, bank)
        ctx.set(ram.code, code)
        done = len(asked) - ExpRam.latency
        expected.append(banks[asked[done][0]].exp_rom[asked[done][1]] if done >= 0 else None)
        if step:
            asked.append((bank, code))

    bench.every(drive)
    found = bench.probe(ram.exponential)
    bench.run(cycles=len(words) + round(len(wanted) / rate * 1.4) + 60)
    assert len(asked) == len(wanted)
    pairs = [(f, e) for f, e in zip(found.values, expected, strict=True) if e is not None]
    assert [f for f, _ in pairs] == [e for _, e in pairs]
    assert len(pairs) >= len(wanted)
    assert ExpRam.latency == 2
