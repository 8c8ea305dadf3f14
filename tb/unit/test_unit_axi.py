"""How lanes lie in the bytes of AXI4-Stream, against the slow softmax in integers."""

import random
from itertools import cycle
from types import SimpleNamespace

import pytest
from amaranth.hdl import Cat, ClockDomain, ClockSignal, Module
from oracle import softmax_row
from unit_bench import Bench, stalls
from unit_tables import bank_tables

from exaq import SoftmaxConfig
from exaq_hdl import AxiSoftmax
from exaq_hdl.shell.control import AXI_LITE

# Bits of a logit, bits of a probability, lanes, masks.
SIZES = [
    (4, 16, 2, True),
    (8, 4, 4, True),
    (12, 8, 3, True),
    (17, 9, 2, False),
    (24, 24, 1, True),
    (8, 16, 4, False),
    (9, 24, 5, True),
]
CONFIGS = {
    f"{logit} to {prob} bits": SoftmaxConfig(
        lanes=lanes, max_row=6 * lanes, logit_width=logit, prob_bits=prob, masking=masking
    )
    for logit, prob, lanes, masking in SIZES
} | {
    "windows": SoftmaxConfig(lanes=3, max_row=18, logit_width=9, window=True),
    "windows alone, lowest": SoftmaxConfig(
        lanes=2, max_row=16, logit_width=4, masking=False, window=True, mask_value="lowest"
    ),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)


def join(values: list[int], width: int) -> int:
    return sum((value & (1 << width) - 1) << k * width for k, value in enumerate(values))


class Ports:
    """An AxiSoftmax in the simulator's clock domain, its buses as streams."""

    def __init__(self, config: SoftmaxConfig):
        self.axi = axi = AxiSoftmax(config)
        self.top = Module()
        self.top.submodules.axi = axi
        self.top.domains.bus = ClockDomain(reset_less=True)
        self.top.d.comb += axi.aclk.eq(ClockSignal("bus"))
        user = [axi.s_axis_tuser] if config.masking or config.window else []
        number = [axi.s_axis_tid] if config.context_bits else []
        numbers = [axi.m_axis_tid] if config.context_bits else []
        self.i = SimpleNamespace(
            payload=Cat(axi.s_axis_tdata, axi.s_axis_tkeep, axi.s_axis_tlast, *user, *number),
            valid=axi.s_axis_tvalid,
            ready=axi.s_axis_tready,
        )
        self.o = SimpleNamespace(
            payload=Cat(
                axi.m_axis_tdata, axi.m_axis_tkeep, axi.m_axis_tlast, axi.m_axis_tuser, *numbers
            ),
            valid=axi.m_axis_tvalid,
            ready=axi.m_axis_tready,
        )

    def bench(self) -> Bench:
        """Out of reset."""
        bench = Bench(self.top, domain="bus")
        bench.every(lambda ctx, now: ctx.set(self.axi.aresetn, 1))
        return bench


