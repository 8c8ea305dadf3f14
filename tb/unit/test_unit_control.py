"""The AXI4-Lite port, with random masters and a random core, against registers in Python.

The map is written down here once more, by hand: it is what software relies on.
"""

import random
from itertools import repeat
from types import SimpleNamespace

import pytest
from amaranth.hdl import Cat, Module, ResetInserter, Signal, Value
from amaranth.lib.wiring import In, Out
from unit_bench import Bench, pack, stalls, unpack

from exaq import SoftmaxConfig
from exaq_hdl.shell.control import AXI_LITE, Control

CONFIG = SoftmaxConfig(contexts=5, bits=3, lanes=6, group=2, max_row=1536, masking=False)
LATENCY = 77
OKAY, SLVERR = 0, 2
STATUS, LOAD_BEGIN, LOAD_WORD = 0x30, 0x34, 0x38
COUNTERS = {
    0x40: "row",
    0x44: "beat",
    0x48: "input_stalled",
    0x4C: "output_stalled",
    0x50: "long_row",
    0x54: "masked_row",
}
# Bits of STATUS that stay until they are cleared, and what sets them.
DONE, REFUSED, OVERRUN = 1 << 8, 1 << 9, 1 << 14
REASONS = {"length": 1 << 10, "context": 1 << 11, "thresholds": 1 << 12, "exponentials": 1 << 13}
CONSTANTS = {
    0x00: int.from_bytes(b"EXAQ", "little"),
    0x0C: 3 | 6 << 8 | 2 << 16,
    0x10: 8 | 16 << 8 | 13 << 16,
    0x14: 1536,
    0x18: 384,
    0x1C: 5,
    0x20: LATENCY,
}
BUILD_DEPENDENT = [0x04, 0x08]
WRITABLE = [STATUS, LOAD_BEGIN, LOAD_WORD, *COUNTERS]
READABLE = [*CONSTANTS, STATUS, *COUNTERS]


def channel(control: Control, name: str, *payload: str) -> SimpleNamespace:
    return SimpleNamespace(
        payload=Cat(getattr(control, f"s_axi_{each}") for each in payload),
        valid=getattr(control, f"s_axi_{name}valid"),
        ready=getattr(control, f"s_axi_{name}ready"),
    )


class Bus:
    """A Control on a bench, its channels as streams, and the noise of a core.

    ``core[cycle]`` is what the core drove: (busy, loaded, refusal bits, event bits).
    """

    def __init__(self, writes, reads, *, pauses=None, ready=None, core=None):
        self.control = control = Control(CONFIG, latency=LATENCY)
        self.bench = Bench(control)
        pauses = pauses or {}
        self.core = core or []
        self.bench.every(self._drive)
        self.writes, self.reads = list(writes), list(reads)
        rng = random.Random(0)
        self.aw = self.bench.feed(
            channel(control, "aw", "awaddr", "awprot"),
            [address | rng.randrange(8) << 12 for address, _, _ in self.writes],
            pauses.get("aw"),
        )
        self.w = self.bench.feed(
            channel(control, "w", "wdata", "wstrb"),
            [word | strobes << 32 for _, word, strobes in self.writes],
            pauses.get("w"),
        )
        self.ar = self.bench.feed(
            channel(control, "ar", "araddr", "arprot"),
            [address | rng.randrange(8) << 12 for address in self.reads],
            pauses.get("ar"),
        )
        many = len(self.writes), len(self.reads)
        self.b = self.bench.drain(channel(control, "b", "bresp"), many[0], pauses.get("b"))
        self.r = self.bench.drain(channel(control, "r", "rdata", "rresp"), many[1], pauses.get("r"))
        self.load = self.bench.drain(control.load, 0, ready)
        self.ready = self.bench.probe(control.load.ready)

    def _drive(self, ctx, cycle: int) -> None:
        if cycle < len(self.core):
            busy, loaded, refusal, events = self.core[cycle]
            ctx.set(self.control.busy, busy)
            ctx.set(self.control.loaded, loaded)
            for port, names, bits in (
                (self.control.refused, REASONS, refusal),
                (self.control.events, COUNTERS.values(), events),
            ):
                flags = {name: bits >> k & 1 for k, name in enumerate(names)}
                ctx.set(Value.cast(port), pack(port.shape(), flags))

    def run(self, cycles: int) -> "Bus":
        self.bench.run(cycles=cycles)
        assert self.aw.done
        assert self.w.done
        assert self.ar.done
        assert len(self.b.items) == len(self.writes)
        assert len(self.r.items) == len(self.reads)
        return self

    @property
    def answers(self) -> list[int]:
        return list(self.b.items)

    @property
    def loads(self) -> list[tuple[bool, int]]:
        """The words that the core took, each with whether it began a load."""
        layout = self.control.load.payload.shape()
        words = [unpack(layout, item) for item in self.load.items]
        return [(bool(word["first"]), word["word"]) for word in words]

    @property
    def words(self) -> list[tuple[int, int]]:
        """Word and response of each read."""
        return [(item % 2**32, item >> 32) for item in self.r.items]


