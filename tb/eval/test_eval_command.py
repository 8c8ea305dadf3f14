"""``exaq evaluate`` as a user runs it: what it writes, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from exaq import TableFile, Tables, TableSet
from exaq_cli.main import main
from exaq_eval.models import minilm
from exaq_eval.reports import report
from exaq_eval.studies import STUDIES

QUICK = ["--texts", "4", "--calibration-texts", "2"]
SMALL = [*QUICK, "--logit-width", "12", "--logit-scale", "0.03125"]


@dataclass(frozen=True)
class Done:
    """What a run of the command gave."""

    code: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """``exaq evaluate ARGUMENTS`` in this process, which has the libraries loaded once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXAQ_CACHE", str(tmp_path / "cache"))

    def command(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as exited:
            main(["evaluate", *arguments])
        captured = capfd.readouterr()
        return Done(int(exited.value.code or 0), captured.out, captured.err)

    return command


def refusal(run: Run, *arguments: str) -> str:
    """The one line with which the command refuses; no file is written."""
    before = _contents()
    done = run(*arguments)
    assert done.code == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("exaq: error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert _contents() == before
    return done.stderr.removeprefix("exaq: error: ").rstrip("\n")


def _contents() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.fixture
def model(encoder_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(encoder_folder, tmp_path / "mine"))


def test_a_folders_model_is_evaluated_and_written(model: Path, run: Run, tmp_path: Path) -> None:
    options = [*SMALL, "--bits", "2", "--per", "head", "--rule", "paper", "--rule", "optimal"]
    options += ["--minimise", "mse", "--out", "out", "--reports", "kept"]
    done = run("mine", *options)
    assert done.code == 0, done.stderr
    plan, foreseen = done.stderr.splitlines()
    assert plan == (
        "mine: BertModel, 5,536 weights, 2 attention layers; 4 texts, 256 tokens; 3 settings, 2 of "
        "them with tables from 2 texts or less"
    )
    assert re.fullmatch(
        r"mine: 2 texts to record, 2 calibrations, 12 texts to run, 4 texts to compare attention "
        r"on: about \d+ s",
        foreseen,
    )
    names = {
        "mine-int12.json",
        "mine-int12.md",
        "mine-int12.png",
        "mine-int12.2bit-paper-head.tables.json",
        "mine-int12.2bit-optimal-mse-head.tables.json",
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    document = report.load(tmp_path / "out/mine-int12.json")
    names_of_settings = [setting["name"] for setting in document["settings"]]
    assert names_of_settings == ["float", "2-bit paper, per head", "2-bit optimal (mse), per head"]
    assert document["commands"] == [
        "exaq evaluate mine --rule paper --rule optimal --bits 2 --per head --minimise mse "
        "--logit-width 12 --logit-scale 0.03125 --texts 4 --calibration-texts 2"
    ]
    assert document["task"]["texts"] == 4
    lines = done.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[:-1]] == names_of_settings
    worst = document["settings"][1]["task"]["cosine_min"]
    assert f"least {worst:.4f}" in lines[1]
    assert lines[-1] == "Written: out/mine-int12.json, .md, .png, 2 tables"
    text = (tmp_path / "out/mine-int12.md").read_text(encoding="utf-8")
    assert text == f"# mine\n\n{report.markdown(document)}"
    tables = tmp_path / "out/mine-int12.2bit-optimal-mse-head.tables.json"
    assert len(TableFile.load(tables).sets) == 4

    # The tables from the file give the figures of the calibration that made it; the report that
    # is kept has both runs.
    again = run(
        *["mine", "--texts", "4", "--tables", str(tables.relative_to(tmp_path))],
        *["--out", "again", "--reports", "kept"],
    )
    assert again.code == 0, again.stderr
    second = report.load(tmp_path / "again/mine-int12.json")
    assert second["settings"][1]["attention"] == document["settings"][2]["attention"]
    assert {path.name for path in (tmp_path / "again").iterdir()} == {
        name for name in names if "tables" not in name
    }
    kept = report.load(tmp_path / "kept/mine-int12.json")
    assert [setting["name"] for setting in kept["settings"]] == [
        *names_of_settings,
        f"2-bit, {tables.relative_to(tmp_path)}",
    ]
    assert len(kept["commands"]) == 2

    # The page of documentation from what is kept.
    page = run("--docs", "--reports", "kept", "--out", "docs")
    assert page.code == 0, page.stderr
    assert page.stdout == "Written: docs/accuracy.md, 1 pictures\n"
    assert "## mine, 12-bit logits" in (tmp_path / "docs/accuracy.md").read_text(encoding="utf-8")
    assert [path.name for path in (tmp_path / "docs/accuracy").iterdir()] == ["mine-int12.png"]


def test_scale_is_chosen_for_the_model(model: Path, run: Run, tmp_path: Path) -> None:
    arguments = [*QUICK, "--logit-width", "6", "--logit-scale", "auto", "--out", "out"]
    arguments += ["--rule", "paper", "--bits", "2", "--per", "layer"]
    done = run("mine", *arguments)
    assert done.code == 0, done.stderr
    scale = report.load(tmp_path / "out/mine-int6.json")["logits"]["logit_scale"]
    assert scale in [2.0**-k for k in range(-2, 13)]
    assert scale > 2.0**-5


@pytest.mark.parametrize("option", ["--study", "--experiment"])
def test_study_writes_figures_section_and_picture(option: str, run: Run, tmp_path: Path) -> None:
    done = run(option, "clip", "--quick", "--out", "out")
    assert done.code == 0, done.stderr
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"study-clip.json", "study-clip.md", "study-clip.png"}
    result = json.loads((tmp_path / "out/study-clip.json").read_text(encoding="utf-8"))
    section = (tmp_path / "out/study-clip.md").read_text(encoding="utf-8")
    assert section == type(STUDIES["clip"]).quick().markdown(result)
    assert section in done.stdout


@pytest.fixture
def inputs(model: Path, decoder_folder: Path, tmp_path: Path) -> Path:
    def tables(name: str, scale: float, layer: int | None, head: int | None) -> None:
        made = Tables.from_clip(-4, bits=2, logit_scale=scale, exp_frac=13)
        entry = TableSet(name="x", tables=made, layer=layer, head=head)
        TableFile(bits=2, logit_width=8, logit_scale=scale, exp_frac=13, sets=(entry,)).save(
            tmp_path / name
        )

    tables("a.json", 0.0625, None, None)
    tables("b.json", 0.125, None, None)
    tables("part.json", 0.0625, 0, None)
    tables("beyond.json", 0.0625, 2, None)
    shutil.copytree(decoder_folder, tmp_path / "llama")
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/mine-int16.json").write_text("{}", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nowhere", "nowhere is none of minilm, decoder, smollm2, and no folder"),
        ("mine nowhere", "nowhere is none of minilm, decoder, smollm2, and no folder"),
        ("mine --tokens 8", "mine is an encoder, whose texts are not cut into windows"),
        ("mine --tokens 0", "Invalid value for '--tokens': 0 is not in the range x>=1."),
        ("llama --tokens 33", "windows of llama must be of 1..32 tokens, not 33"),
        ("empty", "empty holds no config.json: no folder of a Transformers model"),
        (
            "decoder",
            "there is no decoder in {folder}/cache/tiny_decoder; train it, in about ten minutes, "
            "by: python scripts/train_tiny_decoder.py",
        ),
        (
            "mine --bits 7",
            "Invalid value for '--bits': '7' is not one of '2', '3', '4', '5', '6'.",
        ),
        ("mine --bits 5 --rule paper", "the rule paper is for 2 to 4 bits, not for 5"),
        ("mine --bits 6 --rule dynamic", "the rule dynamic is for 2 to 4 bits, not for 6"),
        ("mine --logit-width 3", "logit_width must be in 4..24, not 3"),
        (
            "mine --logit-scale wide",
            "Invalid value for '--logit-scale': 'wide' is neither a number nor auto",
        ),
        ("mine --logit-scale 0", "logit_scale must be positive, not 0.0"),
        ("mine --texts 1", "Invalid value for '--texts': 1 is not in the range x>=2."),
        ("mine --calibration-texts 61", "mine has 60 texts to calibrate on, not 61"),
        ("mine --tables missing.json", "cannot read missing.json: No such file or directory"),
        (
            "mine --tables file",
            "file is no file of tables: line 1 is not JSON",
        ),
        ("mine --tables a.json --tables b.json", "b.json is for logit_scale 0.125, not 0.0625"),
        ("mine --tables a.json --logit-width 9", "a.json is for logit_width 8, not 9"),
        (
            "mine --tables a.json --logit-scale auto",
            "--tables takes no --logit-scale auto: the tables have their scale",
        ),
        ("mine --tables a.json --rule paper", "--tables takes no --rule"),
        ("mine --tables part.json", "there are no tables for head 0 of layer 1, only for layer 0"),
        (
            "mine --tables beyond.json",
            "set 'x' is for layer 2, but the model has layers 0..1",
        ),
        ("mine --quick", "--quick is for studies; for a first look at a model give --texts"),
        ("mine --out file", "cannot write to file: File exists"),
        ("mine --reports kept", "kept/mine-int16.json is no report of an evaluation"),
        ("mine --study clip", "--study takes no MODEL"),
        (
            "--study what",
            f"unknown study 'what'; there are {', '.join(STUDIES)}",
        ),
        ("--docs mine", "--docs takes no MODEL"),
        ("--docs --bits 2", "--docs takes no --bits"),
        ("--study clip --scheduler local", "--study takes no --scheduler"),
        ("--docs --scheduler local", "--docs takes no --scheduler"),
        (
            "mine --scheduler 8786",
            "Invalid value for '--scheduler': '8786' is neither local nor an address such as "
            "tcp://host:8786",
        ),
        ("--docs", "cannot read reports/accuracy: no such folder"),
        ("--docs --reports empty", "empty holds no report of an evaluation"),
        ("--docs --reports kept", "kept/mine-int16.json is no report of an evaluation"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(
    line: str, message: str, run: Run, inputs: Path
) -> None:
    assert refusal(run, *line.split()) == message.format(folder=inputs)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "model.safetensors",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "model.safetensors is but a pointer of git-lfs; fetch it by: git lfs pull",
        ),
        ("model.safetensors", b"\x40", "model.safetensors is cut off or damaged"),
        ("config.json", b"{", "config.json is cut off or damaged: it is not JSON"),
        ("tokenizer.json", b"[]", "tokenizer.json must hold a JSON object"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(
    name: str, content: bytes, reason: str, model: Path, run: Run
) -> None:
    (model / name).write_bytes(content)
    assert refusal(run, "mine", *SMALL) == f"cannot read the model in mine: {reason}"


def test_a_model_that_gives_no_numbers_is_refused(
    model: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    import torch
    import transformers

    broken = transformers.BertModel.from_pretrained(model)
    with torch.no_grad():
        broken.embeddings.LayerNorm.weight.fill_(float("nan"))
    broken.save_pretrained(model)
    capfd.readouterr()
    assert refusal(run, "mine", *SMALL) == ("the output of mine is not finite, with float softmax")


def test_minilm_runs(run: Run, tmp_path: Path) -> None:
    try:
        minilm()
    except RuntimeError as error:
        pytest.skip(str(error))
    options = ["--texts", "2", "--calibration-texts", "1", "--bits", "4", "--rule", "paper"]
    done = run("minilm", *options, "--per", "layer", "--out", "out")
    assert done.code == 0, done.stderr
    figures = report.load(tmp_path / "out/minilm-int16.json")["settings"][1]["task"]
    assert 0.98 < figures["cosine_mean"] < 1


def test_help_suffices_and_waits_for_no_library(tmp_path: Path) -> None:
    script = (
        "import sys, click\n"
        "from exaq_cli.main import main\n"
        "try:\n"
        "    main(['evaluate', '--help'])\n"
        "finally:\n"
        "    print(*sorted({'torch', 'transformers', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    *text, loaded = done.stdout.splitlines()
    assert loaded == ""
    words = " ".join(" ".join(text).split())
    for part in (
        "minilm",
        "train_tiny_decoder.py",
        "--study, --experiment NAME",
        "--docs",
        "--tables FILE",
        "--scheduler ADDRESS",
    ):
        assert part in words
