"""That the divisions of a row's exponentials come to an end: ``division_rules``.

What the proof says of the module alone, ``formal_progress`` takes for granted of the unit around
it: both say it by ``keeps_dividing``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from amaranth.hdl import Module, Mux, ResetSignal, Signal
from amaranth.lib import data
from formal_engines import Claim
from formal_text import Dut, Opened
from formal_unit import _made

from exaq import SoftmaxConfig
from exaq_hdl.kernels.division.normalizer import Normalizer

#: The module in the text, behind that of the unit.
MODULE = "normalizer"


def normalizer_of(config: SoftmaxConfig) -> Normalizer | None:
    """The divisions of a unit in Python; None where it has none."""
    blocks = _made(config).kernel.blocks.values()
    return next((block for block in blocks if isinstance(block, Normalizer)), None)


def patience(config: SoftmaxConfig) -> int:
    """Cycles in which nothing may come of a row's divisions: the steps of one, and two more."""
    made = normalizer_of(config)
    assert made is not None
    return int(made.division.quotient_bits) + 2


def ports_of(dut: Dut, place: str) -> Mapping[str, Signal]:
    """The ports of the two streams, by ``i_valid``, ``o_payload`` and so on."""
    names = (f"{side}_{end}" for side in "io" for end in ("valid", "ready", "payload"))
    return {name: dut[f"{place}{MODULE}_{name}"] for name in names}


def keeps_dividing(
    claim: Claim,
    config: SoftmaxConfig,
    ports: Mapping[str, Signal],
    say: Callable[[Any], None],
    *,
    cycles: int,
) -> tuple[Signal, Any, Any]:
    """Says of the divisions that they take a row at once where they have none, give each row's
    words in order and nothing else, and show one at most ``cycles`` cycles after the last.

    Returns how many rows they have, whether a word is taken, and whether a row's last one is.
    """
    m, made = claim.module, normalizer_of(config)
    assert made is not None
    most = made.rows + 1
    word: Any = data.View(made.division.word, ports["o_payload"])
    rows, waits = Signal(range(most + 2), name="divided"), Signal(range(cycles + 2))
    level = Signal(made.division.bits)
    given = ports["o_valid"] & ports["o_ready"]
    with m.If(given):
        m.d.sync += level.eq(level + 1)
    m.d.sync += [
        rows.eq(rows + (ports["i_valid"] & ports["i_ready"]) - (given & level.all())),
        waits.eq(Mux((rows != 0) & ~ports["o_valid"], waits + 1, 0)),
    ]
    for condition in (
        rows <= most,
        waits <= cycles,
        ~ports["o_valid"] | ((rows != 0) & (word.level == level)),
        (rows != 0) | ports["i_ready"],
    ):
        say(ResetSignal() | condition)
    return rows, given, given & level.all()


def division_rules(config: SoftmaxConfig, design: Opened, *, cycles: int) -> Claim:
    """The claim, for sums that wait until they are taken; with fewer ``cycles`` than ``patience``
    it is not true.
    """
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    ports = ports_of(dut, "")
    claim.given(claim.held(ports["i_valid"], ports["i_ready"], ports["i_payload"], "sum"))
    claim.always(claim.held(ports["o_valid"], ports["o_ready"], ports["o_payload"], "word"))
    keeps_dividing(claim, config, ports, claim.always, cycles=cycles)
    claim.free += dut.free
    return claim