class Model:
    """Registers by the documented rules, a step a cycle. Event bits are those of the core."""

    def __init__(self):
        self.sticky = 0
        self.held = False
        self.loads: list[tuple[bool, int]] = []
        self.answers: list[int] = []
        self.status: list[int] = []
        self.events: list[int] = []
        self.clears: dict[int, list[int]] = {address: [] for address in COUNTERS}

    def step(self, cycle: int, core, load_ready: bool, write) -> None:
        busy, loaded, refusal, events = core
        can_load = load_ready and not self.held
        self.status.append(busy | can_load << 1 | self.sticky)
        self.events.append(events)
        happens = loaded * DONE | (refusal != 0) * REFUSED
        for k, reason in enumerate(REASONS.values()):
            happens |= (refusal >> k & 1) * reason
        moved = self.held and load_ready
        cleared = 0
        if moved:
            self.held = False
        if write:
            address, word, strobes = write
            address &= ~3
            ok = strobes == 0 or (address in WRITABLE and strobes == 15)
            if ok and strobes:
                if address == STATUS:
                    cleared = word
                elif address in COUNTERS:
                    self.clears[address].append(cycle)
                elif can_load:
                    signed = word - (word >> 31 << 32)
                    self.loads.append((address == LOAD_BEGIN, signed))
                    self.held = True
                else:
                    happens |= OVERRUN
                    ok = False
            self.answers.append(OKAY if ok else SLVERR)
        self.sticky = self.sticky & ~cleared | happens

    def read(self, address: int, taken: int) -> tuple[int, int] | None:
        """What is read by an address that was taken in cycle ``taken``; None: not known here."""
        address &= ~3
        if address in BUILD_DEPENDENT:
            return None
        if address in CONSTANTS:
            return CONSTANTS[address], OKAY
        if address == STATUS:
            return self.status[taken - 1], OKAY
        if address in COUNTERS:
            k = list(COUNTERS).index(address)
            shown = max(taken - 3, 0)
            since = max((c for c in self.clears[address] if c < shown), default=0)
            return sum(events >> k & 1 for events in self.events[since:shown]), OKAY
        return 0, OKAY


def compare(bus: Bus) -> Model:
    """Everything that ``bus`` saw, cycle by cycle, with the model."""
    assert bus.aw.times == bus.w.times
    model = Model()
    writes = dict(zip(bus.aw.times, bus.writes, strict=True))
    for cycle, load_ready in enumerate(bus.ready.values):
        core = bus.core[cycle] if cycle < len(bus.core) else bus.core[-1] if bus.core else (0,) * 4
        model.step(cycle, core, bool(load_ready), writes.get(cycle))
    assert bus.answers == model.answers
    assert bus.loads == model.loads[: len(bus.loads)]
    assert len(bus.loads) >= len(model.loads) - 1
    for address, taken, found in zip(bus.reads, bus.ar.times, bus.words, strict=True):
        expected = model.read(address, taken)
        assert expected is None or found == expected, (hex(address), taken)
    return model


