"""After reset every context has tables, in as many cycles as the manifest says: ``boot_rules``.

It is looked at in all cycles from a reset on, whatever comes meanwhile, until the last bank is
filled. That is enough for ever: registers without a reset may hold anything at first, so a later
reset is no other one, and *banks* has that nothing fills them again. The map of contexts is cut
out; that its spare bank is free while banks are filled is proved there, too.
"""

from __future__ import annotations

from amaranth.hdl import Module, ResetSignal, Signal
from formal_engines import Claim
from formal_text import Dut, Opened

from exaq import SoftmaxConfig


def boot_rules(config: SoftmaxConfig, design: Opened, *, cycles: int) -> Claim:
    """``cycles`` after a reset all banks are filled, and ``s_axis_tready`` may be high."""
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, free=dut.free, opened=design)
    filling, commit, free = (
        dut[f"core.context_map.context_map_{name}"] for name in ("filling", "commit", "free")
    )
    claim.given(claim.first | ~ResetSignal())
    claim.given(~filling | free)
    filled, since = Signal(range(config.contexts + 1)), Signal(range(cycles + 1))
    with m.If(commit & (filled != config.contexts)):
        m.d.sync += filled.eq(filled + 1)
    with m.If(since != cycles):
        m.d.sync += since.eq(since + 1)
    claim.always((since != cycles) | ((filled == config.contexts) & ~filling))
    return claim