def beats_in(
    config: SoftmaxConfig,
    rng: random.Random,
    row: list[int],
    live: list[bool],
    window: tuple[int, int] = (0, 0),
) -> list[int]:
    """Words of the slave bus.

    What has no meaning is noise: pad bits, tkeep before the last beat, absent lanes, all but the
    lowest tkeep bit of a lane, and windows behind the first beat.
    """
    logit_bytes = -(-config.logit_width // 8)
    words = []
    for k in range(0, len(row), config.lanes):
        part = row[k : k + config.lanes]
        last = k + config.lanes >= len(row)
        lanes, keeps, masked = [], [], []
        for lane in range(config.lanes):
            present = lane < len(part)
            pad = rng.getrandbits(8 * logit_bytes) << config.logit_width
            logit = part[lane] if present else rng.randint(*config.logit_range)
            lanes.append(pad | logit & (1 << config.logit_width) - 1)
            lowest = int(present) if last else rng.getrandbits(1)
            keeps.append(rng.getrandbits(logit_bytes) & ~1 | lowest)
            masked.append(rng.getrandbits(1) if not present else int(not live[k + lane]))
        data, keep = 8 * logit_bytes * config.lanes, logit_bytes * config.lanes
        word = join(lanes, 8 * logit_bytes) | join(keeps, logit_bytes) << data | last << data + keep
        user, place = data + keep + 1, 0
        if config.masking:
            word, place = word | join(masked, 1) << user, config.lanes
        if config.window:
            bits = config.max_row.bit_length()
            edges = [each if k == 0 else rng.getrandbits(bits) for each in window]
            word |= join(edges, bits) << user + place
        words.append(word)
    return words


def beats_out(
    config: SoftmaxConfig, row: list[int], live: list[bool], window: tuple[int, int] = (0, 0)
) -> list[int]:
    prob_bytes = -(-config.prob_bits // 8)
    data, keep = 8 * prob_bytes * config.lanes, prob_bytes * config.lanes
    error = len(row) > config.max_row
    row, live = row[: config.max_row], live[: config.max_row]
    if config.window:
        live = [flag and window[0] <= k < window[1] for k, flag in enumerate(live)]
    if config.mask_value == "lowest":
        live = [
            flag and logit != config.logit_range[0] for flag, logit in zip(live, row, strict=True)
        ]
    found = softmax_row(row, live, config)
    words = []
    for k in range(0, len(row), config.lanes):
        part = found[k : k + config.lanes]
        last = k + config.lanes >= len(row)
        word = join(part, 8 * prob_bytes)
        word |= (1 << prob_bytes * len(part)) - 1 << data
        word |= last << data + keep
        words.append(word | int(last and error) << data + keep + 1)
    return words


@EVERY
@pytest.mark.parametrize("stalled", [False, True])
def test_bytes_of_lanes(name: str, stalled: bool) -> None:
    config = CONFIGS[name]
    rng = random.Random(name)
    low, high = config.logit_range
    words, expected = [], []
    for _ in range(24):
        length = rng.choice([1, 2, config.lanes, config.max_row, rng.randint(1, 8 * config.lanes)])
        centre = rng.choice([low, -1, 0, high, rng.randint(low, high)])
        row = [min(max(centre + rng.randint(-40, 40), low), high) for _ in range(length)]
        live = [not config.masking or rng.random() < 0.7 for _ in range(length)]
        window = (rng.randint(0, config.max_row), rng.randint(0, config.max_row))
        words += beats_in(config, rng, row, live, window)
        expected += beats_out(config, row, live, window)
    ports = Ports(config)
    bench = ports.bench()
    bench.feed(ports.i, words, stalls(1) if stalled else None)
    drain = bench.drain(ports.o, len(expected), stalls(2) if stalled else None)
    bench.run()
    assert drain.items == expected


@EVERY
def test_port_widths_and_latency(name: str) -> None:
    """Whole bytes for each lane; tuser only with masks or windows; as fast as the unit itself."""
    config = CONFIGS[name]
    ports = Ports(config)
    lanes = config.lanes
    user = lanes * config.masking + 2 * config.max_row.bit_length() * config.window
    logit_bytes, prob_bytes = -(-config.logit_width // 8), -(-config.prob_bits // 8)
    widths = {name: len(getattr(ports.axi, name)) for name in ports.axi.signature.members}
    assert widths == {
        "aclk": 1,
        "aresetn": 1,
        "s_axis_tdata": 8 * logit_bytes * lanes,
        "s_axis_tkeep": logit_bytes * lanes,
        **({"s_axis_tuser": user} if user else {}),
        "s_axis_tlast": 1,
        "s_axis_tvalid": 1,
        "s_axis_tready": 1,
        "m_axis_tdata": 8 * prob_bytes * lanes,
        "m_axis_tkeep": prob_bytes * lanes,
        "m_axis_tuser": 1,
        "m_axis_tlast": 1,
        "m_axis_tvalid": 1,
        "m_axis_tready": 1,
    }
    row = [0] * config.max_row
    bench = ports.bench()
    feed = bench.feed(ports.i, beats_in(config, random.Random(1), row, [True] * len(row)))
    beats = config.max_row // lanes
    drain = bench.drain(ports.o, beats)
    bench.run()
    assert drain.times[0] == feed.times[-1] + beats + ports.axi.latency


@pytest.mark.parametrize("when", [20, 33, 41])
def test_reset_is_active_low_and_empties_the_unit(when: int) -> None:
    config = CONFIGS["8 to 4 bits"]
    rng = random.Random(when)
    rows = [[rng.randint(-128, 127) for _ in range(11)] for _ in range(4)]
    words = [w for row in rows for w in beats_in(config, rng, row, [True] * 11)]
    expected = [w for row in rows for w in beats_out(config, row, [True] * 11)]
    ports = Ports(config)
    bench = Bench(ports.top, domain="bus")

    def drive(ctx, now: int) -> None:
        ctx.set(ports.axi.aresetn, int(now != when))
        if now == when + 1:
            feed.restart(words)
            drain.restart(len(expected))

    bench.every(drive)
    feed = bench.feed(ports.i, cycle(words))
    drain = bench.drain(ports.o, 10000)
    bench.run()
    assert drain.items == expected


@pytest.mark.parametrize("contexts", [1, 2, 3])
def test_tid_chooses_the_tables_and_comes_back(contexts: int) -> None:
    """As it stands beside tlast; with a single context there is none. Unknown ones are marked."""
    config = SoftmaxConfig(lanes=2, group=1, max_row=12, contexts=contexts)
    each = bank_tables(config, contexts)[:contexts]
    config = config.replace(context_tables=tuple(each))
    rng = random.Random(contexts)
    numbers = 2**config.context_bits
    words, expected = [], []
    for _ in range(24):
        row = [rng.randint(*config.logit_range) for _ in range(rng.randint(1, 15))]
        live = [rng.random() < 0.8 for _ in row]
        tid = rng.randrange(numbers)
        given = beats_in(config, rng, row, live)
        noise = [rng.randrange(numbers) for _ in given]
        closing = min(len(given), config.beats) - 1
        noise[closing] = tid
        width = 8 * config.logit_bytes * config.lanes + config.logit_bytes * config.lanes
        width += 1 + config.lanes
        words += [word | n << width for word, n in zip(given, noise, strict=True)]
        known = tid < contexts
        of_row = config.replace(contexts=0, tables=each[tid if known else 0])
        out = beats_out(of_row, row, live)
        width = (8 * config.prob_bytes + config.prob_bytes) * config.lanes + 2
        out[-1] |= int(not known) << width - 1
        expected += [word | tid << width for word in out]
    ports = Ports(config)
    bench = ports.bench()
    bench.feed(ports.i, words)
    drain = bench.drain(ports.o, len(expected), stalls(2))
    bench.run()
    assert drain.items == expected


@pytest.mark.parametrize("contexts", [0, 1, 2, 5])
def test_ports_of_contexts(contexts: int) -> None:
    """tid where there is something to choose, AXI4-Lite where there is something to load."""
    axi = Ports(SoftmaxConfig(lanes=1, max_row=4, contexts=contexts))
    Bench(axi.top, domain="bus").run(cycles=1)
    members = axi.axi.signature.members
    widths = {name: len(getattr(axi.axi, name)) for name in members if "tid" in name}
    bits = {2: 1, 5: 3}.get(contexts)
    assert widths == ({"s_axis_tid": bits, "m_axis_tid": bits} if bits else {})
    assert {name for name in members if name.startswith("s_axi_")} == (
        set(AXI_LITE) if contexts else set()
    )
