"""The slowest path: by OpenSTA where it is, by ABC's estimate where not."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from small_unit import library, mapped
from tiny_liberty import CLOCK_TO_Q_NS, GATE_NS, INPUT_FF, NS_PER_FF, SETUP_NS

from exaq_asic.liberty import Library
from exaq_asic.mapping.arrays import MemoryArray
from exaq_asic.mapping.mapped_unit import MappedUnit
from exaq_asic.mapping.netlist import Instance, Netlist, Port
from exaq_asic.mapping.recipe import Recipe
from exaq_asic.memory_table import Macro
from exaq_asic.timing.array_stub import array_liberty
from exaq_asic.timing.slowest import ARRAY_NANOSECONDS, slowest_path

needs_sta = pytest.mark.skipif(shutil.which("sta") is None, reason="OpenSTA is not installed")
ARRAY = MemoryArray(8, 3, False, "u__array_8x3", "")


def chain(inverters: int) -> MappedUnit:
    """A flop, inverters, and a flop."""
    nets = list(range(3, 4 + inverters))
    gates = [Instance("INV", "top", {"A": (a,), "Y": (y,)}) for a, y in itertools.pairwise(nets)]
    flops = [
        Instance("DFF", "top", {"CK": (2,), "D": (nets[-1],), "Q": (nets[0],)}),
    ]
    netlist = Netlist("u", [Port("aclk", "input", (2,))], [*flops, *gates])
    return MappedUnit(netlist=netlist, arrays=[], library=library(), recipe=Recipe(), estimate=1.0)


@needs_sta
@pytest.mark.parametrize("inverters", [1, 6])
def test_a_chain_by_hand(inverters: int) -> None:
    found = slowest_path(chain(inverters))
    load = INPUT_FF * NS_PER_FF
    wanted = CLOCK_TO_Q_NS + load + inverters * (GATE_NS + load) + SETUP_NS
    assert found.nanoseconds == pytest.approx(wanted, abs=2e-4)
    assert found.mhz == pytest.approx(1e3 / wanted, rel=1e-3)
    assert found.by.startswith("OpenSTA ")
    assert len(found.path) == inverters + 3


@needs_sta
def test_arrays_take_what_is_said() -> None:
    slow, fast = (slowest_path(mapped(), array_nanoseconds=each) for each in (50.0, 0.001))
    assert slow.nanoseconds == pytest.approx(50, abs=2)
    assert fast.nanoseconds < 20
    assert "array" in slow.path[1]
    assert set(slow.array_nanoseconds.values()) == {50.0}


@needs_sta
def test_arrays_take_what_their_macros_take() -> None:
    """Where a macro says it; one whose time is not known takes what is said of all."""
    macro = Macro(name="slow", words=2048, bits=64, ports=2, um2=1.0, access_ns=50.0)
    slow = slowest_path(mapped(), macros=[macro])
    assert slow.nanoseconds == pytest.approx(50, abs=2)
    assert set(slow.array_nanoseconds.values()) == {50.0}
    unknown = slowest_path(mapped(), macros=[replace(macro, access_ns=None)])
    assert set(unknown.array_nanoseconds.values()) == {ARRAY_NANOSECONDS}


def test_without_opensta_abc_estimates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = slowest_path(chain(3))
    assert (found.by, found.path) == ("ABC's estimate", ())
    # ABC's own, and the flop's at 10 fF.
    wanted = 1.0 + CLOCK_TO_Q_NS + 10 * NS_PER_FF + SETUP_NS
    assert found.nanoseconds == pytest.approx(wanted)


@needs_sta
def test_abc_is_not_far_from_opensta() -> None:
    unit = mapped()
    assert unit.estimate is not None
    by_sta = slowest_path(unit, array_nanoseconds=0.1).nanoseconds
    assert 0.5 * by_sta < unit.estimate < by_sta


def test_stub_of_arrays(tmp_path: Path) -> None:
    path = tmp_path / "stub.lib"
    text = array_liberty([ARRAY], library(), {ARRAY.module: 2.0}, 0.5)
    path.write_text(text, encoding="utf-8")
    assert path.read_text().count("bus (") == 4
    stub = Library.read(path)
    pins = stub.cells[ARRAY.module].pins
    assert pins["clk"].clock
    assert pins["write_enable"].capacitance == pytest.approx(INPUT_FF * 1e-3)
    (setup,) = pins["read_enable"].timing
    assert setup.tables["rise_constraint"].at(transition=0, load=0) == 0.5
