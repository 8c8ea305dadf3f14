"""exaq calibrate: tables.json from files, and what it refuses."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from run_exaq import refusal, run_exaq

import exaq

RNG = np.random.default_rng(0)
ARRAYS: dict[str, NDArray[Any]] = {
    "first": RNG.normal(0, 2, (3, 2, 4, 20)).astype(np.float32),
    "second": RNG.normal(0, 1, (3, 2, 4, 20)),
    "integers": RNG.integers(-100, 100, (6, 20)).astype(np.int8),
    "mask": RNG.random((3, 1, 4, 20)) < 0.7,
    "lengths": RNG.integers(0, 21, (3, 1, 1)),
    "other_mask": np.ones(20, bool),
    "nan": np.array([[0.0, np.nan]]),
    "inf": np.array([[0.0, np.inf]]),
    "masked": np.full((2, 3), -np.inf),
    "wide": np.array([[0, 128]]),
    "complex": np.ones((2, 4), np.complex64),
    "boolean": np.zeros((2, 4), bool),
    "objects": np.array([{}, {}]),
    "scalar": np.array(3.0),
    "empty": np.zeros((0, 8)),
    "narrow_mask": np.ones((3, 19), bool),
    "number_mask": np.ones(20, np.uint8),
    "long_lengths": np.array([3, 21]),
    "two_lengths": np.array([[3, 4]]),
    "float_lengths": np.array([3.0]),
}
# Logits of other spread in each layer, and masks that leave out another element in each.
LAYERS = (0, 1, 4, 10, 11)
SPREADS = {k: np.random.default_rng(k).normal(0, 1 + k, (2, 4, 12)) for k in LAYERS}
MASKS = {k: np.arange(12) != k for k in LAYERS}
NUMBERED: dict[str, NDArray[Any]] = {
    **{f"layer{k}.npy": SPREADS[k] for k in LAYERS},
    "bert.layer04.v2.npy": SPREADS[4],
    "encoder.layers.10.scores.npy": SPREADS[10],
    "Layer_1.npy": SPREADS[1],
    "player7.npy": SPREADS[0],
    "layer1.layer2.npy": SPREADS[1],
    **{f"mask-layer{k}.npy": MASKS[k] for k in LAYERS},
    **{f"mask_{k}.npy": MASKS[k] for k in LAYERS},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, array in ARRAYS.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "text.npy").write_text("logits")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "first.npy").read_bytes()[:-7])
    for name, content in NUMBERED.items():
        np.save(tmp_path / name, content)
    return tmp_path


REFUSALS = {
    "missing.npy -o t.json": "cannot read missing.npy: No such file or directory",
    "text.npy -o t.json": "text.npy is not a .npy file",
    "cut.npy -o t.json": "cut.npy is damaged: not a whole .npy file",
    "objects.npy -o t.json": "objects.npy must hold numbers, not Python objects",
    "complex.npy -o t.json": "complex.npy must hold integer or float values, not complex64",
    "boolean.npy -o t.json": "boolean.npy must hold integer or float values, not bool",
    "scalar.npy -o t.json": "scalar.npy holds a single value; its last axis must be the row",
    "empty.npy -o t.json": "empty.npy is empty: its shape is (0, 8)",
    "first.npy nan.npy -o t.json": "nan.npy: live logits must be finite, not nan",
    "inf.npy -o t.json": "inf.npy: live logits must be finite, not inf",
    "first.npy masked.npy -o t.json": "masked.npy: there is no live element to calibrate on",
    "masked.npy -o t.json --per all": (
        "all layers together: there is no live element to calibrate on"
    ),
    "wide.npy -o t.json": "wide.npy: logits of 8 bits must be in -128..127, not 128",
    "first.npy": "Missing option '-o' / '--out'.",
    "-o t.json": "Missing argument 'LOGITS.npy ...'.",
    "first.npy -o first.npy/t.json": "cannot write first.npy/t.json: Not a directory",
    "first.npy -o t.json --rule best": (
        "Invalid value for '--rule': 'best' is not one of 'paper', 'naive', 'optimal'."
    ),
    "first.npy -o t.json --bits 7": "bits must be in 2..6, not 7",
    "first.npy -o t.json --bits 5 --rule paper": (
        "the rule paper is for 2 to 4 bits, not for 5; naive and optimal take all"
    ),
    "first.npy -o t.json --minimise values": (
        "Invalid value for '--minimise': 'values' is not one of 'mse', 'kl'."
    ),
    "first.npy -o t.json --average-bits 1.5": "--average-bits must be at least 2, not 1.5",
    "first.npy -o t.json --average-bits 2.5 --bits 2": "give --bits or --average-bits, not both",
    "first.npy -o t.json --average-bits nan": "average_bits must be finite, not nan",
    "layer1.2bit.npy -o layer1.npy --average-bits 2": (
        "cannot read layer1.2bit.npy: No such file or directory"
    ),
    "first.npy -o t.json --logit-scale nan": "logit_scale must be finite, not nan",
    "first.npy -o t.json --per head --head-axis -1": (
        "first.npy: head_axis must be one of the axes before the row, "
        "not -1 of the shape (3, 2, 4, 20)"
    ),
    "first.npy -o t.json --mask mask.npy --lengths lengths.npy": (
        "give --mask or --lengths, not both"
    ),
    "first.npy second.npy first.npy -o t.json --mask mask.npy --mask mask.npy": (
        "--mask must be given once or 3 times, not 2 times"
    ),
    "first.npy -o t.json --lengths lengths.npy --lengths lengths.npy": (
        "--lengths must be given once, not 2 times"
    ),
    "layer4.npy layer1.npy bert.layer04.v2.npy -o t.json": (
        "layer4.npy and bert.layer04.v2.npy are both layer 4: give one of them"
    ),
    "layer1.npy first.npy -o t.json": (
        "layer1.npy names a layer, first.npy none: name one in all files, or in none"
    ),
    "first.npy layer1.npy -o t.json": (
        "layer1.npy names a layer, first.npy none: name one in all files, or in none"
    ),
    "layer1.layer2.npy -o t.json": "layer1.layer2.npy names more than one layer: 1, 2",
    "layer1.npy layer4.npy -o t.json --mask mask-layer1.npy --mask mask-layer0.npy": (
        "--mask must be given for just the layers of logits; see layer 0"
    ),
    "layer1.npy layer4.npy -o t.json --mask mask-layer1.npy --mask mask_4.npy": (
        "mask-layer1.npy names a layer, mask_4.npy none: name one in all files, or in none"
    ),
    "layer4.npy -o layer4.npy": "cannot write layer4.npy: the command reads it",
    "first.npy -o mask.npy --mask mask.npy": "cannot write mask.npy: the command reads it",
    "first.npy -o t.json --scheduler somewhere": (
        "Invalid value for '--scheduler': 'somewhere' is neither local nor an address such as "
        "tcp://host:8786"
    ),
    "first.npy -o t.json --mask narrow_mask.npy": (
        "narrow_mask.npy has the shape (3, 19), which does not fit (3, 2, 4, 20) of first.npy"
    ),
    "first.npy -o t.json --mask number_mask.npy": (
        "number_mask.npy must hold boolean values, not uint8"
    ),
    "first.npy -o t.json --lengths float_lengths.npy": (
        "float_lengths.npy must hold integer values, not float64"
    ),
    "first.npy -o t.json --lengths long_lengths.npy": (
        "long_lengths.npy: lengths must be in 0..20, not 21"
    ),
    "first.npy -o t.json --lengths two_lengths.npy": (
        "two_lengths.npy has the shape (1, 2), which does not fit (3, 2, 4) of first.npy"
    ),
}


@pytest.mark.parametrize("line", list(REFUSALS))
def test_refuses(folder: Path, line: str) -> None:
    assert refusal("calibrate", *shlex.split(line), folder=folder) == REFUSALS[line]


def test_writes_what_the_library_makes(folder: Path) -> None:
    done = run_exaq(
        *shlex.split("calibrate first.npy second.npy -o t.json --per head --bits 3"),
        *shlex.split("--mask mask.npy --mask other_mask.npy --minimise kl --logit-width 12"),
        *shlex.split("--logit-scale 0.01 --exp-frac 12"),
        folder=folder,
    )
    assert (done.returncode, done.stderr) == (0, "")
    file = exaq.TableFile.load(folder / "t.json")
    expected = exaq.calibrate(
        [ARRAYS["first"], ARRAYS["second"]],
        masks=[ARRAYS["mask"], ARRAYS["other_mask"]],
        per="head",
        bits=3,
        minimise="kl",
        logit_width=12,
        logit_scale=0.01,
        exp_frac=12,
    )
    assert file.sets == expected.sets
    layers = file.provenance["layers"]
    assert [entry.pop("file") for entry in layers] == ["first.npy", "second.npy"]
    assert [entry.pop("mask") for entry in layers] == ["mask.npy", "other_mask.npy"]
    assert file.provenance == expected.provenance
    lines = done.stdout.splitlines()
    assert lines[0].split() == [
        "set", "file", "rows", "sigma", "clip", "MSE", "KL", "thresholds", "exponentials"
    ]  # fmt: skip
    assert len(lines) == len(file.sets) + 2
    for line, entry in zip(lines[1:], file.sets, strict=False):
        tables = entry.tables
        assert line.split()[:2] == [entry.name, "second.npy" if entry.layer else "first.npy"]
        assert line.endswith(" ".join(map(str, tables.exp_rom)))
        assert "  " + " ".join(map(str, tables.thresholds)) + "  " in line
        before, after = entry.statistics["stages"]["paper"]["kl"], entry.statistics["kl"]
        assert f"{before:.3g} -> {after:.3g}" in line
        assert after < before
    assert lines[-1] == "Written: t.json, 4 sets of tables"


def test_layers_are_numbered_by_the_names_of_their_files(folder: Path) -> None:
    """In a shell's order of names, which puts 10 before 4; masks follow, whatever their order."""
    files = ["Layer_1.npy", "encoder.layers.10.scores.npy", "layer11.npy", "bert.layer04.v2.npy"]
    numbers = [1, 10, 11, 4]
    for masks in (
        [f"mask_{k}.npy" for k in numbers],
        [f"mask-layer{k}.npy" for k in (11, 4, 10, 1)],
    ):
        options = [word for mask in masks for word in ("--mask", mask)]
        arguments = [*files, "-o", "t.json", "--rule", "paper", *options]
        done = run_exaq("calibrate", *arguments, folder=folder)
        assert (done.returncode, done.stderr) == (0, "")
        expected = exaq.calibrate(
            {k: SPREADS[k] for k in numbers}, masks={k: MASKS[k] for k in numbers}, rule="paper"
        )
        file = exaq.TableFile.load(folder / "t.json")
        assert file.sets == expected.sets
        assert len({entry.tables for entry in file.sets}) == 4
        by_number = dict(zip(numbers, files, strict=True))
        assert [line.split()[:2] for line in done.stdout.splitlines()[1:-1]] == [
            [f"layer{k}", by_number[k]] for k in sorted(numbers)
        ]
        named = dict(
            zip(numbers if masks[0] == "mask_1.npy" else (11, 4, 10, 1), masks, strict=True)
        )
        assert [
            (entry["layer"], entry["file"], entry["mask"]) for entry in file.provenance["layers"]
        ] == [(k, by_number[k], named[k]) for k in sorted(numbers)]


