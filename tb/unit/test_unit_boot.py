"""The words of reset: every context's load, in its turn, and nothing more."""

import random

import pytest
from amaranth.hdl import ResetInserter, Signal
from unit_bench import Bench, stalls, unpack
from unit_tables import random_tables

from exaq import SoftmaxConfig, Tables
from exaq_hdl.kernels.exaq.tables.banks.boot import Boot
from exaq_hdl.kernels.exaq.tables.words import checked_word

BELOW_ANY_LOGIT = Tables(thresholds=(-1000, -257, -256), exp_rom=(0, 1, 16383, 1))


def different(contexts: int, **changes) -> SoftmaxConfig:
    config = SoftmaxConfig(contexts=contexts, **changes)
    rng = random.Random(contexts)
    tables = [random_tables(config, rng) for _ in range(contexts)]
    return config.replace(context_tables=tuple(tables))


CONFIGS = {
    "1 context": SoftmaxConfig(contexts=1),
    "the same in 3": SoftmaxConfig(bits=3, contexts=3),
    "the same in 64": SoftmaxConfig(contexts=64, logit_width=4, exp_frac=4),
    "2 different": different(2),
    "3 different": different(3, bits=4, lanes=1, exp_frac=24, logit_width=4),
    "5 different, wide": different(5, bits=3, logit_width=24),
    "3 different sinks": different(3, sink=1),
    "below any logit": SoftmaxConfig(
        contexts=2, context_tables=(BELOW_ANY_LOGIT, SoftmaxConfig().tables)
    ),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)


def loads(config: SoftmaxConfig) -> list[list[dict[str, int]]]:
    """The words of each context."""
    lowest = -(2**config.logit_width)
    return [
        [
            {"first": int(k == 0), "fits": 1, "word": word}
            for k, word in enumerate(
                [
                    context,
                    *(max(t, lowest) for t in tables.thresholds),
                    *tables.exp_rom,
                    *([] if tables.sink is None else [tables.sink]),
                ]
            )
        ]
        for context, tables in enumerate(config.context_tables)
    ]


class Run:
    """Boots; ``next`` comes ``delay()`` cycles after a load's last word was taken, and later on
    for nothing."""

    def __init__(self, config, *, sink=None, delay=lambda: 3, reset=None):
        boot = Boot(config.kernel)
        per_load = config.load_length
        self.expected = [word for load in loads(config) for word in load]
        begin = Signal()
        bench = Bench(ResetInserter(begin)(boot))
        self.nexts: list[int] = []
        self.drain = bench.drain(boot.o, len(self.expected), sink)

        def drive(ctx, now: int) -> None:
            if now == reset:
                self.drain.restart(len(self.expected))
                self.nexts.clear()
                self.due = None
            over = len(self.drain.items) - per_load * len(self.nexts) == per_load
            if over and self.due is None:
                self.due = now + delay()
            pulse = now == self.due
            ctx.set(begin, int(reset is not None and now == reset - 1))
            useless = len(self.nexts) == config.contexts and now % 5 == 0
            ctx.set(boot.next, int(pulse or useless))
            if pulse:
                self.nexts.append(now)
                self.due = None

        self.due: int | None = None
        bench.every(drive)
        self.state = bench.probe(boot.active, boot.o.valid)
        bench.run(more=60)
        found = [unpack(checked_word(config.kernel), word) for word in self.drain.items]
        assert found == self.expected
        start = reset or 0
        active = [active for active, _ in self.state.values[start:]]
        cycles = self.nexts[-1] + 1 - start
        assert active == [1] * cycles + [0] * (len(active) - cycles)
        # Nothing is offered from a load's last word until it is in effect.
        for k, now in enumerate(self.nexts):
            last = self.drain.times[per_load * (k + 1) - 1]
            assert not any(valid for _, valid in self.state.values[last + 1 : now + 1])


@EVERY
def test_words_of_every_context(name: str) -> None:
    """A word in 2 cycles, from the first on."""
    config = CONFIGS[name]
    run = Run(config)
    per_load = config.load_length
    begin = 1
    for k, now in enumerate(run.nexts):
        times = run.drain.times[per_load * k : per_load * (k + 1)]
        assert times == [begin + Boot.period * n for n in range(per_load)]
        begin = now + 2
    assert Boot.period == 2


@EVERY
@pytest.mark.parametrize("seed", range(2))
def test_stalls(name: str, seed: int) -> None:
    rng = random.Random(seed)
    Run(CONFIGS[name], sink=stalls(seed, 0.6), delay=lambda: rng.choice([1, 2, 9, 50]))


@pytest.mark.parametrize("when", [1, 2, 7, 17, 18, 19, 20, 30, 60, 90])
def test_reset_begins_anew(when: int) -> None:
    """In mid-load, between two, and long after the last."""
    Run(CONFIGS["2 different"], reset=when)
