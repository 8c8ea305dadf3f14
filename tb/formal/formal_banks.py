"""No row sees half a load, or tables of another one: ``bank_rules``.

A unit with contexts keeps tables in banks, one bank more than contexts. A row is given the bank of
its context when it is whole, and is done with it when its probabilities have been divided. Tables
are loaded into the bank that no context has. The claim: in no cycle is anything written into a bank
that was given to a row inside. So a row's tables are, all of them, those that its context had when
the row was given its bank.

Of the unit there are the loader, the map from contexts to banks, what fills the banks after reset,
and what is between these; all else is cut out. So rows come and go at any time, with any contexts,
and words of loads, good ones and bad, come at any time too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data
from formal_engines import Claim
from formal_text import Dut, Opened, instances, opened
from formal_unit import TOP

from exaq import SoftmaxConfig
from exaq_hdl.kernels.exaq.tables.words import (
    excess_word,
    exponential_word,
    sum_word,
    threshold_word,
)
from exaq_hdl.parts.counters import lfsr_state

_MAP, _LOADER = "core.context_map", "core.table_loader"
_PARTS = (_MAP, _LOADER, "core.boot")
_STORES: dict[str, Any] = {
    "thresholds": threshold_word,
    "exponentials": exponential_word,
    "excesses": excess_word,
    "sums": sum_word,
}


def open_banks(verilog: str, folder: Path) -> Opened:
    """The unit without all that has no part in which bank is written and which one is read."""
    kept = [
        place
        for place, _ in instances(verilog, TOP)
        if place == "core" or any(f"{place}.".startswith(f"{part}.") for part in _PARTS)
    ]
    cut = [
        place
        for place, _ in instances(verilog, TOP)
        if place not in kept and place.rpartition(".")[0] in ("", "core")
    ]
    map_ports = ("row_in", "row_out", "bank", "filling")
    shown = [f"{_MAP}.context_map_{name}" for name in map_ports]
    shown += [f"{_MAP}.{name}" for name in ("came", "left", "then")]
    for name in _STORES:
        shown += [f"{_LOADER}.table_loader_{name}_{end}" for end in ("valid", "payload")]
    return opened(verilog, TOP, folder, cut=cut, show=shown)


def bank_rules(
    config: SoftmaxConfig, design: Opened, *, rows: int, for_ever: bool = False
) -> Claim:
    """The claim, of a unit in which at most ``rows`` rows are inside at any time. It is not true of
    a row that is looked at ``for_ever``, also after it is done.

    Taken for granted is that no more are, that none comes while the banks are filled after reset,
    and that no row leaves that has not come.
    """
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    comes, leaves, bank, filling = (
        dut[f"{_MAP}.context_map_{name}"] for name in ("row_in", "row_out", "bank", "filling")
    )
    inside = Signal(range(rows + 2))
    m.d.sync += inside.eq(inside + comes - leaves)
    claim.given(~leaves | (inside != 0))
    claim.given(inside <= rows)
    claim.given(~(comes & filling))

    # Any row, its bank, and how many leave before it. It has its bank a cycle after it came.
    on, fresh, ahead = Signal(), Signal(), Signal(range(rows + 2))
    kept = Signal(len(bank), reset_less=True)
    chosen = comes & ~on & claim.unknown(1, "choice")
    m.d.sync += [
        fresh.eq(chosen),
        on.eq(chosen | (on & (for_ever | ~(leaves & (ahead == 0))))),
        ahead.eq(Mux(chosen, inside - leaves, ahead - leaves)),
    ]
    its_bank = Mux(fresh, bank, kept)
    m.d.sync += kept.eq(its_bank)
    for name, word in _STORES.items():
        written, payload = (
            dut[f"{_LOADER}.table_loader_{name}_{end}"] for end in ("valid", "payload")
        )
        into = data.View(word(config.kernel), payload).bank
        claim.always(~(written & on) | (into != its_bank))

    # Rows are counted by the states of shift registers, which say nothing to a prover.
    width = len(dut[f"{_MAP}.came"])
    states = Array(lfsr_state(width, k) for k in range((1 << width) - 1))
    numbers = {}
    for name, counts in (("came", comes), ("left", leaves)):
        number = numbers[name] = Signal(range(len(states)), name=f"number_{name}")
        following = Mux(number == len(states) - 1, 0, number + 1)
        m.d.sync += number.eq(Mux(counts, following, number))
        claim.always((number < len(states)) & (dut[f"{_MAP}.{name}"] == states[number]))
    difference = numbers["came"] - numbers["left"]
    claim.always(inside == Mux(difference < 0, difference + len(states), difference))
    claim.free += dut.free
    return claim