def test_files_without_numbers_are_layers_in_the_order_given(folder: Path) -> None:
    line = "calibrate player7.npy integers.npy first.npy -o t.json --rule paper --per"
    done = run_exaq(*shlex.split(line), "layer", folder=folder)
    assert [row.split()[:2] for row in done.stdout.splitlines()[1:-1]] == [
        ["layer0", "player7.npy"],
        ["layer1", "integers.npy"],
        ["layer2", "first.npy"],
    ]
    expected = exaq.calibrate([SPREADS[0], ARRAYS["integers"], ARRAYS["first"]], rule="paper")
    assert exaq.TableFile.load(folder / "t.json").sets == expected.sets
    done = run_exaq(*shlex.split(line), "all", folder=folder)
    assert done.stdout.splitlines()[1].startswith("all  3 files  ")


def test_an_error_names_the_file_of_the_layer(folder: Path) -> None:
    np.save(folder / "nan.layer5.npy", ARRAYS["nan"])
    line = "calibrate layer11.npy nan.layer5.npy -o t.json"
    message = "nan.layer5.npy: live logits must be finite, not nan"
    assert refusal(*shlex.split(line), folder=folder) == message


def test_lengths_are_masks_from_the_left(folder: Path) -> None:
    rule = shlex.split("--rule paper --lengths lengths.npy")
    done = run_exaq("calibrate", "first.npy", "-o", "t.json", *rule, folder=folder)
    assert done.returncode == 0
    live = np.arange(20) < ARRAYS["lengths"][..., None]
    expected = exaq.calibrate([ARRAYS["first"]], masks=[live], rule="paper")
    file = exaq.TableFile.load(folder / "t.json")
    assert file.sets == expected.sets
    assert file.provenance["layers"][0]["lengths"] == "lengths.npy"
    figures = done.stdout.splitlines()[1].split()
    assert figures[0] == "layer0"
    assert "->" not in figures


