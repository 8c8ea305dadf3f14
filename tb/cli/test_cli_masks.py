"""One file of scores with a mask in it means the same to every command and to PyTorch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_board import FakeBoard
from run_exaq import refusal, run_exaq

import exaq
import exaq.torch

CONFIG = exaq.SoftmaxConfig(max_row=64)
DOUBT = (
    "exaq: warning: {}{} scores, the highest -100, are more than 64 below the rest of their rows "
    "and are taken as masked; give a mask to say what takes part\n"
)
RNG = np.random.default_rng(12)
REAL = RNG.normal(0, 2, (3, 2, 20, 24)).astype(np.float32)
LIVE = RNG.random(REAL.shape) < 0.7
EXPECTED = exaq.softmax(exaq.logits_to_integers(REAL, CONFIG), CONFIG, LIVE)


@pytest.mark.parametrize(
    "addend",
    [-math.inf, np.finfo(np.float32).min, -65504.0, -1e9, -1e4, -100.0],
)
def test_one_file_one_reading(addend: float, tmp_path: Path) -> None:
    """calibrate, simulate, stream and exaq.torch.softmax, each beside the same file with a mask."""
    scores = np.where(LIVE, REAL, np.float32(addend))
    np.save(tmp_path / "scores.npy", scores)
    np.save(tmp_path / "real.npy", REAL)
    np.save(tmp_path / "mask.npy", LIVE)
    said = str(np.count_nonzero(~LIVE)) if addend == -100 else ""

    done = run_exaq(
        *["simulate", "scores.npy", "-o", "p.npy", "--engine", "golden", "--max-row", "64"],
        folder=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, DOUBT.format("", said) if said else "")
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), EXPECTED)

    with FakeBoard(CONFIG) as fake:
        words = ("stream", "scores.npy", "-o", "q.npy", "--port", str(fake.port))
        done = run_exaq(*words, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, DOUBT.format("", said) if said else "")
    np.testing.assert_array_equal(np.load(tmp_path / "q.npy"), EXPECTED)

    def calibrated(*words: str) -> tuple[str, Any]:
        done = run_exaq("calibrate", *words, "-o", "t.json", "--rule", "paper", folder=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stderr, json.loads((tmp_path / "t.json").read_text())["sets"]

    err, sets = calibrated("scores.npy")
    assert err == (DOUBT.format("layer 0: ", said) if said else "")
    assert sets == calibrated("real.npy", "--mask", "mask.npy")[1]

    tensor, mask = torch.tensor(scores), torch.tensor(LIVE)
    got = exaq.torch.softmax(tensor, CONFIG, mask if said else None)
    np.testing.assert_array_equal(got.double().numpy() * 2**16, EXPECTED)


@pytest.mark.simulator
def test_recorded_scores_stream_through_the_rtl(tmp_path: Path) -> None:
    """-inf for what is masked, and rows filled up with it."""
    scores = np.where(LIVE, REAL, -np.inf)[0, 0]
    scores[3:, 17:] = -np.inf
    scores[5] = -np.inf
    np.save(tmp_path / "scores.npy", scores)
    done = run_exaq("simulate", "scores.npy", "-o", "p.npy", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    live = np.isfinite(scores)
    integers = exaq.logits_to_integers(np.where(live, scores, 0), CONFIG)
    expected = exaq.softmax(integers, CONFIG, live)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), expected)
    # A unit without masking streams what is cut off as shorter rows.
    tails = np.where(np.arange(24) < np.arange(1, 21)[:, None], REAL[0, 0], -np.inf)
    np.save(tmp_path / "tails.npy", tails)
    words = ["simulate", "tails.npy", "-o", "p.npy", "--no-masking", "--engine", "golden"]
    assert run_exaq(*words, folder=tmp_path).returncode == 0
    integers = exaq.logits_to_integers(REAL[0, 0], CONFIG)
    expected = exaq.softmax(integers, CONFIG, lengths=np.arange(1, 21))
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), expected)


def test_what_a_mask_leaves_out_may_be_anything(tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", LIVE)
    np.save(tmp_path / "nan.npy", np.where(LIVE, REAL, np.nan))
    words = ["simulate", "nan.npy", "-o", "p.npy", "--engine", "golden", "--mask", "mask.npy"]
    assert run_exaq(*words, folder=tmp_path).returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), EXPECTED)
    (tmp_path / "p.npy").unlink()
    place = ", ".join(str(int(i)) for i in np.argwhere(~LIVE)[0])
    message = f"nan.npy holds nan at [{place}]; all values must be finite, or -inf where masked"
    assert refusal(*words[:-2], folder=tmp_path) == message
    np.save(tmp_path / "inf.npy", np.where(LIVE, REAL, np.inf))
    message = f"inf.npy holds inf at [{place}]; all values must be finite, or -inf where masked"
    assert refusal(*["simulate", "inf.npy", "-o", "p.npy"], folder=tmp_path) == message


def test_a_mask_says_that_far_scores_take_part(tmp_path: Path) -> None:
    far = np.where(LIVE, REAL, np.float32(-100))
    np.save(tmp_path / "far.npy", far)
    np.save(tmp_path / "mask.npy", np.True_)
    words = ["simulate", "far.npy", "-o", "p.npy", "--engine", "golden", "--mask", "mask.npy"]
    done = run_exaq(*words, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    expected = exaq.softmax(exaq.logits_to_integers(far, CONFIG), CONFIG)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), expected)
