"""What became of mutants of the Python: reports/mutants_python.json, and its tables.

Each mutant that was drawn has the test that noticed it, and a hash of what that is of: the module
and this test, or for a survivor all tests that were to notice. So only what has changed is tried
again. ``mutants_python_reasons.toml`` has the reasons why some survive.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mutants_python_changes import Change
from mutants_python_trial import GROUPS, ROOT, TIME, Trial, noticing, path_of

HERE = Path(__file__).resolve().parent
RECORDS = ROOT / "reports" / "mutants_python.json"
PAGE = ROOT / "docs" / "verification.md"
MARKS = ("<!-- mutants of the Python -->", "<!-- end of mutants of the Python -->")
CURE = "`make mutate-python` tries its mutants"

#: What the page calls the groups.
TITLES = {"golden": "golden model", "calibration": "calibration"}

#: A mutant's record, ``{"by": "file::test", "of": hash}``; of a survivor, ``by`` is empty.
Records = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Reason:
    """Why some mutants survive, in sentences that a reader can check; ``changes`` are their texts.

    ``equal`` where they compute what the module does, so that no test could notice.
    """

    why: str
    changes: tuple[str, ...]
    equal: bool


def reasons() -> list[Reason]:
    """The reasons that there are."""
    found = tomllib.loads((HERE / "mutants_python_reasons.toml").read_text(encoding="utf-8"))
    return [
        Reason(each["why"], tuple(each["changes"]), each["equal"])
        for each in found.get("reason", [])
    ]


def read_records() -> Records:
    """Records by the texts of mutants; none where there is no file."""
    if not RECORDS.is_file():
        return {}
    found: Records = json.loads(RECORDS.read_text(encoding="utf-8"))
    return found


def write_records(records: Records) -> None:
    """Puts records into the file, whole or not at all, without the help of the package, which must
    not have been imported where mutants are tried.
    """
    new = RECORDS.with_suffix(".new")
    new.write_text(json.dumps(dict(sorted(records.items())), indent=1) + "\n", encoding="utf-8")
    new.replace(RECORDS)


def recorded(trial: Trial) -> dict[str, str]:
    """The record of a mutant that was tried."""
    return {"by": trial.test, "of": _of(trial.change, trial.test)}


def holds(change: Change, records: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether a mutant has a record that is of today's module and tests."""
    record = records.get(str(change))
    return record is not None and record["of"] == _of(change, record["by"])


def _of(change: Change, test: str) -> str:
    """The hash of what a mutant's fate depends on; ``test`` is what noticed it."""
    parts = [_shape(path_of(change.module))]
    if not test:
        parts += map(_shape, noticing(change.module))
    elif test != TIME:
        parts.append(_shape_of_test(test, noticing(change.module)))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@cache
def _shape(path: Path) -> str:
    return ast.dump(_bare(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def _shape_of_test(test: str, files: Iterable[Path]) -> str:
    """That of a test; of the whole file where it could not be imported; nothing if it is gone."""
    name, _, function = test.partition("::")
    for path in files:
        if path.stem == name:
            tree = _bare(ast.parse(path.read_text(encoding="utf-8")))
            if not function:
                return ast.dump(tree)
            for each in tree.body:
                if isinstance(each, ast.FunctionDef) and each.name == function:
                    return ast.dump(each)
    return ""


def _bare(tree: ast.Module) -> ast.Module:
    """Without docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return tree


def unaccounted(names: Iterable[str], records: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Survivors without a reason."""
    known = {text for reason in reasons() for text in reason.changes}
    return [name for name in names if not records[name]["by"] and name not in known]


def table(
    records: Mapping[str, Mapping[str, str]],
    every: Mapping[str, int],
    wanted: Mapping[str, Sequence[str]],
) -> str:
    """The Markdown tables of the records; ``every`` counts all changes that groups have, and
    ``wanted`` are those that were drawn.
    """
    head = ["of", "modules", "changes there are", "drawn", "killed", "equal", "survived"]
    lines = [f"| {' | '.join([*head, 'score'])} |", "|---" + "|--:" * len(head) + "|"]
    known = reasons()
    equal = {text for reason in known if reason.equal for text in reason.changes}
    tests: Counter[str] = Counter()
    for group, names in wanted.items():
        fates = [(name, records[name]["by"]) for name in names]
        killed = [by for _, by in fates if by]
        tests.update(re.sub("::.*", "", by) for by in killed)
        same = sum(name in equal for name, by in fates if not by)
        score = 100 * len(killed) / (len(names) - same)
        counts = [len(GROUPS[group]), every[group], len(names), len(killed), same]
        counts.append(len(names) - len(killed) - same)
        cells = [TITLES[group], *map(str, counts), f"{score:.1f} %"]
        lines.append(f"| {' | '.join(cells)} |")
    survivors = {name for names in wanted.values() for name in names if not records[name]["by"]}
    lines += ["", "| why they survived | mutants | |", "|---|--:|---|"]
    for reason in known:
        if found := [text for text in reason.changes if text in survivors]:
            kind = "equal" if reason.equal else "not noticed"
            lines.append(f"| {reason.why} | {len(found)} | {kind} |")
    return "\n".join(lines)
