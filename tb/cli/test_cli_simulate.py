"""What ``exaq simulate`` refuses; what it computes is shown in tb/cosim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_exaq import refusal, run_exaq

from exaq import PRESETS, SoftmaxConfig, TableFile, Tables, TableSet, softmax

FILES: dict[str, Any] = {
    "logits": np.arange(60, dtype=np.int8).reshape(3, 20),
    "nan": np.array([[0.5, np.nan]]),
    "inf": np.array([[np.inf, 0.5]], np.float32),
    "complex": np.zeros((2, 4), np.complex64),
    "boolean": np.zeros((2, 4), bool),
    "objects": np.array([{}, {}]),
    "scalar": np.array(3),
    "empty": np.zeros((0, 8), np.int8),
    "wide": np.array([[0, 128]]),
    "long": np.zeros((1, 1025), np.int8),
    "two_lengths": np.array([1, 2]),
    "long_lengths": np.array([1, 2, 21]),
    "no_length": np.array([1, 0, 2]),
    "float_lengths": np.array([1.0, 2.0, 3.0]),
    "narrow_mask": np.ones((3, 19), bool),
    "number_mask": np.ones((3, 20), np.uint8),
    "mask": np.ones(20, bool),
    "row": np.arange(20, dtype=np.int8),
    "windows": np.array([0, 20]),
    "edge": np.zeros((3, 1), np.int8),
    "three": np.zeros((3, 3), np.int8),
    "two_windows": np.array([[0, 3], [1, 4]]),
    "long_windows": np.array([[0, 3], [1, 21], [0, 1]]),
    "early_windows": np.array([[0, 3], [-1, 2], [0, 1]]),
    "float_windows": np.array([0.0, 2.0]),
    "of_rows": np.array([0, 1, 0]),
    "of_more_rows": np.array([0, 1, 0, 1]),
    "beyond": np.array([0, 1, 2]),
    "below": np.array([0, -1, 0]),
    "float_contexts": np.array([0.0, 1.0, 0.0]),
}
# Sets of tables in the files that have their number in the name.
SETS = [
    TableSet(name=name, tables=Tables(thresholds=(-9, -4, top), exp_rom=(1, 2, 3, 8192)))
    for name, top in (("low", -1), ("high", 0))
]
FINITE = "all values must be finite, or -inf where masked"
NO_CONTEXTS = " needs a unit with contexts: give --contexts, or --tables with several sets"

REFUSALS = {
    "missing.npy -o p.npy": "cannot read missing.npy: No such file or directory",
    "text.npy -o p.npy": "text.npy is not a .npy file",
    "nan.npy -o p.npy": f"nan.npy holds nan at [0, 1]; {FINITE}",
    "inf.npy -o p.npy": f"inf.npy holds inf at [0, 0]; {FINITE}",
    "complex.npy -o p.npy": "complex.npy must hold integer or float values, not complex64",
    "boolean.npy -o p.npy": "boolean.npy must hold integer or float values, not bool",
    "objects.npy -o p.npy": "objects.npy must hold numbers, not Python objects",
    "scalar.npy -o p.npy": "scalar.npy holds a single value; its last axis must be the row",
    "empty.npy -o p.npy": "empty.npy is empty: its shape is (0, 8)",
    "wide.npy -o p.npy": "logits of 8 bits must be in -128..127, not 128",
    "long.npy -o p.npy": "a row must have 1..1024 elements, not 1025",
    "logits.npy": "Missing option '-o' / '--out'.",
    "logits.npy -o text.npy/p.npy": "cannot write text.npy/p.npy: Not a directory",
    "logits.npy -o new/p.npy --json text.npy/a/p.json": (
        "cannot write text.npy/a/p.json: Not a directory"
    ),
    "logits.npy -o p.npy --json p.npy": (
        "cannot write p.npy: two outputs of one command have that name"
    ),
    "logits.npy -o p.npy --lengths two_lengths.npy": (
        "two_lengths.npy has the shape (2,), which does not fit (3,)"
    ),
    "logits.npy -o p.npy --lengths long_lengths.npy": "lengths must be in 1..20, not 21",
    "logits.npy -o p.npy --lengths no_length.npy": "lengths must be in 1..20, not 0",
    "logits.npy -o p.npy --lengths float_lengths.npy": (
        "float_lengths.npy must hold integer values, not float64"
    ),
    "logits.npy -o p.npy --mask narrow_mask.npy": (
        "narrow_mask.npy has the shape (3, 19), which does not fit (3, 20)"
    ),
    "logits.npy -o p.npy --mask number_mask.npy": (
        "number_mask.npy must hold boolean values, not uint8"
    ),
    "logits.npy -o p.npy --windows windows.npy --causal": "give --windows or --causal, not both",
    "row.npy -o p.npy --causal": (
        "--causal needs logits of shape (..., queries, keys), but row.npy has (20,)"
    ),
    "logits.npy -o p.npy --windows edge.npy": (
        "edge.npy must have a last axis of 2, start and stop, but has the shape (3, 1)"
    ),
    "logits.npy -o p.npy --windows three.npy": (
        "three.npy has the shape (3, 3), which does not fit (3, 2)"
    ),
    "logits.npy -o p.npy --windows two_windows.npy": (
        "two_windows.npy has the shape (2, 2), which does not fit (3, 2)"
    ),
    "logits.npy -o p.npy --windows long_windows.npy": "stops of windows must be in 0..20, not 21",
    "logits.npy -o p.npy --windows early_windows.npy": "starts of windows must be in 0..20, not -1",
    "logits.npy -o p.npy --windows float_windows.npy": (
        "float_windows.npy must hold integer values, not float64"
    ),
    "logits.npy -o p.npy --preset 5bit": (f"unknown preset '5bit'; there are {', '.join(PRESETS)}"),
    "logits.npy -o p.npy --lanes 65": "lanes must be in 1..64, not 65",
    "logits.npy -o p.npy --sigma 1 --clip -3": "give --sigma or --clip, not both",
    "logits.npy -o p.npy --engine c": "Invalid value for '--engine': 'c' is not one of 'rtl', "
    "'golden'.",
    "logits.npy -o p.npy --tables none.json": "cannot read none.json: No such file or directory",
    "logits.npy -o p.npy --tables text.npy": ("text.npy is no file of tables: line 1 is not JSON"),
    "logits.npy -o p.npy --tables tables1.json --clip -3": "give --clip or --tables, not both",
    "logits.npy -o p.npy --tables tables2.json --contexts 1": (
        "2 sets of tables need 2..1024 contexts, not 1; or choose one set"
    ),
    "logits.npy -o p.npy --tables tables2.json --tables-name all": (
        "there are no tables 'all'; there are low, high"
    ),
    "logits.npy -o p.npy --tables tables2.json": (
        "the 2 contexts hold different tables: give --contexts-of, the context of each row"
    ),
    "logits.npy -o p.npy --tables tables1.json --json tables1.json": (
        "cannot write tables1.json: the command reads it"
    ),
    "logits.npy -o p.npy --contexts-of of_rows.npy": f"--contexts-of{NO_CONTEXTS}",
    "logits.npy -o p.npy --tables tables1.json --contexts-of of_rows.npy": (
        f"--contexts-of{NO_CONTEXTS}"
    ),
    "logits.npy -o p.npy --load": f"--load{NO_CONTEXTS}",
    "logits.npy -o p.npy --tables tables1.json --load": f"--load{NO_CONTEXTS}",
    "logits.npy -o p.npy --tables tables2.json --contexts-of beyond.npy": (
        "contexts must be in 0..1, not 2"
    ),
    "logits.npy -o p.npy --contexts 2 --contexts-of below.npy": (
        "contexts must be in 0..1, not -1"
    ),
    "logits.npy -o p.npy --contexts 2 --contexts-of of_more_rows.npy": (
        "of_more_rows.npy has the shape (4,), which does not fit (3,)"
    ),
    "logits.npy -o p.npy --contexts 2 --contexts-of float_contexts.npy": (
        "float_contexts.npy must hold integer values, not float64"
    ),
    "logits.npy -o p.npy --contexts 2 --load --engine golden": (
        "--load needs --engine rtl: the golden model has no cycles"
    ),
    "logits.npy -o p.npy --results r.npz": (
        "--results needs a unit with row results: give --row-results sum or table"
    ),
    "logits.npy -o p.npy --output codes --float-output": (
        "--float-output needs a unit that gives probabilities, not codes"
    ),
    "logits.npy -o p.npy --output codes --results p.npy": (
        "cannot write p.npy: two outputs of one command have that name"
    ),
    "logits.npy -o p.npy --output codes --row-results none": (
        "a unit that gives codes has row_results sum or table, not none"
    ),
    "logits.npy -o logits.npy": "cannot write logits.npy: the command reads it",
    "logits.npy -o mask.npy --mask mask.npy": "cannot write mask.npy: the command reads it",
    "logits.npy -o windows.npy --windows windows.npy": (
        "cannot write windows.npy: the command reads it"
    ),
    "logits.npy -o p.npy --contexts 2 --contexts-of of_rows.npy --json of_rows.npy": (
        "cannot write of_rows.npy: the command reads it"
    ),
    "logits.npy -o p.npy --engine golden --seed 5": (
        "--seed needs --engine rtl: the golden model has no cycles"
    ),
    "logits.npy -o p.npy --engine golden --waves w.vcd": (
        "--waves needs --engine rtl: the golden model has no cycles"
    ),
}

# Only found when the unit is compiled.
LATE_REFUSALS = {
    "logits.npy -o p.npy --waves text.npy/w.vcd": "cannot write text.npy/w.vcd: Not a directory",
    "logits.npy -o p.npy --waves p.npy": (
        "cannot write p.npy: two outputs of one command have that name"
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, array in FILES.items():
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=True)
    (tmp_path / "text.npy").write_text("1, 2, 3\n", encoding="utf-8")
    for count in (1, 2):
        file = TableFile(
            bits=2, logit_width=8, logit_scale=0.0625, exp_frac=13, sets=tuple(SETS[:count])
        )
        file.save(tmp_path / f"tables{count}.json")
    return tmp_path


def test_a_unit_for_a_chip(tmp_path: Path) -> None:
    logits = np.random.default_rng(3).integers(-128, 128, (9, 40))
    np.save(tmp_path / "logits.npy", logits)
    options = ["--target", "asic", "--ram", "single-port", "--ram-latency", "2", "--max-row", "64"]
    done = run_exaq("simulate", "logits.npy", "-o", "p.npy", *options, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Mismatches          0 against the golden model" in done.stdout
    wanted = softmax(logits, SoftmaxConfig(max_row=64))
    assert (np.load(tmp_path / "p.npy") == wanted).all()


def test_a_target_is_of_the_rtl_and_of_a_softmax(tmp_path: Path) -> None:
    np.save(tmp_path / "l.npy", np.zeros((1, 4), np.int64))
    target = ("--target", "asic")
    message = refusal(
        "simulate", "l.npy", "-o", "p.npy", "--engine", "golden", *target, folder=tmp_path
    )
    assert message == "--target needs --engine rtl: the golden model has no cycles"
    arrays = ["l.npy"] * 3
    message = refusal(
        "simulate", *arrays, "-o", "p.npy", "--unit", "attention", *target, folder=tmp_path
    )
    assert message == "--target asic is for --unit softmax alone"


@pytest.mark.parametrize("line", REFUSALS)
def test_refusals(line: str, folder: Path) -> None:
    assert refusal("simulate", *line.split(), folder=folder) == REFUSALS[line]


@pytest.mark.simulator
@pytest.mark.parametrize("line", LATE_REFUSALS)
def test_refusals_of_the_compiled_unit(line: str, folder: Path) -> None:
    assert refusal("simulate", *line.split(), folder=folder) == LATE_REFUSALS[line]


@pytest.mark.parametrize("stall", ["1", "-0.1", "nan"])
def test_stall_that_is_no_probability_is_refused(stall: str, folder: Path) -> None:
    message = refusal("simulate", "logits.npy", "-o", "p.npy", "--stall", stall, folder=folder)
    assert "stall" in message


def test_existing_output_stays_after_a_refusal(folder: Path) -> None:
    (folder / "p.npy").write_bytes(b"precious")
    refusal("simulate", "wide.npy", "-o", "p.npy", folder=folder)
    assert (folder / "p.npy").read_bytes() == b"precious"
