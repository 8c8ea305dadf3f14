"""The attention sample that ships: whole, small, and what its documentation says."""

import hashlib
import re
from importlib import resources

import numpy as np
import pytest

from exaq.data import AttentionSample, load_attention_sample

FOLDER = resources.files("exaq.data")


@pytest.fixture(scope="module")
def sample() -> AttentionSample:
    return load_attention_sample()


def test_shapes(sample: AttentionSample) -> None:
    assert sample.logits.shape == (4, 6, 4, 128, 128)
    assert sample.logits.dtype == np.int8
    assert sample.lengths == (20, 28, 46, 128)
    assert sample.layers == (2, 3, 4, 5)
    assert sample.heads == (0, 2, 4, 6, 8, 10)
    assert sample.scale == 1 / 16
    assert sample.model == "all-MiniLM-L6-v2"


def test_file_is_small() -> None:
    assert len((FOLDER / "attention_sample.npz").read_bytes()) < 500_000


def test_logits_are_those_documented(sample: AttentionSample) -> None:
    digest = hashlib.sha256(sample.logits.tobytes()).hexdigest()
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"| SHA-256 of the logits' bytes | `{digest}` |" in readme


def test_documented_figures(sample: AttentionSample) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    live = sample.logits[np.broadcast_to(sample.mask, sample.logits.shape)]
    assert f"| {live.size:,} of {sample.logits.size:,} |".replace(",", " ") in readme
    below, above = sample.saturated
    assert above == 0
    assert f"| {below} at -128 ({below / live.size:.2%}" in readme.replace(" %", "%")


def test_saturation_is_counted(sample: AttentionSample) -> None:
    live = sample.logits[np.broadcast_to(sample.mask, sample.logits.shape)]
    # A logit may round to -128 without being limited; none may be limited without being -128.
    assert sample.saturated[0] <= int((live == -128).sum()) <= sample.saturated[0] * 1.1


def test_mask_follows_lengths(sample: AttentionSample) -> None:
    assert sample.mask.shape == (4, 128, 128)
    for text, length in enumerate(sample.lengths):
        assert sample.mask[text, :length, :length].all()
        assert sample.mask[text].sum() == length**2


def test_padding_is_never_below_a_live_logit(sample: AttentionSample) -> None:
    padding = sample.logits[np.broadcast_to(~sample.mask, sample.logits.shape)]
    assert (padding == 127).all()


def test_tokens_label_the_texts(sample: AttentionSample) -> None:
    assert tuple(len(tokens) for tokens in sample.tokens) == sample.lengths
    for tokens in sample.tokens:
        assert tokens[0] == "[CLS]"
        assert tokens[-1] == "[SEP]"
    words = re.sub(r"\W", "", "".join(sample.tokens[0][1:-1]))
    texts = (FOLDER / "texts.txt").read_text(encoding="utf-8").split("\n\n")
    assert words == re.sub(r"\W", "", texts[0]).lower()


def test_heads_differ(sample: AttentionSample) -> None:
    heads = sample.logits.reshape(-1, *sample.logits.shape[2:])
    assert len({head.tobytes() for head in heads}) == len(heads)


def test_logits_cannot_be_changed(sample: AttentionSample) -> None:
    with pytest.raises(ValueError, match=r"^assignment destination is read-only$"):
        sample.logits[0, 0, 0, 0, 0] = 0
