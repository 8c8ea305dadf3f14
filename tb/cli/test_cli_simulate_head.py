"""``exaq simulate --unit attention``: what it computes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_exaq import refusal, run_exaq

import exaq_cosim
from exaq.attention import AttentionConfig, HeadScales, attend
from exaq_cli.commands.unit import simulate_head
from exaq_cli.main import main
from exaq_cosim import HangError

# The unit "causal" of tb/cosim/test_cosim_head.py, which is compiled once for both.
UNIT = (
    *("--unit", "attention", "--head-size", "16", "--max-row", "24", "--lanes", "2", "--causal"),
    *("--value-width", "4"),
)
SMALL = AttentionConfig(head_size=16, max_row=24, lanes=2, causal=True, value_width=4)
SCALE = ("--logit-scale", str(2**-9))
SCALED = SMALL.replace(logit_scale=2**-9)
WORDS = ("simulate", *UNIT, "q.npy", "k.npy", "v.npy", "-o", "o.npy")


def save(folder: Path, **arrays: Any) -> dict[str, Any]:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return arrays


def integers(folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return save(
        folder,
        q=rng.integers(-128, 128, (2, 3, 7, 16)),
        k=rng.integers(0, 16, (2, 1, 20, 16)),
        v=rng.integers(-8, 8, (2, 1, 20, 16)),
    )


def floats(folder: Path) -> dict[str, Any]:
    q, k, v = np.random.default_rng(1).standard_normal((3, 2, 20, 16))
    return save(folder, q=q.astype(np.float32), k=k, v=v)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.simulator
def test_integers_through_the_verilog(tmp_path: Path) -> None:
    arrays = integers(tmp_path)
    more = ("--json", "r.json", "--waves", "w.vcd", "--stall", "0.2", "--seed", "3")
    done = run_exaq(*WORDS, *SCALE, *more, folder=tmp_path, seconds=300)
    assert (done.returncode, done.stderr) == (0, "")
    found, want = np.load(tmp_path / "o.npy"), attend(**arrays, config=SCALED)
    assert found.dtype == want.dtype
    np.testing.assert_array_equal(found, want)
    figures = json.loads((tmp_path / "r.json").read_text())
    assert figures["config"] == SCALED.to_dict()
    assert (figures["engine"], figures["mismatches"], figures["row_errors"]) == ("rtl", 0, 0)
    counted = {"heads": 6, "loads": 2, "rows": 42, "scores": 6 * 28, "stall": 0.2, "seed": 3}
    assert figures.items() >= counted.items()
    assert figures["cycles_per_row"] == figures["cycles"] / 42
    for line in (
        "Configuration       dint4 keys, causal, 2 bits, clip -5.17, 2 lanes",
        "Heads               6, with 2 sets of keys and values",
        "Rows                42",
        "Scores              168, in steps of 0.00195312",
        f"Cycles              {figures['cycles']:,}",
        "Row errors          0",
        "Mismatches          0 outputs against the golden model",
        "Stall               0.2 on each side, seed 3",
        "Written             o.npy, r.json, w.vcd",
    ):
        assert line in done.stdout.splitlines()
    waves = (tmp_path / "w.vcd").read_text()
    assert all(f" {name} " in waves for name in ("s_axis_k_tready", "m_axis_tdata"))
    assert files(tmp_path) == ["k.npy", "o.npy", "q.npy", "r.json", "v.npy", "w.vcd"]


def test_floats_get_the_scales_with_which_none_saturates(tmp_path: Path) -> None:
    arrays = floats(tmp_path)
    more = ("--engine", "golden", "--json", "r.json")
    assert run_exaq(*WORDS, *more, folder=tmp_path).returncode == 0
    scales = HeadScales.of(**arrays, value_width=4)
    config = SMALL.replace(logit_scale=scales.logit_scale)
    want = attend(*scales.integers(**arrays), config)
    found = np.load(tmp_path / "o.npy")
    np.testing.assert_array_equal(found, want)
    figures = json.loads((tmp_path / "r.json").read_text())
    assert figures["config"] == config.to_dict()
    assert figures["scales"] == {
        "query": scales.query,
        "key": scales.key.tolist(),
        "value": scales.value,
        "factor": 0.25,
    }
    assert (figures["heads"], figures["rows"], figures["scores"]) == (2, 40, 420)
    assert "cycles" not in figures

    assert run_exaq(*WORDS, *more[:2], "--float-output", folder=tmp_path).returncode == 0
    real = np.load(tmp_path / "o.npy")
    np.testing.assert_array_equal(real, want * (scales.value / 2**12))
    q, k, v = arrays.values()
    logits = np.where(np.tri(20, dtype=bool), q @ k.swapaxes(-1, -2) / 4, -np.inf)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    exact = weights @ v / weights.sum(axis=-1, keepdims=True)
    assert np.linalg.norm(real - exact) < 0.25 * np.linalg.norm(exact)


def test_float_output_of_integers_is_in_steps_of_a_value(tmp_path: Path) -> None:
    arrays = integers(tmp_path)
    words = ("--engine", "golden", "--float-output", "--output-width", "8", "--bits", "3")
    assert run_exaq(*WORDS, *words, "--sink", "2", folder=tmp_path).returncode == 0
    want = attend(**arrays, config=SMALL.replace(output_width=8, bits=3, sink=2))
    np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), want / 16)


@pytest.mark.simulator
def test_a_unit_that_differs_ends_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit gets another value than the golden model."""
    arrays = integers(tmp_path)
    monkeypatch.chdir(tmp_path)

    def wrong(q: Any, k: Any, v: Any, config: AttentionConfig, **others: Any) -> Any:
        return exaq_cosim.simulate_head(q, k, v ^ 1, config, **others)

    monkeypatch.setattr(simulate_head, "simulate_head", wrong)
    with pytest.raises(SystemExit) as ended:
        main([*WORDS, *SCALE, "--json", "r.json"])
    assert ended.value.code == 1
    mismatches = (np.load("o.npy") != attend(**arrays, config=SCALED)).sum()
    assert json.loads((tmp_path / "r.json").read_text())["mismatches"] == mismatches > 0


