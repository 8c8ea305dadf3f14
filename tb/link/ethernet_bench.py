"""The gateware of the link by UDP, a model of an Ethernet PHY before it and an echo behind it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, Signature
from amaranth.sim import Simulator
from ethernet_frames import BOARD, Datagram, Reply, read

from exaq_fpga.boards import BOARDS, UdpLink
from exaq_fpga.boards.udp_link import RGMII_PERIOD
from exaq_fpga.gateware.octets import LINE, OCTETS
from exaq_fpga.gateware.transports.udp_transport import UdpTransport
from exaq_hdl.parts.component import Component

#: Octets of rest between two frames.
GAP = 12
#: Cycles of the PHY's reset; short, since the model does not mind.
RESET = 64
PHY = BOARDS["colorlight-5a75b"].ethernet


class EchoStation(Component):
    """Sends back what comes."""

    def __init__(self) -> None:
        super().__init__({"rx": In(LINE), "tx": Out(OCTETS), "line_error": In(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=8, depth=4096)
        m.d.comb += [
            fifo.w_data.eq(self.rx.payload),
            fifo.w_en.eq(self.rx.valid),
            self.tx.payload.eq(fifo.r_data),
            self.tx.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.tx.ready),
        ]
        return m


class EchoBoard(Component):
    """A transport with an echo behind it; its pins in two ports, which a simulator sets faster.

    Members
    -------
    samples : In, those of clock, control and data, the two of each side by side
    levels : Out, clock, control and data to the PHY, and the pulse of missing datagrams
    """

    def __init__(self) -> None:
        assert PHY is not None
        self.transport = UdpTransport(UdpLink(phy=PHY, address=BOARD), reset_cycles=RESET)
        self.station = EchoStation()
        super().__init__({"samples": In(12), "levels": Out(7)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.station = self.station
        pins: Any = Signature(self.transport.pins).create()
        self.transport.connect(m, pins, self.station)
        inputs = Cat(pins.rx_clk, pins.rx_ctl, pins.rx_data)
        outputs = Cat(pins.tx_clk, pins.tx_ctl, pins.tx_data, self.station.line_error)
        m.d.comb += [inputs.eq(self.samples), self.levels.eq(outputs)]
        return m


@dataclass(frozen=True)
class Phy:
    """How a PHY's clock and data come, in cycles of the board's clock, each of 10 ns.

    Parameters
    ----------
    phase, ppm
        Of its clock against the board's.
    skew
        How much later data change than the clock rises.
    hold
        For how much of the period data stay, before anything stands there.
    """

    phase: float = 0.3
    ppm: float = 50
    skew: float = 0.0
    hold: float = 1.0

    def samples(self, nibbles: Sequence[tuple[int, int]], seed: int) -> list[tuple[int, int, int]]:
        """Clock, control and data at each half cycle, while ``nibbles`` come with their control."""
        rng = random.Random(seed)
        period = RGMII_PERIOD * (1 + self.ppm * 1e-6)
        samples = []
        for half_cycle in range(int((len(nibbles) - 1) * period * 2)):
            time = half_cycle / 2 + self.phase
            place, rest = divmod(time - self.skew, period)
            valid = place >= 0 and rest < self.hold * period
            anything = rng.randrange(2), rng.randrange(16)
            pins = nibbles[int(place)] if valid else anything
            samples.append((int(time % period < period / 2), *pins))
        return samples


def nibbles_of(frames: Iterable[bytes], seed: int = 0) -> list[tuple[int, int]]:
    """Control and data of ``frames``, each an octet's low half first, with gaps around them."""
    rng = random.Random(seed)
    nibbles = [(0, 0)] * 2 * GAP
    for frame in frames:
        nibbles += [(1, half) for octet in frame for half in (octet & 15, octet >> 4)]
        nibbles += [(0, rng.randrange(16)) for _ in range(2 * GAP)]
    return nibbles


@dataclass
class Seen:
    """What a run showed.

    Members
    -------
    frames
        That the board sent, with their preamble.
    gaps
        Octets of rest in front of each but the first.
    missing
        How often it was reported that datagrams are missing.
    unsteady
        Periods of the clock to the PHY that were wrong, or whose data changed within a cycle of
        an edge.
    """

    frames: list[bytes] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)
    missing: int = 0
    unsteady: int = 0

    @property
    def read(self) -> list[Datagram | Reply]:
        """The frames, taken apart."""
        return [read(frame) for frame in self.frames]

    @property
    def octets(self) -> list[bytes]:
        """Of the link, in each datagram."""
        return [each.octets for each in self.read if isinstance(each, Datagram)]


def run(
    frames: Sequence[bytes],
    *,
    phy: Phy | None = None,
    nibbles: Sequence[tuple[int, int]] | None = None,
    rest: int = 1500,
) -> Seen:
    """Give ``frames``, or ``nibbles``, to an echo; what it sent until ``rest`` cycles later."""
    board: Any = EchoBoard()
    given = nibbles_of(frames) if nibbles is None else nibbles
    samples = (phy or Phy()).samples(given, seed=len(frames))
    samples += [(0, 0, 0)] * (len(samples) % 2 + 2 * rest)
    transmitted: list[tuple[int, int, int]] = []
    seen = Seen()

    async def test(ctx: Any) -> None:
        for early, late in zip(samples[::2], samples[1::2], strict=True):
            clock, control = early[0] | late[0] << 1, early[1] | late[1] << 1
            ctx.set(board.samples, clock | control << 2 | early[2] << 4 | late[2] << 8)
            _, _, levels = await ctx.tick().sample(board.levels)
            transmitted.append((levels & 1, levels >> 1 & 1, levels >> 2 & 15))
            seen.missing += levels >> 6

    simulator: Any = Simulator(board)
    simulator.add_clock(1e-8)
    simulator.add_testbench(test)
    simulator.run()
    _take_apart(transmitted, seen)
    return seen


def _take_apart(levels: Sequence[tuple[int, int, int]], seen: Seen) -> None:
    """Read the transmitter's pins as a PHY does: at the edges of its clock."""
    start = next(k for k in range(1, len(levels)) if levels[k][0] and not levels[k - 1][0]) - 1
    nibbles: list[int] = []
    gap = 0
    for k in range(start, len(levels) - RGMII_PERIOD, RGMII_PERIOD):
        period = levels[k : k + RGMII_PERIOD]
        clocks = [clock for clock, _, _ in period]
        seen.unsteady += clocks != [0, 1, 1, 0] or len({pins[1:] for pins in period}) > 1
        _, control, nibble = period[0]
        if control:
            if not nibbles and seen.frames:
                seen.gaps.append(gap // 2)
            nibbles.append(nibble)
            gap = 0
            continue
        gap += 1
        if nibbles:
            pairs = zip(nibbles[::2], nibbles[1::2], strict=True)
            seen.frames.append(bytes(low | high << 4 for low, high in pairs))
            nibbles = []