def random_core(rng: random.Random, cycles: int):
    core = []
    for cycle in range(cycles):
        if cycle % 64 == 0:
            often = rng.choice([0.0, 0.1, 0.9])
            counts = rng.choice([0.1, 0.5, 1.0])
        refusal = rng.randrange(16) if rng.random() < often else 0
        events = sum((rng.random() < counts) << k for k in range(6))
        core.append((rng.randrange(2), int(rng.random() < often), refusal, events))
    return core


def random_address(rng: random.Random, usual: list[int]) -> int:
    kind = rng.random()
    if kind < 0.8:
        return rng.choice(usual) | rng.randrange(4)
    if kind < 0.9:
        return rng.choice(usual) ^ 1 << rng.randrange(2, 12)
    return rng.randrange(1 << 12)


@pytest.mark.parametrize("seed", range(6))
def test_random_traffic(seed: int) -> None:
    """Any order of address and word, pauses of everybody, sets and clears that meet."""
    rng = random.Random(seed)
    count = 150
    writes = []
    for _ in range(count):
        strobes = rng.choice([15] * 6 + [0, rng.randrange(16)])
        word = rng.choice([rng.getrandbits(32), 0xFFFFFFFF, 1 << rng.randrange(32)])
        writes.append((random_address(rng, WRITABLE), word, strobes))
    reads = [random_address(rng, READABLE * 2 + [LOAD_BEGIN]) for _ in range(count)]
    paused = [name for name in ("aw", "w", "b", "ar", "r") if rng.random() < 0.7]
    cycles = 24 * count
    bus = Bus(
        writes,
        reads,
        pauses={name: stalls(seed * 10 + k) for k, name in enumerate(paused)},
        ready=stalls(seed + 1000) if seed % 4 else None,
        core=random_core(rng, cycles),
    )
    model = compare(bus.run(cycles))
    # The test would show nothing if these did not happen.
    assert set(bus.answers) == {OKAY, SLVERR}
    assert len(model.loads) > count // 20
    readable = [*READABLE, *BUILD_DEPENDENT]
    assert sum(address & ~3 not in readable for address in reads) > 5