def test_workers_make_the_same_file_with_the_same_words(folder: Path) -> None:
    """Warnings and the table that is printed, too; and an error names the file as ever."""
    gap = ARRAYS["second"].copy()
    gap[0, 0, 0, 0] = -150
    np.save(folder / "gap.npy", gap)
    line = "calibrate first.npy gap.npy second.npy -o t.json --per head --stage clip"
    runs = []
    for more in ([], ["--scheduler", "local"]):
        done = run_exaq(*shlex.split(line), *more, folder=folder)
        assert done.returncode == 0, done.stderr
        runs.append((done.stdout, done.stderr, (folder / "t.json").read_bytes()))
        (folder / "t.json").unlink()
    assert runs[0] == runs[1]
    assert runs[0][1].startswith("exaq: warning: gap.npy, head 0: 1 scores, the highest -150, are ")
    line = "calibrate first.npy nan.npy second.npy -o t.json --scheduler local"
    message = "nan.npy: live logits must be finite, not nan"
    assert refusal(*shlex.split(line), folder=folder) == message


def test_one_set_of_all_files_and_the_same_file_twice(folder: Path) -> None:
    texts = []
    for name in ("a.json", "b.json"):
        line = f"calibrate integers.npy -o {name} --per all --logit-scale 0.03125"
        assert run_exaq(*shlex.split(line), folder=folder).returncode == 0
        texts.append((folder / name).read_bytes())
    assert texts[0] == texts[1]
    (entry,) = exaq.TableFile.load(folder / "a.json").sets
    assert (entry.name, entry.statistics["rows"]) == ("all", 6)


