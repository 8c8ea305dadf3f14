"""Softmax units that others have published, as they were measured once on this project's bench.

Their sources are no part of this project, so no command measures them again.
"""

from __future__ import annotations

from dataclasses import dataclass

from exaq_eval.reports.figures import table

#: Elements of a row, and deviations of its Gaussian logits, that the divergences are of.
ROW, SIGMAS = 128, (1, 2, 3)


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A unit of others, on ECP5 LFE5UM-85F-6.

    Members
    -------
    name
        For people, with its parameters.
    short
        For a plot.
    lut4, registers, memories, multipliers
        What it takes.
    mhz
        Clock, of one seed of place and route.
    rate, rate_note
        Elements a cycle, and what there is to say of that figure.
    thousands
        Elements a second for each LUT4, of the clock before it was rounded, in thousands.
    latency
        Cycles from the first element of a row of ``ROW`` in to the last probability out; None
        where it visits the data twice, so that there is no such figure.
    latency_estimated
        Whether ``latency`` is from the source and not from a simulation.
    kl
        Divergence from a float softmax, in nats, for each of ``SIGMAS``.
    """

    name: str
    short: str
    lut4: int
    registers: int
    memories: int
    multipliers: int
    mhz: int
    rate: float
    rate_note: str = ""
    thousands: float
    latency: int | None
    latency_estimated: bool = False
    kl: tuple[float, float, float]

    @property
    def mean_kl(self) -> float:
        """Mean over ``SIGMAS``."""
        return sum(self.kl) / len(self.kl)


PEERS = (
    Peer(
        name="MASE fixed_softermax, P = 4, N = 128, base 2",
        short="MASE softermax",
        lut4=6447,
        registers=4811,
        memories=4,
        multipliers=22,
        mhz=62,
        rate=4,
        thousands=39,
        latency=120,
        kl=(3e-4, 6e-4, 1e-3),
    ),
    Peer(
        name="ITA softmax, 16 lanes, 8-bit output",
        short="ITA",
        lut4=10016,
        registers=1387,
        memories=0,
        multipliers=0,
        mhz=30,
        rate=16,
        thousands=47,
        latency=None,
        kl=(0.72, 0.60, 0.32),
    ),
    Peer(
        name="red_eyes softmax, log domain, N = 128",
        short="red_eyes",
        lut4=547,
        registers=142,
        memories=3,
        multipliers=1,
        mhz=54,
        rate=0.33,
        thousands=32,
        latency=389,
        kl=(9e-6, 6e-5, 2e-4),
    ),
    Peer(
        name="SoftEx datapath, 8 bf16 lanes",
        short="SoftEx",
        lut4=29983,
        registers=4141,
        memories=0,
        multipliers=69,
        mhz=27,
        rate=2.7,
        rate_note=" (from its code)",
        thousands=2.4,
        latency=95,
        latency_estimated=True,
        kl=(1e-5, 3e-5, 5e-5),
    ),
    Peer(
        name="qwen_fpga softmax",
        short="qwen_fpga",
        lut4=21243,
        registers=180,
        memories=4,
        multipliers=0,
        mhz=3,
        rate=0.25,
        thousands=0.04,
        latency=514,
        latency_estimated=True,
        kl=(1e-5, 6e-5, 2e-4),
    ),
)


def peer_table() -> str:
    """All of them, as Markdown."""
    heads = (
        "unit",
        "LUT4",
        "flip-flops",
        "block RAM / multipliers",
        "MHz",
        "elements a cycle",
        "k elements/s per LUT4",
        f"row of {ROW}, first in to last out",
        f"KL, sigma {' / '.join(map(str, SIGMAS))}",
    )
    return table(heads, map(_cells, PEERS))


def _cells(peer: Peer) -> list[str]:
    shown = "below 1" if peer.thousands < 1 else f"{peer.thousands:g}"
    latency = "visits the data twice" if peer.latency is None else f"{peer.latency} cycles"
    return [
        peer.name,
        str(peer.lut4),
        str(peer.registers),
        f"{peer.memories} / {peer.multipliers}",
        str(peer.mhz),
        f"{peer.rate:g}{peer.rate_note}",
        shown,
        latency + (" (estimate)" if peer.latency_estimated else ""),
        " / ".join(map(_short, peer.kl)),
    ]


def _short(value: float) -> str:
    """Two digits, or one of a small number, without a zero in its exponent."""
    return f"{value:.2f}" if value >= 0.01 else f"{value:.0e}".replace("e-0", "e-")
