"""A netlist as gates: and-inverter graphs, and questions to a SAT solver about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pysat.solvers import Solver

#: A gate's output or its complement: twice the gate's number, and 1 where it is inverted.
Literal = int
FALSE, TRUE = 0, 1


class Graph:
    """And gates, each with two literals for its inputs, equal ones once.

    Gate 0 is false; other gates without inputs are free.
    """

    def __init__(self) -> None:
        self.gates: list[tuple[Literal, Literal] | None] = [None]
        self.inputs: dict[str, Literal] = {}
        self._known: dict[tuple[Literal, Literal], Literal] = {}

    def input(self, name: str) -> Literal:
        """The free gate of that name."""
        if name not in self.inputs:
            self.gates.append(None)
            self.inputs[name] = 2 * (len(self.gates) - 1)
        return self.inputs[name]

    def both(self, one: Literal, other: Literal) -> Literal:
        """Whether both are true."""
        if one > other:
            one, other = other, one
        if one == FALSE or one == other ^ 1:
            return FALSE
        if one in (TRUE, other):
            return other
        if (one, other) not in self._known:
            self.gates.append((one, other))
            self._known[one, other] = 2 * (len(self.gates) - 1)
        return self._known[one, other]

    def either(self, one: Literal, other: Literal) -> Literal:
        """Whether one of them is true."""
        return self.both(one ^ 1, other ^ 1) ^ 1

    def differ(self, one: Literal, other: Literal) -> Literal:
        """Whether just one of them is true."""
        return self.either(self.both(one, other ^ 1), self.both(one ^ 1, other))

    def some(self, literals: Iterable[Literal]) -> Literal:
        """Whether one of many is true."""
        found = FALSE
        for literal in literals:
            found = self.either(found, literal)
        return found


def outputs(
    graph: Graph, module: Mapping[str, Any], given: Callable[[str, int], Literal]
) -> dict[str, list[Literal]]:
    """The literals of a module's outputs; ``given`` says those of inputs, by port and bit.

    The module is one of Yosys's JSON, of AND and NOT gates alone.
    """
    values: dict[Any, Literal] = {"0": FALSE, "1": TRUE, "x": FALSE}
    for name, port in module["ports"].items():
        if port["direction"] == "input":
            values |= {bit: given(name, place) for place, bit in enumerate(port["bits"])}
    makers = {cell["connections"]["Y"][0]: cell for cell in module["cells"].values()}
    wanted = [
        bit
        for port in module["ports"].values()
        if port["direction"] == "output"
        for bit in port["bits"]
    ]
    waiting = list(wanted)
    while waiting:
        bit = waiting[-1]
        if bit in values:
            waiting.pop()
            continue
        if bit not in makers:
            # What nothing drives.
            values[bit] = FALSE
            continue
        cell = makers[bit]
        taken = [cell["connections"][port][0] for port in ("A", "B") if port in cell["connections"]]
        missing = [each for each in taken if each not in values]
        if missing:
            waiting += missing
            continue
        if cell["type"] == "$_NOT_":
            values[bit] = values[taken[0]] ^ 1
        elif cell["type"] == "$_AND_":
            values[bit] = graph.both(values[taken[0]], values[taken[1]])
        else:
            raise ValueError(f"a gate of another kind: {cell['type']}")
    return {
        name: [values[bit] for bit in port["bits"]]
        for name, port in module["ports"].items()
        if port["direction"] == "output"
    }


class Questions:
    """A SAT solver that knows the gates of a graph, as far as it was asked about them."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._solver = Solver(name="cadical153")
        self._known = {0}
        self._solver.add_clause([-1])

    def possible(self, literals: Iterable[Literal]) -> bool:
        """Whether all of these can be true at once."""
        return bool(self._solver.solve(assumptions=[self._variable(each) for each in literals]))

    def _variable(self, literal: Literal) -> int:
        waiting = [literal // 2]
        while waiting:
            gate = waiting.pop()
            if gate in self._known:
                continue
            self._known.add(gate)
            inputs = self.graph.gates[gate]
            if inputs is None:
                continue
            first, second = (_signed(each) for each in inputs)
            self._solver.add_clause([-(gate + 1), first])
            self._solver.add_clause([-(gate + 1), second])
            self._solver.add_clause([gate + 1, -first, -second])
            waiting += [each // 2 for each in inputs]
        return _signed(literal)


def _signed(literal: Literal) -> int:
    return -(literal // 2 + 1) if literal & 1 else literal // 2 + 1
