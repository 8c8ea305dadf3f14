"""Energy of a netlist's cells over some cycles, by what it is for and by part of the unit.

An edge of a net costs half of its capacitance times the square of the voltage; the capacitance is
that of the pins on it and of a wire to each. An edge of a pin costs what the library's table of
internal energy says for it, at one transition for all nets and at the net's load. Where several
tables hold, it is their mean.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq_asic.energy.waves import Waves
from exaq_asic.liberty import Cell, Library, Pin, PowerTable
from exaq_asic.mapping.netlist import Instance, Netlist

Edges = NDArray[np.bool_]

#: What energies are for.
KINDS = ("clock", "registers", "gates", "leakage")


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What the energies are of.

    Parameters
    ----------
    wire_femtofarads
        Capacitance of the wire to each pin that a net drives.
    transition_nanoseconds
        How long an input's edge is.
    """

    wire_femtofarads: float = 3.0
    transition_nanoseconds: float = 0.1


class EnergyMeter:
    """Energies of a netlist.

    Parameters
    ----------
    netlist
        Cells of ``library``, and other modules, which take none here.
    library
        The cells.
    clock
        Port of the clock.
    conditions
        See there.
    """

    def __init__(
        self, netlist: Netlist, library: Library, clock: str, conditions: Conditions
    ) -> None:
        self._library, self._conditions = library, conditions
        self._netlist = netlist
        self._cells: list[tuple[Instance, Cell]] = [
            (each, library.cells[each.module])
            for each in netlist.instances
            if each.module in library.cells
        ]
        (port,) = (port for port in netlist.ports if port.name == clock)
        self._clocks: set[Any] = {port.bits[0]}
        for instance, cell in self._cells:
            if cell.kind == "clock gate":
                self._clocks.add(instance.pins[cell.clock_gate["out"]][0])
        self._loads = self._capacitances()

    def _capacitances(self) -> Mapping[Any, float]:
        """Of each net, in pF."""
        wire = self._conditions.wire_femtofarads / 1e3
        array_pin = self._library.inverter.inputs[0].capacitance
        loads: dict[Any, float] = defaultdict(float)
        for instance in self._netlist.instances:
            cell = self._library.cells.get(instance.module)
            for name, bits in instance.pins.items():
                pin = None if cell is None else cell.pins[name]
                if name == "read_data" if pin is None else pin.direction != "input":
                    continue
                own = array_pin if pin is None else pin.capacitance
                for bit in bits:
                    loads[bit] += own + wire
        return loads

    def energies(self, waves: Waves) -> dict[str, dict[str, float]]:
        """In pJ over all cycles of ``waves`` but the last, by part and by one of ``KINDS``.

        Leakage is in W, as cycles have no duration here.
        """
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for instance, cell in self._cells:
            of = found[instance.part]
            of["leakage"] += cell.leakage  # type: ignore[assignment]
            for kind, energy in self._of_cell(instance, cell, waves):
                of[kind] += energy  # type: ignore[assignment]
        return {
            part: {kind: float(of[kind]) for kind in KINDS} for part, of in sorted(found.items())
        }

    def _of_cell(self, instance: Instance, cell: Cell, waves: Waves) -> Sequence[tuple[str, float]]:
        nets = {name: bits[0] for name, bits in instance.pins.items()}
        before = {name: waves.before(net)[:-1] for name, net in nets.items()}
        after = {name: waves.before(net)[1:] for name, net in nets.items()}
        # Data moves behind the clock's edge, while the clock is high.
        for name, net in nets.items():
            if net in self._clocks:
                after[name] = np.ones_like(after[name])
        edges = {
            name: (
                (waves.rose(net)[:-1],) * 2
                if net in self._clocks
                else (~before[name] & after[name], before[name] & ~after[name])
            )
            for name, net in nets.items()
        }
        general = "registers" if cell.kind in ("flop", "latch") else "gates"
        found = []
        for name, net in nets.items():
            pin = cell.pins[name]
            kind = "clock" if net in self._clocks or cell.kind == "clock gate" else general
            found.append((kind, self._internal(pin, net, edges, before, after)))
            if pin.direction == "output" and net not in self._clocks:
                found.append((kind, self._charge(self._loads.get(net, 0.0), edges[name])))
            elif pin.direction == "input" and net in self._clocks:
                # The clock's load is counted where it is: at each register.
                own = pin.capacitance + self._conditions.wire_femtofarads / 1e3
                found.append((kind, self._charge(own, edges[name])))
        return found

    def _charge(self, picofarads: float, edges: tuple[Edges, Edges]) -> float:
        return sum(map(np.count_nonzero, edges)) * picofarads * self._library.voltage**2 / 2

    def _internal(
        self,
        pin: Pin,
        net: Any,
        edges: Mapping[str, tuple[Edges, Edges]],
        before: Mapping[str, Edges],
        after: Mapping[str, Edges],
    ) -> float:
        if not pin.power or not (edges[pin.name][0].any() or edges[pin.name][1].any()):
            return 0.0
        clock = net in self._clocks and pin.direction == "input"
        load = self._loads.get(net, 0.0) / self._library.picofarads
        total = 0.0
        for which, (edge, of_pin) in enumerate(zip(("rise", "fall"), edges[pin.name], strict=True)):
            at = np.flatnonzero(of_pin)
            # A register's clock rises before its data moves, and falls behind it.
            state = before if clock and edge == "rise" else after
            here = {name: values[at] for name, values in state.items()}
            moved = {name: (each[0] | each[1])[at] for name, each in edges.items()}
            tables = [each for each in pin.power if getattr(each, edge) is not None]
            if len(at) and tables:
                total += float(self._of_tables(tables, which, here, moved, load, len(at)).sum())
        return total * self._library.picofarads

    def _of_tables(
        self,
        tables: Sequence[PowerTable],
        which: int,
        state: Mapping[str, Edges],
        moved: Mapping[str, Edges],
        load: float,
        edges: int,
    ) -> NDArray[np.float64]:
        """Energy of each edge, in the unit of the tables."""
        transition = self._conditions.transition_nanoseconds / self._library.nanoseconds
        values = np.empty(len(tables))
        holds = np.zeros((len(tables), edges))
        for place, table in enumerate(tables):
            lookup = (table.rise, table.fall)[which]
            assert lookup is not None
            values[place] = lookup.at(transition=transition, load=load)
            fits = np.ones(edges, np.bool_)
            if table.when.text:
                fits &= table.when.evaluate(state)
            if table.related:
                fits &= np.logical_or.reduce(
                    [moved[name] for name in table.related if name in moved]
                )
            # One with a condition goes before those without.
            holds[place] = fits * (1.0 if table.when.text else 1e-9)
        weights = holds.sum(axis=0)
        mean = np.full(edges, values.mean())
        known = weights > 0
        mean[known] = values @ holds[:, known] / weights[known]
        return mean
