"""How Yosys and ABC map the unit: the scripts, for speed or for area.

The recipe for speed makes adders of parallel prefixes, which a fast run of ABC before the mapping
would take apart again, so that there is none (``-noabc``). It takes no flops
with enables, which would hide fan-out from ABC, sizes gates for a driving cell and a load, and
bounds fan-out by buffers. Gates that nothing reads are cleaned up before, as ABC's ``buffer``
refuses them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product, starmap

from exaq_asic.liberty import Library

#: Files of a mapping, in its folder.
SOURCE, CELLS, NETLIST = "unit.v", "cells.lib", "mapped.json"
_ABC_SCRIPT, _CONSTRAINTS, _YOSYS_SCRIPT = "gates.abc", "gates.constr", "map.ys"
_RESETS = "resets.v"

#: Parallel prefixes of adders: the fastest, and one of less area.
ADDERS = ("kogge-stone", "sklansky")
#: Flops that share an enable from which on a clock gate is taken for them.
GATED_FLOPS = 4
# Loads of outputs, in inputs of the smallest inverter.
_LOAD_INPUTS = 10

_SPEED = """strash
ifraig
scorr
{restructure}balance
dch -f
map -B {bias} -D {period}
cleanup
buffer -c -N 12
topo
upsize -D {period}
dnsize -D {period}
stime -p
"""
_RESTRUCTURE = """&get -n
&syn2
&put
strash
"""
_AREA = """strash
ifraig
scorr
dc2
dc2
strash
dch -f
map -a
cleanup
topo
buffer -c -N 24
dnsize
stime -p
"""


def _reset_as_data(high: str, value: str, enable_high: str) -> str:
    """A flop whose synchronous reset goes before its enable, as one that has an enable alone."""
    reset = "" if high == "P" else "~"
    enable = "" if enable_high == "P" else "~"
    data = f"D & ~({reset}R)" if value == "0" else f"D | ({reset}R)"
    return f"""\
module \\$_SDFFE_P{high}{value}{enable_high}_ (input D, C, R, E, output Q);
  wire enable = {enable}E | {reset}R, data = {data};
  \\$_DFFE_PP_ _TECHMAP_REPLACE_ (.D(data), .C(C), .E(enable), .Q(Q));
endmodule
"""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a unit is mapped.

    Parameters
    ----------
    goal
        ``"speed"`` or ``"area"``.
    mhz
        Clock that sizes of gates are chosen for; what is reached is measured.
    clock_gate
        Whether flops that share an enable get a clock gate.
    adders
        Which parallel prefixes adders are made of, for speed; see ``ADDERS``.
    restructure
        Whether ABC restructures logic before it maps, for speed. What multiplies gets smaller by
        it; adders of prefixes lose their shape, and units of them get larger.
    """

    goal: str = "speed"
    mhz: float = 500.0
    clock_gate: bool = False
    adders: str = "kogge-stone"
    restructure: bool = False

    def __post_init__(self) -> None:
        if self.adders not in ADDERS:
            raise ValueError(f"adders must be {' or '.join(ADDERS)}, not {self.adders!r}")
        if self.goal not in ("speed", "area"):
            raise ValueError(f"goal must be speed or area, not {self.goal!r}")
        if not 1 <= self.mhz <= 10_000:
            raise ValueError(f"mhz must be 1 to 10000, not {self.mhz!r}")

    def check(self, library: Library) -> None:
        """LibertyError where the library lacks a cell that this recipe needs."""
        # Each is refused by name where it is asked for.
        _ = library.inverter, library.nand2, library.flop, library.tie(0), library.tie(1)
        self._gated(library)

    def files(self, library: Library, top: str, parts: Mapping[str, str]) -> dict[str, str]:
        """The scripts by file name.

        Parameters
        ----------
        library
            The cells; its text is to be in the file ``CELLS``.
        top
            The unit's module.
        parts
            As of ``exaq_asic.mapping.blocks.parts_of``: each cell is marked with its part.

        Raises
        ------
        LibertyError
            The library lacks something, such as a clock gate where they are asked for.
        """
        inverter = library.inverter
        load = _LOAD_INPUTS * inverter.inputs[0].capacitance * 1e3
        gates = _SPEED if self.goal == "speed" else _AREA
        return {
            _ABC_SCRIPT: gates.format(
                period=round(1e6 / self.mhz),
                restructure=_RESTRUCTURE if self.restructure else "",
                # How much a choice among covers of equal delay goes by area flow.
                bias=0.9 if self.restructure else 0.5,
            ),
            _RESETS: "".join(starmap(_reset_as_data, product("PN", "01", "PN"))),
            _CONSTRAINTS: f"set_driving_cell {inverter.name}\nset_load {load:.6g}\n",
            _YOSYS_SCRIPT: "\n".join(self._steps(library, top, parts)) + "\n",
        }

    def _steps(self, library: Library, top: str, parts: Mapping[str, str]) -> Sequence[str]:
        refused = " ".join(f"-dont_use {name}" for name in library.not_for_logic)
        (high, high_pin), (low, low_pin) = library.tie(1), library.tie(0)
        choices = f"-extra-map +/choices/{self.adders}.v " if self.goal == "speed" else ""
        return [
            f"read_verilog {SOURCE}",
            f"hierarchy -check -top {top}",
            "uniquify",
            "proc",
            *(f'setattr -set part "{part}" {each}' for each, part in _marked(parts)),
            f"synth -flatten -noabc -run begin:fine -top {top}",
            f"synth -flatten -noabc {choices}-run fine:",
            *self._gated(library),
            f"dfflibmap -liberty {CELLS} {refused}",
            f"abc -D {round(1e6 / self.mhz)} -liberty {CELLS} -constr {_CONSTRAINTS} "
            f"-script {_ABC_SCRIPT} {refused}",
            "setundef -zero",
            f"hilomap -hicell {high} {high_pin} -locell {low} {low_pin} -singleton",
            "opt_clean",
            f"read_liberty -lib -ignore_miss_func {CELLS}",
            # Before the names of what registers drive, and their marks, are purged.
            "delete t:$scopeinfo",
            f"select {top}",
            f"write_json -selected {NETLIST}",
            "opt_clean -purge",
            "check -assert -mapped",
        ]

    def _gated(self, library: Library) -> Sequence[str]:
        if not self.clock_gate:
            return []
        gate = library.clock_gate
        if gate is None:
            raise library.lacks("clock gate without a pin for tests", "clock gating needs")
        pins = ":".join(gate.clock_gate[role] for role in ("enable", "clock", "out"))
        return [
            # Yosys alone takes the enable away together with such a reset.
            f"techmap -map {_RESETS}",
            "simplemap",
            "opt_merge",
            "opt_clean",
            "dffunmap -srst-only",
            f"clockgate -pos {gate.name} {pins} -min_net_size {GATED_FLOPS}",
        ]


def _marked(parts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is marked with which part: cells, and what registers drive, as Yosys loses the marks of
    registers that it cuts into slices.
    """
    for module, part in parts.items():
        yield f"{module}/c:*", part
        yield f"{module}/t:$dff %co1:+[Q] {module}/w:* %i", part


def script_name() -> str:
    """The file of ``Recipe.files`` that Yosys begins with."""
    return _YOSYS_SCRIPT