def test_every_address() -> None:
    """Reads and writes of all words of the page, by all kinds of strobes."""
    page = range(0, 1 << 12, 4)
    writes = [(address, 0x5A5A5A5A, 15) for address in page]
    writes += [(address, 0, strobes) for address in range(0, 0x60, 4) for strobes in range(15)]
    writes += [(address, 0x5A5A5A5A, 0) for address in page]
    bus = Bus(writes, page, core=[(1, 0, 0, 0)])
    compare(bus.run(4 * len(writes) + 40))
    assert {error for _, error in bus.words} == {OKAY}
    holes = [address for address in page if address not in [*READABLE, *BUILD_DEPENDENT]]
    assert {bus.words[address // 4] for address in holes} == {(0, OKAY)}
    whole = bus.answers[: len(page)]
    written = [address for address, error in zip(page, whole, strict=True) if not error]
    assert written == sorted(WRITABLE)
    assert set(bus.answers[-len(page) :]) == {OKAY}
    assert bus.loads == [(True, 0x5A5A5A5A), (False, 0x5A5A5A5A)]


def test_cycles_of_reads_and_writes() -> None:
    """A write 3 cycles, a read 4, of a counter up to 5 more; reads and writes at the same time."""
    writes = [(LOAD_WORD, k, 15) for k in range(60)]
    bus = Bus(writes, [0x00, STATUS] * 20).run(400)
    compare(bus)
    assert {b - a for a, b in zip(bus.b.times, bus.b.times[1:], strict=False)} == {3}
    assert {b - a for a, b in zip(bus.r.times, bus.r.times[1:], strict=False)} == {4}
    assert bus.loads == [(False, k) for k in range(60)]
    rng = random.Random(1)
    bus = Bus([], [rng.choice(list(COUNTERS)) for _ in range(200)]).run(2000)
    gaps = [b - a for a, b in zip(bus.r.times, bus.r.times[1:], strict=False)]
    assert (min(gaps), max(gaps)) == (4, 9)


@pytest.mark.parametrize("stuck", ["b", "r"])
def test_one_side_stuck_leaves_the_other_free(stuck: str) -> None:
    """A response that nobody takes holds only its own kind of access up."""
    writes = [(0x40, 0, 15)] * (1 if stuck == "b" else 30)
    reads = [0x00] * (1 if stuck == "r" else 30)
    control = Bus(writes, reads, pauses={stuck: (cycle < 300 for cycle in range(10**6))}).run(400)
    free = control.r if stuck == "b" else control.b
    assert free.times[-1] < 200
    held = control.b if stuck == "b" else control.r
    assert held.times == [300]


@pytest.mark.parametrize("first", ["aw", "w"])
def test_address_and_word_wait_for_each_other(first: str) -> None:
    late = "w" if first == "aw" else "aw"
    bus = Bus([(0x40, 1, 15)], [], pauses={late: (cycle < 50 for cycle in range(10**6))}).run(80)
    assert bus.aw.times == bus.w.times == [51]


@pytest.mark.parametrize("bit", [DONE, REFUSED, *REASONS.values(), OVERRUN])
@pytest.mark.parametrize("distance", [-1, 0, 1])
def test_set_wins_over_clear(bit: int, distance: int) -> None:
    """The event ``distance`` cycles after the clear; before it the bit goes, else it stays."""
    if bit == OVERRUN:
        # Set by a write, so never in the cycle of another: a clear before it, and one after.
        writes = [(STATUS, bit, 15), (LOAD_WORD, 7, 15), *[(STATUS, bit, 15)] * (distance < 0)]
        bus = Bus(writes, [], ready=repeat(True)).run(60)
        final = compare(bus).status[-1]
        assert final & bit == (0 if distance < 0 else bit)
        return
    clear = Bus([(STATUS, bit, 15)], [], ready=repeat(True)).run(20).aw.times[0]
    pulse = clear + distance
    reasons = list(REASONS.values())
    refusal = 1 << reasons.index(bit) if bit in reasons else int(bit == REFUSED)
    core = [
        (0, int(bit == DONE and cycle == pulse), refusal * (cycle == pulse), 0)
        for cycle in range(40)
    ]
    reads = [STATUS] * 8
    bus = Bus([(STATUS, bit, 15)], reads, ready=repeat(True), core=core).run(40)
    compare(bus)
    assert bus.words[-1][0] & bit == (0 if distance < 0 else bit)


def test_other_bits_of_status_stay() -> None:
    """Only the bits written as 1 are cleared."""
    core = [(0, 1, 15, 0)] + [(0, 0, 0, 0)] * 100
    every = DONE | REFUSED | sum(REASONS.values())
    for bit in [DONE, REFUSED, *REASONS.values()]:
        bus = Bus([(STATUS, bit, 15)], [STATUS] * 6, ready=repeat(True), core=core).run(60)
        assert bus.words[-1] == (every & ~bit, OKAY)


@pytest.mark.parametrize("strobes", range(16))
def test_only_whole_words_do_anything(strobes: int) -> None:
    """Sticky bits, counters and the load stream, by every kind of strobes."""
    core = [(0, 1, 15, 63)] * 4 + [(0, 0, 0, 0)]
    writes = [(address, 2**32 - 1, strobes) for address in (STATUS, *COUNTERS, LOAD_WORD)]
    pauses = {"aw": (cycle < 10 for cycle in range(10**6)), "ar": (c < 60 for c in range(10**6))}
    bus = Bus(writes, [STATUS, *COUNTERS], pauses=pauses, core=core).run(160)
    compare(bus)
    whole = strobes == 15
    assert set(bus.answers) == {OKAY if strobes in (0, 15) else SLVERR}
    every = DONE | REFUSED | sum(REASONS.values())
    assert bus.words == [(2 if whole else 2 | every, OKAY), *[(0 if whole else 4, OKAY)] * 6]
    assert bus.loads == [(False, -1)] * whole


def test_load_word_that_cannot_be_taken_is_lost_and_said() -> None:
    """The bus goes on, the word is lost, the next ones are taken when the core is ready again."""
    writes = [(LOAD_BEGIN, 1, 15), (LOAD_WORD, 2, 15), (LOAD_WORD, 3, 15), (LOAD_WORD, 4, 15)]
    busy = (6 <= cycle < 10 for cycle in range(10**6))
    bus = Bus(writes, [STATUS] * 10, ready=busy).run(60)
    model = compare(bus)
    lost = [k for k, answer in enumerate(bus.answers) if answer == SLVERR]
    assert lost
    given = [(True, 1), (False, 2), (False, 3), (False, 4)]
    assert bus.loads == [word for k, word in enumerate(given) if k not in lost]
    assert model.status[-1] & OVERRUN


@pytest.mark.parametrize("word", [-1, -2, -(2**31), 2**31 - 1])
def test_words_are_signed(word: int) -> None:
    bus = Bus([(LOAD_WORD, word % 2**32, 15)], []).run(20)
    assert bus.loads == [(False, word)]


def test_reset_forgets_everything() -> None:
    """In the middle of traffic: no response is left over, STATUS and counters are empty."""
    control = Control(CONFIG, latency=LATENCY)
    reset = Signal()
    top = Module()
    top.submodules.control = ResetInserter(reset)(control)
    bench = Bench(top)
    valids = (control.s_axi_bvalid, control.s_axi_rvalid, control.load.valid)
    readies = (control.s_axi_awready, control.s_axi_arready)
    found = []

    def drive(ctx, cycle: int) -> None:
        ctx.set(reset, int(cycle == 50))
        ctx.set(control.busy, 1)
        before = int(cycle < 50)
        ctx.set(control.s_axi_awaddr, LOAD_WORD)
        ctx.set(control.s_axi_wstrb, 15)
        for name in ("aw", "w"):
            ctx.set(getattr(control, f"s_axi_{name}valid"), before)
        ctx.set(control.load.ready, 0 if cycle > 20 else 1)
        ctx.set(control.loaded, before)
        ctx.set(Value.cast(control.refused), 15 * before)
        ctx.set(Value.cast(control.events), 63 * before)
        if cycle == 50:
            assert any(ctx.get(valid) for valid in valids)
            assert ctx.get(control.s_axi_bvalid)
        if cycle == 51:
            assert not any(ctx.get(signal) for signal in valids + readies)
        addresses = [STATUS, *COUNTERS]
        ctx.set(control.s_axi_araddr, addresses[len(found) % len(addresses)])
        ctx.set(control.s_axi_arvalid, int(cycle > 51))
        ctx.set(control.s_axi_rready, int(cycle > 51))
        if cycle > 51 and ctx.get(control.s_axi_rvalid):
            found.append(ctx.get(control.s_axi_rdata))

    bench.every(drive)
    bench.run(cycles=200)
    assert found[:7] == [1, 0, 0, 0, 0, 0, 0]


def test_outputs_are_registers() -> None:
    """Nothing that changes between two clock edges is seen on an output."""
    control = Control(CONFIG, latency=LATENCY)
    outputs = [
        getattr(control, name)
        for name, port in AXI_LITE.items()
        if port.flow == Out and name != "s_axi_rresp"  # which is a constant
    ]
    outputs += [control.load.valid, Value.cast(control.load.payload)]
    inputs = [getattr(control, name) for name, port in AXI_LITE.items() if port.flow == In]
    inputs += [control.load.ready, control.loaded, control.busy]
    inputs += [Value.cast(control.refused), Value.cast(control.events)]
    rng = random.Random(2)

    def drive(ctx, cycle: int) -> None:
        before = [ctx.get(signal) for signal in outputs]
        for signal in inputs:
            ctx.set(
                signal, rng.getrandbits(len(signal)) if len(signal) < 8 else rng.choice(WRITABLE)
            )
        assert [ctx.get(signal) for signal in outputs] == before
        seen.update(k for k, value in enumerate(before) if value)

    seen: set[int] = set()
    bench = Bench(control)
    bench.every(drive)
    bench.run(cycles=2000)
    assert len(outputs) == 9
    assert seen == set(range(9))