def test_bits_are_shared_out_and_each_unit_has_its_file(folder: Path) -> None:
    line = "calibrate layer0.npy layer4.npy -o t.json --per head --average-bits 2.75"
    done = run_exaq(*shlex.split(line), folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    whole = exaq.TableFile.load(folder / "t.json")
    arrays = {k: SPREADS[k] for k in (0, 4)}
    files = [exaq.calibrate(arrays, bits=bits, per="head", head_axis=-3) for bits in (2, 3, 4)]
    wanted = exaq.share_bits(files, 2.75)
    assert [entry.tables for entry in whole.sets] == [entry.tables for entry in wanted.sets]
    assert whole.provenance["average_bits"] == wanted.provenance["average_bits"] <= 2.75
    units = wanted.by_bits()
    assert len(units) > 1
    assert sorted(path.name for path in folder.glob("t.*")) == [
        *(f"t.{bits}bit.json" for bits in units),
        "t.json",
    ]
    for bits, unit in units.items():
        found = exaq.TableFile.load(folder / f"t.{bits}bit.json")
        assert (found.bits, found.sets) == (bits, unit.sets)
        assert f"Written: t.{bits}bit.json, for a unit of {bits} bits" in done.stdout


def test_the_command_line_is_the_function(folder: Path) -> None:
    done = run_exaq("calibrate", "integers.npy", "-o", "t.json", "--rule", "naive", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    (entry,) = exaq.TableFile.load(folder / "t.json").sets
    assert entry.tables == exaq.calibrate([ARRAYS["integers"]], rule="naive").sets[0].tables
    assert f"{entry.clip:.4g}" in done.stdout


def test_help_names_every_option(tmp_path: Path) -> None:
    done = run_exaq("calibrate", "--help", folder=tmp_path)
    assert done.returncode == 0
    for option in (
        "--rule",
        "--minimise",
        "--per",
        "--head-axis",
        "--mask",
        "--lengths",
        "--scheduler",
        "--average-bits",
    ):
        assert option in done.stdout
    assert "calibrate" in run_exaq("--help", folder=tmp_path).stdout
