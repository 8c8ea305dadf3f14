"""Standard cells as a Liberty file describes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from exaq_asic.liberty.expressions import Expression
from exaq_asic.liberty.lookup_table import LookupTable
from exaq_asic.liberty.syntax import Group

# Cells for other ends than logic, where the file has no attribute that says so.
_SPECIAL = re.compile(r"probe|lpflow|dly|delay|clkinvlp|sparecell|antenna|tap|decap|fill", re.I)
_NOT_FOR_LOGIC = ("dont_use", "is_level_shifter", "is_isolation_cell", "always_on")


@dataclass(frozen=True)
class TimingArc:
    """What a pin says of its time relative to another one.

    Members
    -------
    related : the other pins
    kind : ``timing_type``; ``"combinational"`` where the file says nothing
    tables : by name, such as ``cell_rise`` or ``rise_constraint``
    """

    related: tuple[str, ...]
    kind: str
    tables: Mapping[str, LookupTable]


@dataclass(frozen=True)
class PowerTable:
    """Internal energy of a pin's edges, in pJ.

    Members
    -------
    related : of an output, the inputs whose edges these are due to; of an input none
    when : state of the cell in which it holds
    rise, fall : a table for each edge; None: nothing is said
    """

    related: tuple[str, ...]
    when: Expression
    rise: LookupTable | None
    fall: LookupTable | None


@dataclass(frozen=True)
class Pin:
    """A pin of a cell.

    Members
    -------
    name
    direction : ``"input"``, ``"output"``, or what else the file says
    capacitance : in pF
    function : of an output; None: the file has none
    clock : whether it is a flop's or a clock gate's clock
    timing, power : what the file says of it
    """

    name: str
    direction: str
    capacitance: float
    function: Expression | None
    clock: bool
    timing: tuple[TimingArc, ...]
    power: tuple[PowerTable, ...]


@dataclass(frozen=True)
class Cell:
    """A cell.

    Members
    -------
    name
    area : in the library's unit, which is um2 in all that were seen
    leakage : in W, in the mean over the cell's states
    pins : by name
    kind : ``"gate"``, ``"flop"``, ``"latch"``, ``"clock gate"``, ``"tie"`` or ``"other"``
    for_logic : whether mapping may take it: nothing in the file or in its name is against it
    clock_gate : pins of a clock gate by what they are for: clock, enable, out, test
    """

    name: str
    area: float
    leakage: float
    pins: Mapping[str, Pin]
    kind: str
    for_logic: bool
    clock_gate: Mapping[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> list[Pin]:
        """Its input pins."""
        return [pin for pin in self.pins.values() if pin.direction == "input"]

    @property
    def outputs(self) -> list[Pin]:
        """Its output pins."""
        return [pin for pin in self.pins.values() if pin.direction == "output"]


@dataclass(frozen=True)
class Units:
    """What the file's numbers count: ns, pF, V, W, and what follows for energies, pJ."""

    nanoseconds: float
    picofarads: float
    watts: float

    @classmethod
    def read(cls, library: Group) -> Units:
        """Those of a library; ValueError where one of them is unknown."""
        amount, unit = library.attributes.get("capacitive_load_unit", ("1", "pf"))
        return cls(
            nanoseconds=_amount(library.text("time_unit", "1ns"), "s") * 1e9,
            picofarads=float(amount) * _amount(f"1{unit.lower()}", "f") * 1e12,
            watts=_amount(library.text("leakage_power_unit", "1nW"), "w"),
        )


_PREFIXES = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}


def _amount(text: str, unit: str) -> float:
    """ "10ps" in seconds."""
    found = re.fullmatch(rf"([\d.]+)([munpf]?){unit}", text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} is no unit of Liberty")
    return float(found[1]) * _PREFIXES[found[2]]


