"""bf16 and fp16 logits on the command line: what is rounded, what masks, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from run_exaq import refusal

import exaq
from exaq import SoftmaxConfig, TableFile, Tables, TableSet
from exaq_cli.main import main

Run = Callable[..., str]
NAMES = pytest.mark.parametrize("name", ["bf16", "fp16"])
RNG = np.random.default_rng(8)
SCORES = RNG.normal(0, 3, (30, 24))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``exaq WORDS`` in an empty folder, which must succeed: what it says on stdout."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> str:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words)])
        captured = capsys.readouterr()
        assert ended.value.code == 0, captured.err
        return captured.out

    return call


def simulated(run: Run, name: str, *more: str) -> np.ndarray:
    run("simulate", "x.npy", "-o", "p.npy", "--engine", "golden", "--logit-format", name, *more)
    return np.load("p.npy")


@NAMES
def test_floats_are_rounded(name: str, run: Run) -> None:
    np.save("x.npy", SCORES)
    config = SoftmaxConfig(logit_format=name)
    expected = exaq.softmax(exaq.round_logits(SCORES, config), config)
    assert (simulated(run, name) == expected).all()
    half = config.replace(logit_scale=0.25)
    expected = exaq.softmax(exaq.round_logits(SCORES, half), half)
    assert (simulated(run, name, "--logit-scale", "0.25") == expected).all()


def test_float16_passes_as_it_is(run: Run) -> None:
    given = SCORES.astype(np.float16)
    np.save("x.npy", given)
    assert (simulated(run, "fp16") == exaq.softmax(given, SoftmaxConfig(logit_format="fp16"))).all()


@NAMES
@pytest.mark.parametrize("masking", ["--masking", "--no-masking"])
@pytest.mark.parametrize("addend", [-np.inf, -1e9])
def test_masks_in_the_scores_and_beside_them(
    name: str, masking: str, addend: float, run: Run
) -> None:
    """Also in a unit without masks, where they are -inf among the logits."""
    live = RNG.random(SCORES.shape) < 0.7
    config = SoftmaxConfig(logit_format=name)
    expected = exaq.softmax(exaq.round_logits(SCORES, config), config, live)
    np.save("x.npy", np.where(live, SCORES, addend))
    assert (simulated(run, name, masking) == expected).all()
    np.save("x.npy", SCORES)
    np.save("m.npy", live)
    assert (simulated(run, name, masking, "--mask", "m.npy") == expected).all()


@NAMES
def test_generate(name: str, run: Run) -> None:
    out = run("generate", "-o", "s.v", "--logit-format", name, "--contexts", "2")
    assert (
        f"Logits         {name} numbers, 1 is worth 1; thresholds 4.30833 to 0.861667 below " in out
    )
    manifest = json.loads(Path("s.json").read_text())
    assert manifest["config"]["logit_format"] == name
    ports = {port["name"]: port for port in manifest["ports"]}
    assert ports["s_axis_tdata"]["width"] == 64
    assert f"{name} numbers" in ports["s_axis_tdata"]["description"]
    assert "an element NaN or +inf" in ports["m_axis_tuser"]["description"]
    assert SoftmaxConfig.from_dict(manifest["config"]) == SoftmaxConfig(
        logit_format=name, contexts=2
    )
    assert Path("s.h").read_text()


def test_refusals(tmp_path: Path) -> None:
    np.save(tmp_path / "i.npy", np.zeros((2, 4), np.int8))
    np.save(tmp_path / "n.npy", np.array([[1.0, np.nan]]))
    tables = Tables(thresholds=(-300, -200, -100), exp_rom=(1, 2, 3, 4))
    file = TableFile(
        bits=2,
        logit_width=16,
        logit_scale=0.01,
        exp_frac=13,
        sets=(TableSet(name="all", tables=tables),),
    )
    file.save(tmp_path / "t.json")
    simulate = ("simulate", "i.npy", "-o", "p.npy", "--engine", "golden")
    cases = {
        (*simulate, "--logit-format", "bf16"): ("logits must be floating-point numbers, not int8"),
        ("simulate", "n.npy", "-o", "p.npy", "--logit-format", "bf16"): (
            "n.npy holds nan at [0, 1]; all values must be finite, or -inf where masked"
        ),
        (*simulate, "--logit-format", "fp16", "--logit-width", "8"): (
            "logit_width must be 16 with logit_format fp16, not 8"
        ),
        (*simulate, "--tables", "t.json", "--logit-format", "bf16"): (
            "the tables are for integer logits, not bf16"
        ),
    }
    for words, message in cases.items():
        assert refusal(*words, folder=tmp_path) == message, words
