"""``exaq generate``: what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from run_exaq import refusal, run_exaq

from exaq import PRESETS, SoftmaxConfig, paper_clip

# A configuration in options, and the same in the library's words.
CONFIGURATIONS = {
    "default": ([], SoftmaxConfig()),
    "preset": (["--preset", "2bit-x1"], SoftmaxConfig.preset("2bit-x1")),
    "preset overridden": (
        ["--preset", "2bit-x1", "--max-row", "64", "--no-masking"],
        SoftmaxConfig.preset("2bit-x1", max_row=64, masking=False),
    ),
    "sigma": (
        ["--bits", "3", "--sigma", "1.5"],
        SoftmaxConfig(bits=3, clip=paper_clip(1.5, 3)),
    ),
    "sigma on preset": (
        ["--preset", "3bit-x4", "--sigma", "1.5"],
        SoftmaxConfig.preset("3bit-x4", clip=paper_clip(1.5, 3)),
    ),
    "every option": (
        [
            *("--bits", "2", "--lanes", "2", "--logit-width", "10", "--logit-scale", "0.125"),
            *("--clip", "-4.5", "--max-row", "32", "--prob-bits", "12", "--exp-frac", "9"),
            *("--group", "1", "--masking", "--full-rate-row", "20"),
        ],
        SoftmaxConfig(
            bits=2,
            lanes=2,
            logit_width=10,
            logit_scale=0.125,
            clip=-4.5,
            max_row=32,
            prob_bits=12,
            exp_frac=9,
            group=1,
            masking=True,
            full_rate_row=20,
        ),
    ),
}


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_options_make_the_configuration(case: str, tmp_path: Path) -> None:
    options, config = CONFIGURATIONS[case]
    done = run_exaq("generate", *options, "-o", "unit.v", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["unit.json", "unit.v"]
    manifest = json.loads((tmp_path / "unit.json").read_text(encoding="utf-8"))
    assert SoftmaxConfig.from_dict(manifest["config"]) == config
    assert (manifest["name"], manifest["top"]) == ("exaq_softmax", "axi")
    assert "\nmodule exaq_softmax(" in (tmp_path / "unit.v").read_text(encoding="utf-8")


def test_same_text_every_time(tmp_path: Path) -> None:
    texts = []
    for name in ("once", "again"):
        run_exaq("generate", "-o", f"{name}.v", folder=tmp_path).check_returncode()
        texts.append([(tmp_path / f"{name}.{end}").read_bytes() for end in ("v", "json")])
    assert texts[0] == texts[1]


def test_core_top_under_a_name(tmp_path: Path) -> None:
    done = run_exaq(
        "generate", "--top", "core", "--name", "attention", "-o", "unit.v", folder=tmp_path
    )
    assert done.returncode == 0
    manifest = json.loads((tmp_path / "unit.json").read_text(encoding="utf-8"))
    assert (manifest["name"], manifest["top"]) == ("attention", "core")
    assert {"clk", "rst"} <= {port["name"] for port in manifest["ports"]}
    assert "\nmodule attention(" in (tmp_path / "unit.v").read_text(encoding="utf-8")


def test_summary_names_files_and_latency(tmp_path: Path) -> None:
    done = run_exaq("generate", "-o", "unit.v", folder=tmp_path)
    manifest = json.loads((tmp_path / "unit.json").read_text(encoding="utf-8"))
    assert done.stdout.splitlines() == [
        "Verilog        unit.v, top module exaq_softmax",
        "Description    unit.json",
        "Configuration  2 bits, clip -5.17; 4 lanes, masking; rows up to 1024 elements",
        "Logits         8-bit integers in steps of 0.0625",
        "Probabilities  16-bit fractions",
        "LUT_sum        256 entries of 16 bits, 4 codes a lookup",
        "Throughput     4 elements a cycle, without a bubble from rows of 128 elements on",
        f"Latency        beats of the row + {manifest['latency']['cycles']} cycles, from its last "
        "logit to its first probability",
    ]


def test_files_are_replaced_together(tmp_path: Path) -> None:
    for options in (["--lanes", "8"], []):
        run_exaq("generate", *options, "-o", "unit.v", folder=tmp_path).check_returncode()
    run_exaq("generate", "-o", "fresh.v", folder=tmp_path).check_returncode()
    for end in ("v", "json"):
        assert (tmp_path / f"unit.{end}").read_bytes() == (tmp_path / f"fresh.{end}").read_bytes()


REFUSALS = {
    "--preset 5bit": f"unknown preset '5bit'; there are {', '.join(PRESETS)}",
    "--sigma 2 --clip -4": "give --sigma or --clip, not both",
    "--sigma -1": "sigma must be finite and at least 0, not -1.0",
    "--sigma nan": "sigma must be finite and at least 0, not nan",
    "--clip inf": "clip must be finite, not inf",
    "--clip 1.5": "clip must be negative, not 1.5",
    "--logit-scale 0": "logit_scale must be positive, not 0.0",
    "--bits 5": "bits must be in 2..4, not 5",
    "--bits two": "Invalid value for '--bits': 'two' is not a valid integer.",
    "--lanes 6 --group 4": "lanes must be a multiple of group, but 6 is none of 4",
    "--bits 4 --lanes 4 --group 4": (
        "a LUT_sum of group 4 at 4 bits has 65536 entries; at most 4096 are legal"
    ),
    "--preset 2bit-x16 --max-row 1000": (
        "max_row must be a multiple of lanes (16), not 1000; 992 or 1008 would be"
    ),
    "--full-rate-row 8": "full_rate_row must be at least 2 * 2**bits * lanes (32), not 8",
    "--top apb": "Invalid value for '--top': 'apb' is not one of 'axi', 'core'.",
    "--name 1st": "'1st' is no name for a Verilog module: letters, digits and _ make one",
    "--zzz": "No such option '--zzz'.",
    "more": "Got unexpected extra argument (more)",
}


@pytest.mark.parametrize("options", REFUSALS)
def test_refusals(options: str, tmp_path: Path) -> None:
    message = refusal("generate", "-o", "unit.v", *options.split(), folder=tmp_path)
    assert message == REFUSALS[options]


def test_output_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.v").mkdir()
    (tmp_path / "taken.json").mkdir()
    for output, message in {
        "file/unit.v": "cannot write file/unit.v: Not a directory",
        "missing/unit.v": "cannot write missing/unit.v: No such file or directory",
        "folder.v": "cannot write folder.v: it is there and not a regular file",
        "taken.v": "cannot write taken.json: it is there and not a regular file",
        "unit.json": "the Verilog file's name must end in .v, but is unit.json",
    }.items():
        assert refusal("generate", "-o", output, folder=tmp_path) == message
    assert refusal("generate", folder=tmp_path) == "Missing option '-o' / '--output'."
