"""The study of 4-bit weights: its figures by another way, and what the section says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from exaq.torch import quantize_linears
from exaq_eval.models import from_folder
from exaq_eval.studies.questions.weights import Subject, Weights

ENDS = ("none", "aqas+clip")


@pytest.fixture(scope="module")
def encoder_result(encoder_folder: Path) -> dict[str, Any]:
    subject = Subject(
        name=str(encoder_folder), texts=2, calibrated=2, scalings=ENDS, groups=(5,), recorded=1
    )
    return Weights(subjects=(subject,), widths=(2,)).run()


@pytest.fixture(scope="module")
def decoder_result(decoder_folder: Path) -> dict[str, Any]:
    subject = Subject(
        name=str(decoder_folder),
        texts=2,
        calibrated=2,
        tokens=32,
        scalings=ENDS,
        groups=(),
        lengths=(4, 32),
        tasks=(16, 32),
    )
    return Weights(subjects=(subject,), widths=()).run()


def find(model: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    (row,) = (
        row for row in model["rows"] if all(row[key] == value for key, value in wanted.items())
    )
    found: dict[str, Any] = row
    return found


def test_an_encoder_is_measured_on_texts_behind_those_of_calibration(
    encoder_result: dict[str, Any], encoder_folder: Path
) -> None:
    (model,) = encoder_result["models"]
    assert [(row["weights"], row["scaling"], row["group_size"]) for row in model["rows"]] == [
        ("int4", "none", None),
        ("int4", "aqas+clip", None),
        ("dint4", "none", None),
        ("dint4", "aqas+clip", None),
        ("fp4", "none", None),
        ("fp4", "aqas+clip", None),
        ("dint4", "none", 5),
        ("dint4", "aqas+clip", 5),
    ]
    found = from_folder(encoder_folder)
    texts = [found.tokenizer(text) for text in found.texts[:14]]
    exact = [_embedding(found.model, text) for text in texts[12:]]
    for scaling, row in zip(ENDS, model["rows"][6:], strict=True):
        calibration = None if scaling == "none" else texts[:2]
        with quantize_linears(
            found.model, "dint4", scaling=scaling, group_size=5, calibration=calibration
        ) as made:
            given = [_embedding(found.model, text) for text in texts[12:]]
            # Four bits and a part of 32 for each group, the last of each row shorter.
            assert row["bits"] == pytest.approx(made.bits(), abs=1e-3)
        cosines = [
            float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
            for a, b in zip(exact, given, strict=True)
        ]
        assert row["cosine_mean"] == pytest.approx(np.mean(cosines), abs=2e-6)
        assert row["cosine_min"] == pytest.approx(min(cosines), abs=2e-6)


def _embedding(model: Any, text: torch.Tensor) -> Any:
    with torch.no_grad():
        return model(input_ids=text[None]).last_hidden_state[0].double().mean(0).numpy()


def test_a_decoder_is_measured_at_each_length(
    decoder_result: dict[str, Any], decoder_folder: Path
) -> None:
    (model,) = decoder_result["models"]
    pairs = [(row["calibration_length"], row["task_length"]) for row in model["lengths"]]
    assert pairs == [(4, 16), (4, 32), (32, 16), (32, 32)]
    found = from_folder(decoder_folder)
    (text,) = found.calibration
    from exaq_eval.models import corpus

    calibration = corpus.windows(text, 2, 33, found.tokenizer, 16)[:, :-1]
    (text,) = found.texts
    measured = corpus.windows(text, 4, 17, found.tokenizer, 16)
    pieces = calibration.reshape(-1, 4)
    exact = _loss(found.model, measured)
    with quantize_linears(found.model, scaling="aqas", calibration=list(pieces)):
        given = _loss(found.model, measured)
    row = model["lengths"][0]
    assert row["increase"] == pytest.approx(given - exact, rel=1e-3, abs=1e-6)


def _loss(model: Any, windows: torch.Tensor) -> float:
    with torch.no_grad():
        logits = model(input_ids=windows[:, :-1], use_cache=False).logits.double()
    return float(functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten()))


def test_the_model_is_float_again(encoder_folder: Path, encoder_result: dict[str, Any]) -> None:
    (model,) = encoder_result["models"]
    assert model["float"]["cosine_min"] == pytest.approx(1)
    assert {row["weights"] for row in model["softmax"]} == {"float", "dint4"}


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_the_section_shows_every_figure(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    result = json.loads(json.dumps(request.getfixturevalue(f"{kind}_result")))
    text = Weights().markdown(result)
    (model,) = result["models"]
    for row in [*model["rows"], *model["softmax"]]:
        shown = f"{row['cosine_mean']:.4f}" if kind == "encoder" else f"{row['increase']:+.3f}"
        assert shown in text
    for row in model["lengths"]:
        assert f"{row['increase']:+.3f} ± {row['increase_error']:.3f}" in text
    assert "nan" not in text.split()
    path = tmp_path / "plot.png"
    assert Weights().plot(result, path) == path
    assert path.read_bytes().startswith(b"\x89PNG")
