"""A sample of mutants, run for real, and what tells them from the unit."""

from __future__ import annotations

import pytest
from mutants_bench import DATA, RATE, SURVIVED, Bench
from mutants_equivalence import equivalent
from mutants_logic import FALSE, Graph, Questions
from mutants_netlist import Mutant, Netlist, describe, netlist
from mutants_records import recorded, unreasoned
from mutants_scenarios import scenarios
from mutants_trial import tried
from mutants_units import QUICK, SEED, UNITS

CONFIG = UNITS[QUICK]
SAMPLE = 200


def silent(what: str) -> None:
    pass


@pytest.mark.simulator
def test_every_mutant_of_a_sample_is_killed_proved_or_has_a_reason() -> None:
    found = tried(CONFIG, SAMPLE, SEED, silent, again=False)
    record = recorded(QUICK, found)
    assert record["mutants"] == SAMPLE
    assert unreasoned(QUICK, record) == []
    # Many fall at once, a few by when something happens alone, some in no test that there can be.
    assert record["killed"][DATA] > 0.9 * SAMPLE
    assert record["killed"][RATE] > 0
    assert found.proved


@pytest.fixture(scope="module")
def made() -> Netlist:
    return netlist(CONFIG, 40, 1)


@pytest.mark.simulator
def test_the_unit_itself_must_give_what_the_golden_model_says(made: Netlist) -> None:
    other = CONFIG.replace(tables=None, clip=None)
    with pytest.raises(AssertionError, match=r"mixed rows, segment 0, m_axis: beat \d+ is 0x"):
        Bench(CONFIG, made, scenarios(other)[:1]).run()


@pytest.mark.simulator
def test_a_mutant_is_killed_by_what_it_does(made: Netlist) -> None:
    """By what is changed, one of each fate: of the output, of a table, of what nobody can see."""
    found = Bench(CONFIG, made, scenarios(CONFIG)[:12]).run()
    assert [verdict.number for verdict in found] == [mutant.number for mutant in made.mutants]
    killed = [verdict for verdict in found if verdict.fate == DATA]
    assert killed
    assert {verdict.how.partition(",")[0] for verdict in killed} >= {"another payload"}
    for verdict in found:
        assert (verdict.fate == SURVIVED) == (not verdict.scenario)


def test_a_mutant_that_changes_a_port_is_not_proved_equal(made: Netlist) -> None:
    outputs = [mutant for mutant in made.mutants if mutant.script.find(" -mode inv ") >= 0][:6]
    assert len(outputs) == 6
    assert not equivalent(made, outputs)


def test_what_is_changed_is_told_by_its_place() -> None:
    line = (
        "mutate -ctrl mutsel 12 5 -mode cnot1 -module exaq_softmax -cell $auto$ff.cc:337:slice$19 "
        "-port D -portbit 23 -ctrlbit 22 -wire core.normalizer.divider0.$30 -wirebit 23 -src x.v:1"
    )
    assert describe(line) == (
        "$auto$ff.cc:337:slice$19.D[23] = normalizer.divider0.$30[23] inverted where bit 22 is 1"
    )
    assert Mutant(5, line).text == describe(line)
    with pytest.raises(ValueError, match="no mutant: x"):
        describe("x")


def test_gates_that_are_the_same_are_one() -> None:
    graph = Graph()
    a, b = graph.input("a"), graph.input("b")
    assert graph.both(a, b) == graph.both(b, a)
    assert graph.both(a, a ^ 1) == FALSE
    assert graph.differ(a, a) == FALSE
    questions = Questions(graph)
    assert questions.possible([graph.differ(a, b)])
    assert questions.possible([graph.differ(a, b), a])
    assert not questions.possible([graph.differ(a, b), a, b])
    assert not questions.possible([graph.both(a, b), b ^ 1])
