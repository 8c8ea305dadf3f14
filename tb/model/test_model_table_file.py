"""Files of tables: what they give back, the configurations they make, and every refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exaq import SoftmaxConfig, TableFile, Tables, TableSet

A, B, C = (
    Tables(thresholds=thresholds, exp_rom=exp_rom)
    for thresholds, exp_rom in (
        ((-40, -20, -5), (3, 90, 2000, 4096)),
        ((-9, -9, 0), (0, 0, 0, 1)),
        ((-(2**40), -3, -1), (1, 2, 3, 8191)),
    )
)


def file_of(*sets: TableSet, **changes: Any) -> TableFile:
    settings = {"bits": 2, "logit_width": 10, "logit_scale": 0.125, "exp_frac": 12}
    return TableFile(**(settings | changes), sets=sets)


def entry(name: str, tables: Tables = A, **others: Any) -> TableSet:
    return TableSet(name=name, tables=tables, **others)


MANY = file_of(entry("layer0", A, layer=0), entry("layer1", B, layer=1), entry("late", C, layer=2))
ONE = file_of(entry("all", A, clip=-5.5, statistics={"sigma": 1.5}), provenance={"rule": "paper"})


def refuses(kind: type[Exception], message: str, call: Callable[[], object]) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        call()


def test_the_written_file_is_what_the_docs_say(tmp_path: Path) -> None:
    ONE.save(tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text(encoding="utf-8")) == {
        "format": "exaq-tables",
        "version": 1,
        "bits": 2,
        "logit_width": 10,
        "logit_scale": 0.125,
        "exp_frac": 12,
        "provenance": {"rule": "paper"},
        "sets": [
            {
                "name": "all",
                "layer": None,
                "head": None,
                "clip": -5.5,
                "thresholds": [-40, -20, -5],
                "exp_rom": [3, 90, 2000, 4096],
                "statistics": {"sigma": 1.5},
            }
        ],
    }


@st.composite
def files(draw: st.DrawFn) -> TableFile:
    bits, exp_frac = draw(st.integers(2, 6)), draw(st.integers(4, 24))
    values = st.integers(0, 2 ** (exp_frac + 1) - 1)
    plain = st.none() | st.booleans() | st.integers() | st.text()
    objects = st.dictionaries(st.text(), plain | st.lists(plain), max_size=3)
    names = draw(st.lists(st.text(min_size=1), min_size=1, max_size=5, unique=True))

    def table_set(name: str) -> TableSet:
        steps = draw(st.lists(st.integers(-(2**30), 0), min_size=2**bits - 1, max_size=2**bits - 1))
        rom = draw(st.lists(values, min_size=2**bits - 1, max_size=2**bits - 1))
        return TableSet(
            name=name,
            tables=Tables(
                thresholds=tuple(sorted(steps)),
                exp_rom=(*rom, draw(st.integers(1, 2 ** (exp_frac + 1) - 1))),
            ),
            layer=draw(st.none() | st.integers(0, 99)),
            head=draw(st.none() | st.integers(0, 99)),
            clip=draw(st.none() | st.floats(-100, -1e-9)),
            statistics=draw(objects),
        )

    scales: list[float | Fraction] = [0.0625, 0.1, 3, Fraction(1, 10), Fraction(1, 3)]
    return TableFile(
        bits=bits,
        logit_width=draw(st.integers(4, 24)),
        logit_scale=draw(st.sampled_from(scales)),
        exp_frac=exp_frac,
        sets=tuple(table_set(name) for name in names),
        provenance=draw(objects),
    )


@given(file=files())
def test_a_file_gives_back_what_went_in(file: TableFile) -> None:
    again = TableFile.from_dict(json.loads(file.to_json()))
    assert again == file
    assert again.logit_scale == file.logit_scale
    assert again.to_json() == file.to_json()


def test_save_and_load(tmp_path: Path) -> None:
    file = file_of(entry("Schicht ½", B), logit_scale=Fraction(1, 10))
    file.save(tmp_path / "t.json")
    assert TableFile.load(tmp_path / "t.json") == file
    assert TableFile.load(str(tmp_path / "t.json")) == file
    with pytest.raises(FileNotFoundError):
        TableFile.load(tmp_path / "none.json")


PLAIN = {"bits": 2, "logit_width": 10, "logit_scale": 0.125, "exp_frac": 12}


@pytest.mark.parametrize(
    ("file", "name", "changes", "expected"),
    [
        (ONE, None, {}, {"tables": A}),
        (ONE, "all", {}, {"tables": A}),
        (ONE, None, {"contexts": 0}, {"tables": A}),
        (ONE, None, {"contexts": 1}, {"contexts": 1, "context_tables": (A,)}),
        (ONE, None, {"contexts": 3}, {"contexts": 3, "context_tables": (A, A, A)}),
        (MANY, "layer1", {}, {"tables": B}),
        (MANY, "layer1", {"contexts": 2}, {"contexts": 2, "context_tables": (B, B)}),
        (MANY, None, {}, {"contexts": 3, "context_tables": (A, B, C)}),
        (MANY, None, {"contexts": 3}, {"contexts": 3, "context_tables": (A, B, C)}),
        (MANY, None, {"contexts": 5}, {"contexts": 5, "context_tables": (A, B, C, A, A)}),
        (
            MANY,
            "late",
            {"lanes": 8, "max_row": 64, "masking": False, "bits": 2, "logit_scale": 0.125},
            {"tables": C, "lanes": 8, "max_row": 64, "masking": False},
        ),
    ],
)
def test_configurations(
    file: TableFile, name: str | None, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert file.config(name, **changes) == SoftmaxConfig(**(PLAIN | expected))


def test_a_preset_that_fits_takes_the_tables() -> None:
    file = file_of(entry("x", Tables(thresholds=tuple(range(-7, 0)), exp_rom=(1,) * 8)), bits=3)
    config = file.config(lanes=16, bits=3)
    assert (config.bits, config.lanes, config.clip) == (3, 16, None)
    assert config.tables == file.sets[0].tables


@pytest.mark.parametrize(
    ("file", "name", "changes", "message"),
    [
        (ONE, None, {"bits": 3}, "the tables are for bits 2, not 3"),
        (ONE, "all", {"logit_width": 8}, "the tables are for logit_width 10, not 8"),
        (MANY, None, {"logit_scale": 0.0625}, "the tables are for logit_scale 0.125, not 0.0625"),
        (MANY, None, {"exp_frac": 13}, "the tables are for exp_frac 12, not 13"),
        (
            MANY,
            None,
            {"contexts": 2},
            "3 sets of tables need 3..1024 contexts, not 2; or choose one set",
        ),
        (
            MANY,
            None,
            {"contexts": 0},
            "3 sets of tables need 3..1024 contexts, not 0; or choose one set",
        ),
        (
            MANY,
            None,
            {"contexts": 1025},
            "3 sets of tables need 3..1024 contexts, not 1025; or choose one set",
        ),
        (ONE, "all", {"contexts": 1025}, "contexts must be in 0..1024, not 1025"),
        (MANY, "layer3", {}, "there are no tables 'layer3'; there are layer0, layer1, late"),
        (ONE, None, {"clip": -3.0}, "give clip or tables, not both"),
        (MANY, None, {"clip": -3.0}, "give clip or context_tables, not both"),
    ],
)
def test_configurations_refused(
    file: TableFile, name: str | None, changes: dict[str, Any], message: str
) -> None:
    refuses(ValueError, message, lambda: file.config(name, **changes))


def test_more_sets_than_contexts_can_be() -> None:
    file = file_of(*(entry(f"head{k}", head=k) for k in range(1025)))
    refuses(
        ValueError,
        "1025 sets of tables are more than 1024 contexts; choose one set",
        file.config,
    )
    assert file.config("head1024").tables == A


@pytest.mark.parametrize("turn", [1, -1])
def test_the_set_made_for_a_part_serves_it_whatever_the_order(turn: int) -> None:
    sets = [
        entry("all"),
        entry("head1", head=1),
        entry("layer2", layer=2),
        entry("layer2.head1", layer=2, head=1),
    ]
    file = file_of(*sets[::turn])
    served = {(layer, head): file.of(layer, head).name for layer in (0, 2) for head in (0, 1)}
    assert served == {
        (0, 0): "all",
        (0, 1): "head1",
        (2, 0): "layer2",
        (2, 1): "layer2.head1",
    }
    assert file_of(*sets[:3][::turn]).of(2, 1).name == "layer2"
    assert file.of().name == file.of(layer=7).name == "all"
    assert (file.of(layer=2).name, file.of(head=1).name) == ("layer2", "head1")
    assert file.find("layer2").layer == 2


def test_a_part_without_tables_is_refused() -> None:
    assert MANY.of(1, 5).name == "layer1"
    gaps = file_of(
        entry("b", layer=10), entry("a", layer=4), entry("c", layer=4, head=1), entry("d", head=2)
    )
    assert (MANY.layers, gaps.layers, ONE.layers) == ((0, 1, 2), (4, 10), ())
    assert (gaps.of(4, 7).name, gaps.of(5, 2).name) == ("a", "d")
    heads = file_of(entry("x", layer=4, head=0), entry("y", layer=5, head=0))
    for file, part, message in (
        (MANY, (3, None), "there are no tables for layer 3, only for layers 0, 1, 2"),
        (MANY, (None, 1), "there are no tables for head 1 of all layers, only for layers 0, 1, 2"),
        (gaps, (5, None), "there are no tables for layer 5, only for layers 4, 10"),
        (gaps, (5, 1), "there are no tables for head 1 of layer 5, only for layers 4, 10"),
        (heads, (4, 3), "there are no tables for head 3 of layer 4"),
        (heads, (4, None), "there are no tables for layer 4"),
        (gaps, (-1, None), "layer must be at least 0, not -1"),
    ):
        refuses(ValueError, message, partial(file.of, *part))


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: file_of(), ValueError, "a file of tables must hold at least one set"),
        (
            lambda: file_of(entry("a"), entry("b"), entry("a")),
            ValueError,
            "names of sets must differ, but 'a' is there twice",
        ),
        (lambda: file_of(entry("a"), bits=7), ValueError, "bits must be in 2..6, not 7"),
        (
            lambda: file_of(entry("a"), logit_scale=-1.0),
            ValueError,
            "logit_scale must be positive, not -1.0",
        ),
        (
            lambda: file_of(entry("a"), entry("b", C), exp_frac=11),
            ValueError,
            "set 'a': exp_rom values must be below 4096 with exp_frac 11, but the largest is 4096",
        ),
        (
            lambda: file_of(entry("a"), bits=3),
            ValueError,
            "set 'a': tables for 2 bits do not fit a configuration of 3 bits",
        ),
        (lambda: entry(""), TypeError, "the name of a set must be text, not ''"),
        (
            lambda: entry("a", layer=-1),
            ValueError,
            "layer must be at least 0, not -1",
        ),
        (
            lambda: entry("a", head=True),
            TypeError,
            "head must be an integer, not True",
        ),
        (
            lambda: entry("a", clip=0.0),
            ValueError,
            "clip must be negative, not 0.0",
        ),
        (
            lambda: entry("a", statistics=[1]),
            TypeError,
            "statistics must be an object, not [1]",
        ),
        (
            lambda: file_of(entry("a"), provenance="me"),
            TypeError,
            "provenance must be an object, not 'me'",
        ),
    ],
)
def test_files_refused(make: Callable[[], object], kind: type[Exception], message: str) -> None:
    refuses(kind, message, make)


def damaged(path: str, value: object) -> str:
    """Text of ``ONE`` with ``value`` at ``path``; None takes the field away."""
    document = ONE.to_dict()
    *way, last = path.split(".")
    place: Any = document
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return json.dumps(document)


SET = "clip, exp_rom, head, layer, name, statistics, thresholds"
SCALE = "a number or a fraction such as '1/10'"
FILE = "bits, exp_frac, format, logit_scale, logit_width, provenance, sets, version"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1 is not JSON"),
        ('{"format":\n"exaq-tables",\n}', "line 3 is not JSON"),
        ("[" * 100_000, "its lists are too deep"),
        ("[1, 2]", "a file of tables must be an object, not [1, 2]"),
        ("{}", "a file of tables has just the fields format, version; see format"),
        (damaged("format", "gguf"), "format must be 'exaq-tables', not 'gguf'"),
        (damaged("version", 3), "version must be in 1..2, not 3"),
        (
            damaged("version", None),
            "a file of tables has just the fields format, version; see version",
        ),
        (damaged("colour", "red"), f"a file of tables has just the fields {FILE}; see colour"),
        (damaged("bits", None), f"a file of tables has just the fields {FILE}; see bits"),
        (damaged("sets", {}), "sets must be a list, not {}"),
        (damaged("sets", []), "a file of tables must hold at least one set"),
        (damaged("sets", ["all"]), "a set of tables must be an object, not 'all'"),
        (damaged("sets.0.colour", 1), f"a set of tables has just the fields {SET}; see colour"),
        (damaged("sets.0.name", None), f"a set of tables has just the fields {SET}; see name"),
        (damaged("sets.0.name", 3), "the name of a set must be text, not 3"),
        (damaged("sets.0.layer", "1"), "layer must be an integer, not '1'"),
        (damaged("sets.0.clip", "-5"), "clip must be a real number, not '-5'"),
        (damaged("sets.0.clip", float("nan")), "clip must be finite, not nan"),
        (damaged("sets.0.statistics", [1]), "statistics must be an object, not [1]"),
        (damaged("provenance", 5), "provenance must be an object, not 5"),
        (damaged("sets.0.thresholds", "012"), "thresholds must be a list, not '012'"),
        (
            damaged("sets.0.thresholds", [-1.0, 0, 0]),
            "set 'all': each of thresholds must be an integer, not -1.0",
        ),
        (
            damaged("sets.0.thresholds", [-1, -2, 0]),
            "set 'all': thresholds must not descend, but are [-1, -2, 0]",
        ),
        (
            damaged("sets.0.exp_rom", [1, 2, 3, 9000]),
            "set 'all': exp_rom values must be below 8192 with exp_frac 12, but the largest is "
            "9000",
        ),
        (damaged("exp_frac", "12"), "exp_frac must be an integer, not '12'"),
        (damaged("logit_scale", "a lot"), f"logit_scale must be {SCALE}, not 'a lot'"),
        (damaged("logit_scale", "1/0"), f"logit_scale must be {SCALE}, not '1/0'"),
        (damaged("logit_scale", [1]), f"logit_scale must be {SCALE}, not [1]"),
        (damaged("logit_scale", "1e400"), f"logit_scale must be {SCALE}, not '1e400'"),
        (damaged("logit_scale", float("inf")), "logit_scale must be finite, not inf"),
        (damaged("logit_scale", "-1/10"), "logit_scale must be positive, not Fraction(-1, 10)"),
        (damaged("logit_scale", True), "logit_scale must be a real number, not True"),
    ],
)
def test_damaged_files_are_one_line_with_their_name(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(text, encoding="utf-8")
    refuses(ValueError, f"{path} is no file of tables: {reason}", lambda: TableFile.load(path))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00")
    refuses(
        ValueError,
        f"{path} is no file of tables: it is not text",
        lambda: TableFile.load(path),
    )


def test_a_configuration_is_a_file_of_one_set() -> None:
    config = SoftmaxConfig(bits=3, logit_width=12, logit_scale=0.01, exp_frac=9, clip=-5.0)
    file = TableFile.of_config(config)
    assert (file.bits, file.logit_width, file.logit_scale, file.exp_frac) == (3, 12, 0.01, 9)
    assert [(entry.name, entry.tables) for entry in file.sets] == [("all", config.tables)]
    assert file.config().tables == config.tables
    with_sink = TableFile.of_config(config.replace(sink=7))
    assert with_sink.sets[0].tables.sink == 7
