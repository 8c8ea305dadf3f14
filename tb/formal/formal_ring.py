"""What an induction needs of a ring of divisions: ``ring_rules``, beside ``working_rules``.

Divisions enter a ring in batches, one in each cycle, and come out in the order in which they
entered. A row's divisions take hundreds of cycles, too many for a prover that has to find out by
itself how many of them are where.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Mux, Signal
from amaranth.lib import data
from formal_engines import Claim
from formal_text import Opened
from formal_working import ends_of, prelude_of, working_rules

from exaq_hdl.kernels.division.normalizer import Normalizer

_NAMES = ("code", "fetched", "inside", "cycle", "o__valid", "i__valid")
#: What is shown of the ring.
SHOWN = tuple(f"divider0.{name}" for name in _NAMES)


def is_ring(block: Any) -> bool:
    """Whether a block has one ring of divisions, whose exponentials are constants."""
    return isinstance(block, Normalizer) and block.rings == 1 and not prelude_of(block)


def ring_rules(name: str, block: Normalizer, design: Opened, *, cycles: int) -> Claim:
    """``working_rules`` of a block that ``is_ring``, and what they follow from."""
    claim, dut, found = working_rules(name, block, design, cycles=cycles)
    level, fetched, inside, cycle, shown, held = (dut.signals[name] for name in SHOWN)
    units, levels, batch, steps = block.units, block.division.levels, len(cycle), len(inside)
    word: Any = data.View(block.o.payload.shape(), ends_of(dut, name, "o").payload)

    # In cycle c of a batch those are inside that entered in its first cycles, as many places on as
    # cycles have passed, and the last ones of the batch before.
    claim.always((cycle != 0) & ~(cycle & (cycle - 1)).any())
    for c in range(batch):
        entered = [(c - 1 - unit) % batch for unit in range(units)]
        others = [place for place in range(steps) if place not in entered]
        claim.always(~cycle[c] | ~Cat(inside[place] for place in others).any())
        claim.always(~cycle[c] | Cat(inside[place] for place in entered[:c]).all())

    # Those of the row that have entered came out, or are inside.
    so_far = Signal(range(2 * levels), name="so_far")
    claim.module.d.comb += so_far.eq(word.level + sum(inside[k] for k in range(steps)) + shown)
    of_row = so_far[: len(level)]
    claim.always(found.number == word.level)
    claim.always(level == (of_row + fetched)[: len(level)])
    claim.always(found.rows == held + (so_far >= levels))
    claim.always((of_row == 0) | (held & fetched))
    claim.always(~fetched | held)
    for c in range(batch):
        claim.always(~cycle[c] | (of_row % units == (c if c < units else 0)))

    # Cycles until the next one comes out, where nothing stops it.
    left: Any = Mux(fetched, steps + 1, steps + 2)
    for place in range(steps):
        left = Mux(inside[place], steps - place, left)
    claim.always(~found.waits | (found.waited + left <= cycles))
    return claim