def test_what_a_faulty_unit_leaves_are_waves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    integers(tmp_path)
    monkeypatch.chdir(tmp_path)

    def hang(*arrays: Any, waves: Path, **others: Any) -> None:
        waves.write_text("waves")
        raise HangError("the unit hangs")

    monkeypatch.setattr(simulate_head, "compile_head", lambda *_, **options: None)
    monkeypatch.setattr(simulate_head, "simulate_head", hang)
    with pytest.raises(SystemExit) as ended:
        main([*WORDS, "--json", "r.json", "--waves", "w.vcd"])
    assert ended.value.code == 1
    assert capsys.readouterr().err == "exaq: error: the unit hangs\n"
    assert files(tmp_path) == ["k.npy", "q.npy", "v.npy", "w.vcd"]
    assert (tmp_path / "w.vcd").read_text() == "waves"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("q.npy", "the unit attention takes three arrays, q, k and v, not 1"),
        ("q.npy k.npy v.npy q.npy", "the unit attention takes three arrays, q, k and v, not 4"),
        ("q.npy k.npy v.npy --load", "--load is not for the unit attention"),
        ("q.npy k.npy v.npy --lengths v.npy", "--lengths is not for the unit attention"),
        ("q.npy k.npy v.npy --mask v.npy", "--mask is not for the unit attention"),
        ("q.npy k.npy v.npy --windows v.npy", "--windows is not for the unit attention"),
        ("q.npy k.npy v.npy --contexts-of v.npy", "--contexts-of is not for the unit attention"),
        ("q.npy k.npy v.npy --results r.npz", "--results is not for the unit attention"),
        ("q.npy k.npy v.npy --window", "--window is not for the unit attention"),
        ("q.npy k.npy v.npy --preset 2bit-x4", "--preset is not for the unit attention"),
        ("q.npy k.npy v.npy --output codes", "--output is not for the unit attention"),
        ("q.npy none.npy v.npy", "cannot read none.npy: No such file or directory"),
        ("q.npy text.npy v.npy", "text.npy is not a .npy file"),
        ("q.npy k.npy v.npy --json k.npy", "cannot write k.npy: the command reads it"),
        (
            "q.npy k.npy real.npy",
            "q, k and v must be all integers or all floats, not int64, int64, float64",
        ),
        (
            "real.npy real.npy real.npy --logit-scale 0.1",
            "--logit-scale is for integers: the scales of floats follow from them",
        ),
        ("nan.npy real.npy real.npy", "nan.npy holds nan at [0, 0]; all values must be finite"),
        ("q.npy k.npy v.npy --head-size 32", "q of shape (2, 3, 7, 16) must be (..., rows, 32)"),
        ("q.npy k.npy v.npy --max-row 18", "keys of a head must be in 1..18, not 20"),
        (
            "q.npy k.npy real.npy --engine golden --stall 0.1",
            "--stall needs --engine rtl: the golden model has no cycles",
        ),
        ("q.npy k.npy v.npy --stall nan", "stall must be at least 0 and below 1, not nan"),
        ("q.npy q.npy v.npy", "elements of dint4 keys must be in 0..15, not -128"),
        (
            "q.npy k.npy v.npy --outputs-per-beat 3",
            "outputs_per_beat must be a power of two that divides head_size (16), not 3",
        ),
    ],
)
def test_refusals(words: str, message: str, tmp_path: Path) -> None:
    integers(tmp_path)
    save(tmp_path, real=np.ones((20, 16)), nan=np.full((20, 16), np.nan))
    (tmp_path / "text.npy").write_text("1, 2, 3\n", encoding="utf-8")
    line = ("simulate", *UNIT, *words.split(), "-o", "o.npy")
    assert refusal(*line, folder=tmp_path) == message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("q.npy k.npy v.npy", "the unit softmax takes one array of logits, not 3"),
        ("q.npy --keys int8", "--keys is not for the unit softmax"),
        ("q.npy --multipliers dsp", "--multipliers is not for the unit softmax"),
    ],
)
def test_heads_are_refused_by_a_softmax(words: str, message: str, tmp_path: Path) -> None:
    integers(tmp_path)
    line = ("simulate", *words.split(), "-o", "o.npy")
    assert refusal(*line, folder=tmp_path) == message
