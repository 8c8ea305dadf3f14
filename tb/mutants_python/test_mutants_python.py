"""Mutants of the Python: what is changed, that a sample is noticed, and what the records say."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest
from mutants_python_changes import Change, changed, changes
from mutants_python_records import (
    CURE,
    MARKS,
    PAGE,
    holds,
    read_records,
    reasons,
    table,
    unaccounted,
)
from mutants_python_trial import COUNTS, GROUPS, ROOT, all_changes, drawn, noticing, path_of

RECORDS = read_records()
EVERY = {group: all_changes(group) for group in GROUPS}
DRAWN = {group: drawn(found, COUNTS[group]) for group, found in EVERY.items()}
NAMES = {group: [str(change) for change in found] for group, found in DRAWN.items()}

#: Statements, and what they are after each of their changes.
CHANGES = {
    "return a + b": ["return a - b"],
    "return a // 2": ["return a * 2", "return a // 3"],
    "return a < b <= 1": ["return a <= b <= 1", "return a < b <= 2"],
    "return a and b": ["return a or b"],
    "return not a": ["return not not a"],
    "return -a": ["return --a"],
    "return f(a, keepdims=True)": ["return f(a, keepdims=False)"],
    "return np.minimum(a, 0.5)": ["return np.maximum(a, 0.5)", "return np.minimum(a, 1.5)"],
    "a += 1": ["a -= 1", "a += 2"],
    "return a if b else 0": ["return a if not b else 0", "return a if b else 1"],
    "if a is None:\n        pass": ["if a is not None:\n        pass"],
    "if a:\n        raise ValueError(f'{a + 1}' + 'x')": [
        "if not a:\n        raise ValueError(f'{a + 1}' + 'x')"
    ],
    "b: int = 'text'": [],
}


@pytest.mark.parametrize("statement", CHANGES)
def test_changes_of_a_statement(statement: str) -> None:
    source = f"class Kind:\n  def f(self, a, b=1 + 1):\n    {statement}\n"
    found = changes("m", source)
    assert [ast.unparse(changed(source, each)) for each in found] == [
        ast.unparse(ast.parse(source.replace(statement, after))) for after in CHANGES[statement]
    ]
    assert all(each.function == "Kind.f" for each in found)


def test_changes_that_look_alike_have_different_names() -> None:
    source = "def f(a):\n    return a[1], a[1]\n"
    assert [str(each) for each in changes("m", source)] == [
        "m.f: 2 for 1 in `return a[1], a[1]`",
        "m.f: 2 for 1 (2) in `return a[1], a[1]`",
    ]


def test_nothing_outside_of_functions_is_changed() -> None:
    assert changes("m", "A = 1 + 1\nclass Kind:\n    c: int = 2\n") == []


def test_a_change_of_another_source_is_refused() -> None:
    with pytest.raises(ValueError, match="not a change"):
        changed("def f(a):\n    return a\n", Change("m", 0, "f", "2 for 1", "return 1"))


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_drawn_does_not_hang_on_other_modules(group: str) -> None:
    found = EVERY[group]
    assert len(DRAWN[group]) == COUNTS[group] == len(set(NAMES[group]))
    first = found[0].module
    others = [each for each in found if each.module != first]
    fewer = set(map(str, drawn(others, COUNTS[group])))
    assert {name for name in NAMES[group] if not name.startswith(f"{first}.")} <= fewer


@pytest.mark.parametrize("group", GROUPS)
def test_modules_and_tests_are_there(group: str) -> None:
    for module in GROUPS[group]:
        assert path_of(module).is_file()
        assert all(path.is_file() for path in noticing(module))


@pytest.mark.parametrize("group", GROUPS)
def test_records_are_of_today(group: str) -> None:
    stale = [str(change) for change in DRAWN[group] if not holds(change, RECORDS)]
    assert not stale, f"{len(stale)} have no record of today, {stale[0]} for one: {CURE}"


def test_every_survivor_has_a_reason_and_every_reason_a_survivor() -> None:
    names = [name for each in NAMES.values() for name in each]
    assert unaccounted(names, RECORDS) == []
    survivors = {name for name in names if not RECORDS[name]["by"]}
    listed = [text for reason in reasons() for text in reason.changes]
    assert set(listed) <= survivors
    assert len(listed) == len(set(listed))


def test_the_page_has_the_table() -> None:
    begin, end = MARKS
    shown = PAGE.read_text(encoding="utf-8").partition(begin)[2].partition(end)[0]
    assert shown.strip() == table(RECORDS, {k: len(v) for k, v in EVERY.items()}, NAMES)


def test_a_sample_is_killed() -> None:
    """In a process of its own: here the package has been imported."""
    command = [sys.executable, "scripts/run_mutants_python.py", "--sample", "4", "--jobs", "1"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 4
