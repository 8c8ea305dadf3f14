"""Sinks on the command line: an option, and sets of a file of tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from run_exaq import refusal, run_exaq

import exaq
from exaq import SoftmaxConfig, TableFile, Tables, TableSet


def with_sink(sink: int | None, clip: float = -5.0) -> Tables:
    tables = SoftmaxConfig(clip=clip).tables
    return Tables(thresholds=tables.thresholds, exp_rom=tables.exp_rom, sink=sink)


def save(path: Path, *sinks: int | None) -> None:
    TableFile(
        bits=2,
        logit_width=8,
        logit_scale=0.0625,
        exp_frac=13,
        sets=tuple(
            TableSet(name=f"set{k}", tables=with_sink(sink, -3.0 - k))
            for k, sink in enumerate(sinks)
        ),
    ).save(path)


def test_the_command_line_takes_sinks(tmp_path: Path) -> None:
    """Of an option, and of a file; summary, manifest and C header tell of them."""
    done = run_exaq("generate", "--sink", "20", "-o", "a.v", folder=tmp_path)
    assert "clip -5.17, sink 20; 4 lanes" in done.stdout
    assert json.loads((tmp_path / "a.json").read_text())["sinks"] == [20]
    save(tmp_path / "t.json", -7, 9)
    done = run_exaq("generate", "--tables", "t.json", "-o", "b.v", folder=tmp_path)
    assert "tables of their own in 2 contexts, sinks of their own; 4 lanes" in done.stdout
    manifest = json.loads((tmp_path / "b.json").read_text())
    assert manifest["sinks"] == [-7, 9]
    assert manifest["contexts"]["refused_bits"][-1] == "sink"
    assert "EXAQ_SOFTMAX_CODES_SINKS_VALUE 0x1u" in (tmp_path / "b.h").read_text()
    done = run_exaq(
        "generate", "--tables", "t.json", "--tables-name", "set0", "-o", "c.v", folder=tmp_path
    )
    assert json.loads((tmp_path / "c.json").read_text())["sinks"] == [-7]
    logits = np.random.default_rng(1).integers(-60, 60, (7, 33))
    np.save(tmp_path / "x.npy", logits)
    run_exaq(
        "simulate", "x.npy", "-o", "p.npy", "--sink", "20", "--engine", "golden", folder=tmp_path
    ).check_returncode()
    np.testing.assert_array_equal(
        np.load(tmp_path / "p.npy"), exaq.softmax(logits, SoftmaxConfig(sink=20))
    )


def test_sets_with_and_without_a_sink_need_one(tmp_path: Path) -> None:
    save(tmp_path / "mixed.json", -7, None)
    message = refusal("generate", "--tables", "mixed.json", "-o", "a.v", folder=tmp_path)
    assert message == "set 'set1' has no sink, but others have: give it one by sink"
    run_exaq("generate", "--tables", "mixed.json", "--sink", "3", "-o", "a.v", folder=tmp_path)
    assert json.loads((tmp_path / "a.json").read_text())["sinks"] == [-7, 3]
    options = ["--tables", "mixed.json", "--tables-name", "set0", "--sink", "3"]
    message = refusal("generate", *options, "-o", "b.v", folder=tmp_path)
    assert message == "set 'set0' has the sink -7, not 3"
