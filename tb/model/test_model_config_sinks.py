"""Sinks of a configuration: one that all rows share, or one of each context; and their files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest

import exaq
from exaq import SoftmaxConfig, TableFile, Tables, TableSet
from exaq.rows import Rows

A = Tables(thresholds=(-40, -20, -5), exp_rom=(3, 90, 2000, 8192), sink=-30)
B = Tables(thresholds=(-300, -3, -1), exp_rom=(16383, 0, 2, 4), sink=127)
PLAIN = Tables(thresholds=(-40, -20, -5), exp_rom=(3, 90, 2000, 8192))


def refuses(kind: type[Exception], message: str, make: Callable[[], Any]) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        make()


def expected(logits: Any, live: Any, sink: int, tables: Tables, prob_bits: int) -> list[list[int]]:
    """Each row with its sink as one more element, which is dropped."""
    config = SoftmaxConfig(
        tables=Tables(thresholds=tables.thresholds, exp_rom=tables.exp_rom), prob_bits=prob_bits
    )
    return [
        oracle.softmax_row([*map(int, row), sink], [*alive, True], config)[:-1]
        for row, alive in zip(logits, live, strict=True)
    ]


@pytest.mark.parametrize("sink", [-128, -90, -1, 0, 33, 126, 127])
@pytest.mark.parametrize("own", [False, True])
def test_a_sink_that_all_rows_share(sink: int, own: bool) -> None:
    """Of the configuration, or of its tables, which comes before; it equals the argument."""
    tables = Tables(thresholds=A.thresholds, exp_rom=A.exp_rom, sink=sink if own else None)
    config = SoftmaxConfig(tables=tables, sink=5 if own else sink, prob_bits=12)
    assert config.sinks == (sink,)
    rng = np.random.default_rng(sink + 200)
    logits = rng.integers(-128, 128, (60, 21))
    live = rng.random(logits.shape) < rng.choice([0, 0.1, 1], (60, 1))
    got = exaq.softmax(logits, config, live)
    assert got.tolist() == expected(logits, live, sink, tables, 12)
    without = config.replace(sink=None, tables=PLAIN)
    np.testing.assert_array_equal(got, exaq.softmax(logits, without, live, sink=sink))
    np.testing.assert_array_equal(
        exaq.quantize(logits, config, live), exaq.quantize(logits, without, live, sink=sink)
    )


def test_every_context_has_its_sink() -> None:
    config = SoftmaxConfig(contexts=3, sink=9, context_tables=(A, PLAIN, B))
    assert config.sinks == (-30, 9, 127)
    rng = np.random.default_rng(4)
    logits = rng.integers(-128, 128, (90, 17))
    live = rng.random(logits.shape) < 0.7
    contexts = rng.integers(0, 3, 90)
    got = exaq.softmax(logits, config, live, contexts)
    for number, (tables, sink) in enumerate([(A, -30), (PLAIN, 9), (B, 127)]):
        chosen = contexts == number
        want = expected(logits[chosen], live[chosen], sink, tables, 16)
        assert got[chosen].tolist() == want
    # Rows without a context go by the tables, and the sink, of context 0.
    np.testing.assert_array_equal(
        exaq.softmax(logits, config, live), exaq.softmax(logits, config, live, np.zeros(90, int))
    )


def test_row_results_count_the_sink() -> None:
    config = SoftmaxConfig(tables=PLAIN, sink=20, row_results="table", prob_bits=12)
    rng = np.random.default_rng(1)
    logits = rng.integers(-60, 60, (40, 9))
    live = rng.random(logits.shape) < 0.4
    live[0] = False
    found = exaq.row_results(logits, config, live)
    assert found.table is not None
    for row, alive, most, total, table in zip(
        logits, live, found.maximum, found.sum, found.table, strict=True
    ):
        taking = [*row[alive].tolist(), 20]
        assert most == max(taking)
        codes = oracle.code_row(taking, None, config.replace(sink=None))
        assert total == sum(PLAIN.exp_rom[code] for code in codes)
        quotients = [(e * 2**12 + int(total) // 2) // int(total) for e in PLAIN.exp_rom]
        assert table.tolist() == [min(each, 2**12 - 1) for each in quotients]


@pytest.mark.parametrize("max_row", [1, 3, 4, 64, 65, 1024])
@pytest.mark.parametrize("contexts", [0, 2])
def test_the_largest_sum_fits(max_row: int, contexts: int) -> None:
    """That of the longest row of largest exponentials, and of its sink."""
    largest = Tables(thresholds=(-3, -2, -1), exp_rom=(1, 1, 1, 2**14 - 1))
    config = SoftmaxConfig(lanes=1, max_row=max_row, tables=largest, contexts=0, sink=0)
    if contexts:
        config = SoftmaxConfig(lanes=1, max_row=max_row, contexts=contexts, sink=0)
    most = (max_row + 1) * (2**14 - 1)
    assert most < 2**config.sum_bits <= 4 * most
    assert config.sum_bits - config.replace(sink=None, tables=PLAIN, contexts=0).sum_bits in (0, 1)
    # Where no exponential is above 1 the sum is no wider for the sink.
    assert SoftmaxConfig(max_row=max_row, lanes=1, sink=0).sum_bits == max(
        SoftmaxConfig(max_row=max_row, lanes=1).sum_bits, ((max_row + 1) * 8192).bit_length()
    )


def test_loads_end_with_the_sink() -> None:
    config = SoftmaxConfig(contexts=3, sink=9)
    assert config.load_words(2, A) == [2, -40, -20, -5, 3, 90, 2000, 8192, -30]
    assert config.load_words(0, PLAIN) == [0, -40, -20, -5, 3, 90, 2000, 8192, 9]
    assert config.load_length == 9
    assert SoftmaxConfig(contexts=3).load_length == 8


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (ValueError, {"sink": 128}, "sink must be in -128..127, not 128"),
        (ValueError, {"sink": -129}, "sink must be in -128..127, not -129"),
        (TypeError, {"sink": 0.5}, "sink must be an integer, not 0.5"),
        (TypeError, {"sink": True}, "sink must be an integer, not True"),
        (
            ValueError,
            {"sink": -128, "mask_value": "lowest"},
            "sink must be in -127..127, not -128",
        ),
        (
            ValueError,
            {"tables": A},
            "tables with the sink -30 need a configuration that has a sink",
        ),
        (
            ValueError,
            {"contexts": 2, "context_tables": (PLAIN, A)},
            "tables with the sink -30 need a configuration that has a sink",
        ),
        (
            ValueError,
            {"tables": B, "sink": 1, "logit_width": 6},
            "the sink of tables must be in -32..31, not 127",
        ),
    ],
)
def test_refusals(kind: type[Exception], fields: dict[str, Any], message: str) -> None:
    refuses(kind, message, lambda: SoftmaxConfig(**fields))


def test_a_configuration_with_a_sink_takes_no_other() -> None:
    config = SoftmaxConfig(sink=3)
    message = "the configuration has a sink of its own, 3: give no other"
    refuses(ValueError, message, lambda: exaq.softmax([[1, 2]], config, sink=1))
    rows = Rows.of([[1, 2]], SoftmaxConfig().format, sink=1)
    message = "a unit has the sinks of its configuration, none for single rows"
    refuses(ValueError, message, lambda: rows.streamed(SoftmaxConfig().format))
    lowest = SoftmaxConfig(mask_value="lowest")
    message = "sink must be in -127..127, not -128"
    refuses(ValueError, message, lambda: exaq.softmax([[1, 2]], lowest, sink=-128))


def test_a_load_is_refused_in_words() -> None:
    message = "the sink of tables must be in -8..7, not -30"
    config = SoftmaxConfig(contexts=1, sink=0, logit_width=4)
    refuses(ValueError, message, lambda: config.load_words(0, A))
    message = "tables with the sink -30 need a configuration that has a sink"
    refuses(ValueError, message, lambda: SoftmaxConfig(contexts=1).load_words(0, A))


def test_a_configuration_as_json() -> None:
    for config in (
        SoftmaxConfig(sink=-7),
        SoftmaxConfig(tables=A, sink=0),
        SoftmaxConfig(contexts=2, sink=1, context_tables=(B, PLAIN)),
    ):
        written = json.loads(json.dumps(config.to_dict()))
        assert SoftmaxConfig.from_dict(written) == config
        assert SoftmaxConfig.from_dict(written).sinks == config.sinks
    assert "sink" not in SoftmaxConfig().to_dict()


def file_of(*sets: tuple[str, Tables]) -> TableFile:
    return TableFile(
        bits=2,
        logit_width=8,
        logit_scale=0.0625,
        exp_frac=13,
        sets=tuple(
            TableSet(name=name, tables=tables, layer=0, head=head)
            for head, (name, tables) in enumerate(sets)
        ),
    )


def test_files_keep_sinks(tmp_path: Path) -> None:
    """A file with sinks is of version 2, which older programs refuse; one without is of 1."""
    given = file_of(("a", A), ("plain", PLAIN), ("b", B))
    given.save(tmp_path / "t.json")
    assert TableFile.load(tmp_path / "t.json") == given
    document = json.loads((tmp_path / "t.json").read_text())
    assert document["version"] == 2
    assert [entry.get("sink") for entry in document["sets"]] == [-30, None, 127]
    assert "sink" not in document["sets"][1]
    assert file_of(("plain", PLAIN)).to_dict()["version"] == 1
    # Of version 2 sinks may be absent.
    assert TableFile.from_dict(file_of(("plain", PLAIN)).to_dict() | {"version": 2}).sets[0].tables
    old = document | {"version": 1}
    fields = "clip, exp_rom, head, layer, name, statistics, thresholds"
    message = f"a set of tables has just the fields {fields}; see sink"
    refuses(ValueError, message, lambda: TableFile.from_dict(old))
    for version in (0, 3, True, 1.0, "2"):
        message = f"version must be in 1..2, not {version!r}"
        damaged = document | {"version": version}
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            TableFile.from_dict(damaged)
    document["sets"][0]["sink"] = 200
    message = "set 'a': sink must be in -128..127, not 200"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TableFile.from_dict(document)
    document["sets"][0]["sink"] = 1.5
    message = "set 'a': sink must be an integer, not 1.5"
    refuses(ValueError, message, lambda: TableFile.from_dict(document))
    document["sets"][0]["sink"] = "low"
    message = "set 'a': sink must be a real number, not 'low'"
    refuses(ValueError, message, lambda: TableFile.from_dict(document))


def test_configurations_of_files_have_their_sinks() -> None:
    both = file_of(("a", A), ("b", B))
    assert both.config().sinks == (-30, 127)
    assert both.config("b").sinks == (127,)
    assert both.config(contexts=3).sinks == (-30, 127, -30)
    assert both.config("b", sink=127).sinks == (127,)
    assert file_of(("plain", PLAIN)).config(sink=4).sinks == (4,)
    assert file_of(("plain", PLAIN)).config().sinks == ()
    mixed = file_of(("a", A), ("plain", PLAIN))
    message = "set 'plain' has no sink, but others have: give it one by sink"
    refuses(ValueError, message, mixed.config)
    assert mixed.config(sink=6).sinks == (-30, 6)
    assert mixed.config("plain").sinks == ()
    message = "set 'b' has the sink 127, not 4"
    refuses(ValueError, message, lambda: both.config("b", sink=4))
