"""scripts/train_tiny_decoder.py as a user runs it, with a few steps only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from transformers import AutoModelForCausalLM

ROOT = Path(__file__).resolve().parents[2]


def train(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "scripts/train_tiny_decoder.py", *arguments],
        env=os.environ | {"EXAQ_CACHE": str(cache), "COLUMNS": "300", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_decoder_is_trained_into_the_cache_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "tiny_decoder"
    first = train(tmp_path, "--steps", "2")
    assert (first.returncode, first.stderr) == (0, "")
    assert f"minutes of processor time, in {folder}\n" in first.stdout
    assert "2/2 steps" in first.stdout
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    assert model.config.num_hidden_layers == 4
    weights = (folder / "model.safetensors").read_bytes()
    again = train(tmp_path, "--steps", "1")
    assert again.stdout == f"{folder} holds a decoder already; --again trains it anew\n"
    assert (folder / "model.safetensors").read_bytes() == weights


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    cache = tmp_path / "file"
    cache.write_text("", encoding="utf-8")
    done = train(cache)
    assert done.returncode == 2
    assert done.stderr == (
        f"train_tiny_decoder: error: cannot make {cache / 'tiny_decoder'}: Not a directory\n"
    )
    done = train(tmp_path, "--threads", "3")
    assert done.returncode == 2
    assert done.stderr == (
        "train_tiny_decoder: error: Invalid value for '--threads': 3 is not in the range 1<=x<=2.\n"
    )
    assert list(tmp_path.iterdir()) == [cache]