class CellReader:
    """Makes cells of groups of Liberty.

    Parameters
    ----------
    library
        The group ``library`` that they stand in.
    """

    def __init__(self, library: Group):
        self.units = Units.read(library)
        self._default_capacitance = float(library.text("default_input_pin_cap", "0"))
        self._default_leakage = float(library.text("default_cell_leakage_power", "0"))
        kinds = ("lu_table_template", "power_lut_template")
        self._templates = {each.arguments[0]: each for each in library.of_kind(*kinds)}

    def cell(self, group: Group) -> Cell:
        """The cell of a group ``cell``; ValueError where something in it is not legal."""
        pins = {
            name: self._pin(name, each) for each in group.of_kind("pin") for name in each.arguments
        }
        leakage = float(group.text("cell_leakage_power") or self._mean_leakage(group))
        return Cell(
            name=group.arguments[0],
            area=float(group.text("area", "0")),
            leakage=leakage * self.units.watts,
            pins=pins,
            kind=_kind(group, pins),
            for_logic=_for_logic(group),
            clock_gate=_clock_gate(group),
        )

    def _mean_leakage(self, group: Group) -> float:
        values = [float(each.text("value", "0")) for each in group.of_kind("leakage_power")]
        return sum(values) / len(values) if values else self._default_leakage

    def _pin(self, name: str, group: Group) -> Pin:
        capacitance = float(group.text("capacitance", str(self._default_capacitance)))
        function = group.text("function")
        return Pin(
            name=name,
            direction=group.text("direction"),
            capacitance=capacitance * self.units.picofarads,
            function=Expression(function) if function else None,
            clock=group.text("clock") == "true",
            timing=tuple(map(self._arc, group.of_kind("timing"))),
            power=tuple(self._power(group)),
        )

    def _arc(self, group: Group) -> TimingArc:
        tables = {}
        for each in group.groups:
            table = LookupTable.read(each, self._templates)
            if table is not None:
                tables[each.kind] = table
        return TimingArc(
            related=tuple(group.text("related_pin").split()),
            kind=group.text("timing_type", "combinational"),
            tables=tables,
        )

    def _power(self, pin: Group) -> Iterator[PowerTable]:
        for group in pin.of_kind("internal_power"):
            tables = {each.kind: LookupTable.read(each, self._templates) for each in group.groups}
            both = tables.get("power")
            yield PowerTable(
                related=tuple(group.text("related_pin").split()),
                when=Expression(group.text("when")),
                rise=tables.get("rise_power", both),
                fall=tables.get("fall_power", both),
            )


def _for_logic(group: Group) -> bool:
    marked = any(
        each.text(attribute) == "true"
        for each in (group, *group.of_kind("pin"))
        for attribute in _NOT_FOR_LOGIC
    )
    # A flop whose next state is not one pin alone has an enable or a scan chain: an enable hides
    # fan-out from ABC, and a scan chain wants a tester.
    flops = list(group.of_kind("ff", "ff_bank", "latch", "latch_bank"))
    states = [each.text("next_state") or each.text("data_in") for each in flops]
    plain = all(re.fullmatch(r"\(*\w+\)*", state.strip()) for state in states)
    return not marked and plain and not _SPECIAL.search(group.arguments[0])


def _kind(group: Group, pins: Mapping[str, Pin]) -> str:
    if "clock_gating_integrated_cell" in group.attributes:
        return "clock gate"
    for kind, words in {"flop": ("ff", "ff_bank"), "latch": ("latch", "latch_bank")}.items():
        if any(True for _ in group.of_kind(*words)):
            return kind
    outputs = [pin for pin in pins.values() if pin.direction == "output"]
    if not outputs or any(pin.function is None for pin in outputs):
        return "other"
    if not any(pin.direction == "input" for pin in pins.values()):
        return "tie"
    return "gate"


def _clock_gate(group: Group) -> dict[str, str]:
    return {
        role: pin.arguments[0]
        for pin in group.of_kind("pin")
        for role in ("clock", "enable", "out", "test")
        if pin.text(f"clock_gate_{role}_pin") == "true"
    }
