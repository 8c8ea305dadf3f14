"""``exaq generate --unit level-sums``: what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from run_exaq import refusal, run_exaq

from exaq import TableFile, Tables, TableSet, paper_clip
from exaq.attention import AttentionConfig
from exaq_hdl.emit.attention_verilog import emit_level_sums

SMALL = ("--head-size", "16", "--max-row", "32")
TABLES = Tables(thresholds=(-40, -20, -5), exp_rom=(3, 90, 2000, 4096))
FILE = TableFile(
    bits=2,
    logit_width=10,
    logit_scale=0.125,
    exp_frac=12,
    sets=(TableSet(name="a", tables=TABLES),),
)


@pytest.mark.parametrize(
    ("options", "config", "per_beat"),
    [
        ((), AttentionConfig(head_size=16, max_row=32), None),
        (
            (
                *("--bits", "3", "--lanes", "2", "--value-width", "4", "--output-width", "8"),
                *("--exp-frac", "10", "--sigma", "1.5", "--outputs-per-beat", "4", "--sink", "5"),
            ),
            AttentionConfig(
                head_size=16,
                max_row=32,
                bits=3,
                lanes=2,
                value_width=4,
                output_width=8,
                exp_frac=10,
                clip=paper_clip(1.5, 3),
                sink=5,
            ),
            4,
        ),
    ],
)
def test_what_is_written(
    options: tuple[str, ...], config: AttentionConfig, per_beat: int | None, tmp_path: Path
) -> None:
    done = run_exaq(
        "generate", "--unit", "level-sums", *SMALL, *options, "-o", "s.v", folder=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    emitted = emit_level_sums(config, outputs_per_beat=per_beat)
    assert (tmp_path / "s.v").read_text() == emitted.verilog
    assert json.loads((tmp_path / "s.json").read_text()) == emitted.manifest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.json", "s.v"]
    latency = emitted.manifest["latency"]["cycles"]
    assert f"{latency} cycles, from a row's last beat" in done.stdout


def test_tables_of_a_file(tmp_path: Path) -> None:
    FILE.save(tmp_path / "t.json")
    options = (*SMALL, "--tables", "t.json", "--top", "core", "--name", "mine")
    done = run_exaq("generate", "--unit", "level-sums", *options, "-o", "s.v", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    manifest = json.loads((tmp_path / "s.json").read_text())
    assert manifest["exponentials"] == [3, 90, 2000, 4096]
    assert (manifest["name"], manifest["top"]) == ("mine", "core")
    assert manifest["config"]["softmax"]["logit_scale"] == 0.125


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--window",), "--window is not for the unit level-sums"),
        (("--contexts", "2"), "--contexts is not for the unit level-sums"),
        (("--preset", "2bit-x4"), "--preset is not for the unit level-sums"),
        (("--kernel", "baps"), "--kernel is not for the unit level-sums"),
        (("--logit-width", "8"), "--logit-width is not for the unit level-sums"),
        (("--head-size", "8"), "head_size must be in 16..256, not 8"),
        (("--value-width", "5"), "value_width must be 4 or 8, not 5"),
        (
            ("--head-size", "48", "--outputs-per-beat", "32"),
            "outputs_per_beat must be a power of two that divides head_size (48), not 32",
        ),
    ],
)
def test_refusals(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    arguments = ("generate", "--unit", "level-sums", *options, "-o", "s.v")
    assert refusal(*arguments, folder=tmp_path) == message


@pytest.mark.parametrize(
    "option", ["--head-size", "--value-width", "--output-width", "--outputs-per-beat"]
)
def test_options_of_a_head_are_not_for_the_softmax(option: str, tmp_path: Path) -> None:
    message = refusal("generate", option, "16", "-o", "s.v", folder=tmp_path)
    assert message == f"{option} is not for the unit softmax"


def test_several_sets_of_tables_are_refused(tmp_path: Path) -> None:
    sets = tuple(TableSet(name=name, tables=TABLES) for name in "ab")
    TableFile(bits=2, logit_width=10, logit_scale=0.125, exp_frac=12, sets=sets).save(
        tmp_path / "t.json"
    )
    arguments = ("generate", "--unit", "level-sums", "--tables", "t.json", "-o", "s.v")
    message = refusal(*arguments, folder=tmp_path)
    assert message == "--tables has several sets: choose one by --tables-name"
