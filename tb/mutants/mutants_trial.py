"""What becomes of the mutants of a unit: scenarios, proofs, a second look, directed scenarios.

found = tried(config, count, seed, print)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mutants_bench import SURVIVED, Bench, Verdict
from mutants_directed import DirectedBench, directed
from mutants_equivalence import equivalent
from mutants_netlist import Mutant, Netlist, netlist
from mutants_scenarios import scenarios
from mutants_second_look import second_look
from mutants_subset import subset

from exaq import SoftmaxConfig
from exaq.release import as_compared

Step = Callable[[str], None]


@dataclass(frozen=True)
class Tried:
    """Mutants of a unit and what became of each.

    Members
    -------
    proved
        Numbers of those proved to be the unit.
    directed
        Numbers of those that directed scenarios alone killed.
    """

    mutants: Sequence[Mutant]
    verdicts: Sequence[Verdict]
    proved: set[int]
    directed: set[int] = field(default_factory=set)


def tried(config: SoftmaxConfig, count: int, seed: int, step: Step, *, again: bool = True) -> Tried:
    """Draws ``count`` mutants of a unit, runs each through all scenarios, and proves what it can;
    has a second look at the others and runs them through directed scenarios if it is to look
    ``again``.

    Raises
    ------
    exaq.tool.ToolError
        A tool is missing or fails.
    AssertionError
        The unit itself does not give what the golden model says.
    """
    step("netlist")
    with as_compared():
        made = netlist(config, count, seed)
    step("scenarios")
    wanted = scenarios(config)
    step("compilation")
    bench = Bench(config, made, wanted)
    step("simulation")
    first = Tried(made.mutants, bench.run(), set())
    alive = [mutant for mutant, verdict in _pairs(first) if verdict.fate == SURVIVED]
    step("proofs")
    proved = equivalent(made, alive)
    seen: dict[int, Verdict] = {}
    if again:
        step("second look")
        alive = [mutant for mutant in alive if mutant.number not in proved]
        seen = {verdict.number: verdict for verdict in _looked_at(config, made, alive)}
        alive = [mutant for mutant in alive if mutant.number not in seen]
    verdicts = [seen.get(each.number, each) for each in first.verdicts]
    whole = Tried(made.mutants, verdicts, proved)
    return _directed(config, made, whole, alive, step) if again else whole


def tried_again(
    config: SoftmaxConfig, count: int, seed: int, record: Mapping[str, Any], step: Step
) -> Tried:
    """Those of a record that nothing or only directed scenarios killed, proved or run through
    directed scenarios.

    Raises
    ------
    exaq.tool.ToolError
        A tool is missing or fails.
    AssertionError
        The unit itself does not give what the golden model says.
    """
    step("netlist")
    with as_compared():
        made = netlist(config, count, seed)
    cycles = {each["number"]: each.get("other_cycles", ()) for each in record["survivors"]}
    numbers = {*cycles, *(each["number"] for each in record.get("directed", ()))}
    mutants = [mutant for mutant in made.mutants if mutant.number in numbers]
    verdicts = [
        Verdict(mutant.number, SURVIVED, elsewhere=tuple(cycles.get(mutant.number, ())))
        for mutant in mutants
    ]
    step("proofs")
    proved = equivalent(made, mutants)
    alive = [mutant for mutant in mutants if mutant.number not in proved]
    return _directed(config, made, Tried(mutants, verdicts, proved), alive, step)


def _pairs(found: Tried) -> Iterator[tuple[Mutant, Verdict]]:
    return zip(found.mutants, found.verdicts, strict=True)


def _looked_at(
    config: SoftmaxConfig, made: Netlist, mutants: Sequence[Mutant]
) -> Iterator[Verdict]:
    """What kills mutants that have survived, at a second look; nothing of those that live."""
    wanted = second_look(config)
    for mutant in mutants:
        bench = Bench(config, replace(made, mutants=(mutant,)), wanted)
        (verdict,) = bench.run()
        if verdict.fate != SURVIVED:
            yield verdict


def _directed(
    config: SoftmaxConfig, made: Netlist, found: Tried, alive: Sequence[Mutant], step: Step
) -> Tried:
    """What is found, after those still ``alive`` went through directed scenarios."""
    if not alive:
        return found
    step(f"directed scenarios for {len(alive)}")
    bench = DirectedBench(config, subset(made, alive), directed(config))
    killed = {
        mutant.number: replace(verdict, number=mutant.number)
        for mutant, verdict in zip(alive, bench.run(), strict=True)
        if verdict.fate != SURVIVED
    }
    verdicts = [killed.get(each.number, each) for each in found.verdicts]
    return replace(found, verdicts=verdicts, directed=set(killed))
