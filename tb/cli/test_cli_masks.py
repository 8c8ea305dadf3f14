"""One file of scores with a mask in it means the same to every command and to PyTorch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_board import FakeBoard
from run_exaq import refusal

import exaq
import exaq.torch
from exaq_cli.main import main

ADDENDS = (-math.inf, np.finfo(np.float32).min, -65504.0, -1e9, -1e4, -100.0)
CONFIG = exaq.SoftmaxConfig(max_row=64)
DOUBT = (
    "exaq: warning: {}{} scores, the highest -100, are more than 64 below the rest of their rows "
    "and are taken as masked; give a mask to say what takes part\n"
)
RNG = np.random.default_rng(12)
REAL = RNG.normal(0, 2, (3, 2, 20, 24)).astype(np.float32)
LIVE = RNG.random(REAL.shape) < 0.7
EXPECTED = exaq.softmax(exaq.logits_to_integers(REAL, CONFIG), CONFIG, LIVE)


Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``exaq WORDS`` in an empty folder, which must succeed: what it says on stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> str:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words)])
        captured = capsys.readouterr()
        assert ended.value.code == 0, captured.err
        return captured.err

    return call


@pytest.mark.parametrize("addend", ADDENDS)
def test_one_file_one_reading(addend: float, run: Run) -> None:
    """calibrate, simulate, stream and exaq.torch.softmax, each beside the same file with a mask."""
    scores = np.where(LIVE, REAL, np.float32(addend))
    np.save("scores.npy", scores)
    np.save("real.npy", REAL)
    np.save("mask.npy", LIVE)
    count = np.count_nonzero(~LIVE) if addend == -100 else 0

    err = run(*["simulate", "scores.npy", "-o", "p.npy", "--engine", "golden", "--max-row", "64"])
    assert err == (DOUBT.format("", count) if count else "")
    np.testing.assert_array_equal(np.load("p.npy"), EXPECTED)

    with FakeBoard(CONFIG) as fake:
        err = run("stream", "scores.npy", "-o", "q.npy", "--port", fake.port)
    assert err == (DOUBT.format("", count) if count else "")
    np.testing.assert_array_equal(np.load("q.npy"), EXPECTED)

    def calibrated(*words: str) -> tuple[str, Any]:
        err = run("calibrate", *words, "-o", "t.json", "--rule", "paper")
        return err, json.loads(Path("t.json").read_text())["sets"]

    err, sets = calibrated("scores.npy")
    assert err == (DOUBT.format("scores.npy: ", count) if count else "")
    assert sets == calibrated("real.npy", "--mask", "mask.npy")[1]

    got = exaq.torch.softmax(torch.tensor(scores), CONFIG, torch.tensor(LIVE) if count else None)
    np.testing.assert_array_equal(got.double().numpy() * 2**16, EXPECTED)


@pytest.mark.simulator
def test_recorded_scores_stream_through_the_rtl(run: Run) -> None:
    """-inf for what is masked, and rows filled up with it."""
    scores = np.where(LIVE, REAL, -np.inf)[0, 0]
    scores[3:, 17:] = -np.inf
    scores[5] = -np.inf
    np.save("scores.npy", scores)
    assert run("simulate", "scores.npy", "-o", "p.npy") == ""
    live = np.isfinite(scores)
    integers = exaq.logits_to_integers(np.where(live, scores, 0), CONFIG)
    expected = exaq.softmax(integers, CONFIG, live)
    np.testing.assert_array_equal(np.load("p.npy"), expected)
    # A unit without masking streams what is cut off as shorter rows.
    tails = np.where(np.arange(24) < np.arange(1, 21)[:, None], REAL[0, 0], -np.inf)
    np.save("tails.npy", tails)
    words = ["simulate", "tails.npy", "-o", "p.npy", "--no-masking", "--engine", "golden"]
    assert run(*words) == ""
    integers = exaq.logits_to_integers(REAL[0, 0], CONFIG)
    expected = exaq.softmax(integers, CONFIG, lengths=np.arange(1, 21))
    np.testing.assert_array_equal(np.load("p.npy"), expected)


def test_what_a_mask_leaves_out_may_be_anything(run: Run, tmp_path: Path) -> None:
    np.save("mask.npy", LIVE)
    np.save("nan.npy", np.where(LIVE, REAL, np.nan))
    words = ["simulate", "nan.npy", "-o", "p.npy", "--engine", "golden", "--mask", "mask.npy"]
    assert run(*words) == ""
    np.testing.assert_array_equal(np.load("p.npy"), EXPECTED)
    Path("p.npy").unlink()
    place = ", ".join(str(int(i)) for i in np.argwhere(~LIVE)[0])
    message = f"nan.npy holds nan at [{place}]; all values must be finite, or -inf where masked"
    assert refusal(*words[:-2], folder=tmp_path) == message
    np.save("inf.npy", np.where(LIVE, REAL, np.inf))
    message = f"inf.npy holds inf at [{place}]; all values must be finite, or -inf where masked"
    assert refusal(*["simulate", "inf.npy", "-o", "p.npy"], folder=tmp_path) == message


def test_a_mask_says_that_far_scores_take_part(run: Run) -> None:
    far = np.where(LIVE, REAL, np.float32(-100))
    np.save("far.npy", far)
    np.save("mask.npy", np.True_)
    words = ["simulate", "far.npy", "-o", "p.npy", "--engine", "golden", "--mask", "mask.npy"]
    assert run(*words) == ""
    expected = exaq.softmax(exaq.logits_to_integers(far, CONFIG), CONFIG)
    np.testing.assert_array_equal(np.load("p.npy"), expected)


WAYS: dict[str, Callable[[], Any]] = {
    "--lengths": lambda: exaq.length_mask(np.load("lengths.npy"), 24),
    "--windows": lambda: (np.arange(24) >= 2) & (np.arange(24) < 17),
    "--causal": lambda: np.tri(20, 24, 4, dtype=bool),
}


@pytest.mark.parametrize("unit", ["", "--window", "--mask-value lowest", "--logit-format bf16"])
@pytest.mark.parametrize("junk", [1e6, -1e6, math.nan, math.inf])
@pytest.mark.parametrize("way", WAYS)
def test_what_is_outside_lengths_and_windows_is_not_looked_at(
    way: str, junk: float, unit: str, run: Run
) -> None:
    """Whatever stands there, nothing inside is masked for it: as with the same in a mask."""
    lengths = np.random.default_rng(3).integers(1, 25, (3, 2, 20))
    np.save("lengths.npy", lengths)
    np.save("windows.npy", np.array([2, 17]))
    inside = np.broadcast_to(WAYS[way](), REAL.shape)
    np.save("inside.npy", inside)
    np.save("scores.npy", np.where(inside, REAL, np.float32(junk)))
    words = ["simulate", "scores.npy", "--engine", "golden", "--max-row", "64", *unit.split()]
    given = [way] if way == "--causal" else [way, f"{way[2:]}.npy"]
    assert run(*words, "-o", "p.npy", *given) == ""
    assert run(*words, "-o", "masked.npy", "--mask", "inside.npy") == ""
    masked = np.load("masked.npy")
    assert (np.load("p.npy") == masked).all()
    assert (masked[inside] > 0).mean() > 0.5
