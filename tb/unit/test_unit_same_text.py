"""The emitted text of every preset and of the whole regression matrix is what it was before.

Holds while the house is rebuilt; goes when it stands.

    python tb/unit/test_unit_same_text.py    writes the hashes anew
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "rtl"))
from rtl_matrix import MATRIX

import exaq
from exaq import PRESETS, SoftmaxConfig
from exaq_hdl import emit_verilog

FILE = Path(__file__).with_name("same_text.json")
CONFIGS = {f"preset {name}": SoftmaxConfig.preset(name) for name in PRESETS} | MATRIX
CASES = [(name, top) for name in CONFIGS for top in ("axi", "core")]


def text_hash(name: str, top: str) -> str:
    return hashlib.sha256(
        without_settings(emit_verilog(CONFIGS[name], top=top).verilog)
    ).hexdigest()


def without_settings(text: str) -> bytes:
    """The text without its second line, the settings, whose order follows the two objects."""
    first, _, rest = text.split("\n", 2)
    return f"{first}\n{rest}".encode()


def bits_hash(name: str) -> str:
    config = CONFIGS[name]
    rng = np.random.default_rng(1)
    low, high = config.logit_range
    logits = rng.integers(low, high + 1, (40, min(config.max_row, 64)))
    mask = rng.random(logits.shape) < 0.8
    contexts = rng.integers(0, config.contexts, 40) if config.contexts else None
    codes = exaq.quantize(logits, config, mask, contexts)
    probabilities = exaq.softmax(logits, config, mask, contexts)
    return hashlib.sha256(codes.tobytes() + probabilities.tobytes()).hexdigest()


def held() -> dict[str, str]:
    return json.loads(FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("name", "top"), CASES)
def test_text_is_what_it_was(name: str, top: str) -> None:
    assert text_hash(name, top) == held()[f"{name} {top}"]


@pytest.mark.parametrize("name", CONFIGS)
def test_bits_are_what_they_were(name: str) -> None:
    assert bits_hash(name) == held()[f"{name} bits"]


if __name__ == "__main__":
    hashes = {f"{name} {top}": text_hash(name, top) for name, top in CASES}
    hashes |= {f"{name} bits": bits_hash(name) for name in CONFIGS}
    FILE.write_text(json.dumps(hashes, indent=0) + "\n", encoding="utf-8")
