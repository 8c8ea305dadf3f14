"""Models that EXAQ serves in part, and modules with a model inside."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_models import MODELS, run, save
from torch_zoo import tiny
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertSelfAttention

import exaq
import exaq.torch
from exaq_cli.main import main

CONFIG = exaq.SoftmaxConfig(clip=-2.0)

#: The layers with a softmax of their own, two of each, and the model's class.
PARTIAL = {
    "git": ("GitModel", "2 GitSelfAttention"),
    "longt5": ("LongT5Model", "2 LongT5LocalAttention"),
    "pegasus_x": ("PegasusXModel", "2 PegasusXGlobalLocalAttention"),
    "sam": ("SamModel", "2 SamVisionAttention"),
    "siglip_vision_model": ("SiglipVisionModel", "1 MultiheadAttention"),
    "got_ocr2": ("GotOcr2Model", "2 GotOcr2VisionAttention"),
}


@pytest.mark.parametrize("kind", PARTIAL)
def test_layers_left_out_are_named(kind: str) -> None:
    model = tiny(kind)
    name, left = PARTIAL[kind]
    expected = re.escape(f"{name} keeps a float softmax in attention layers of its own: {left}")
    with pytest.warns(exaq.torch.PartialModelWarning, match=f"^{expected}$") as caught:
        exaq.torch.set_tables(model, CONFIG)
    assert [warning.filename for warning in caught] == [__file__]
    with (
        pytest.warns(exaq.torch.PartialModelWarning, match=f"^{expected}$") as caught,
        exaq.torch.record(model) as recording,
    ):
        pass
    assert [warning.filename for warning in caught] == [__file__]
    assert len(recording.layers) == len(exaq.torch.attention_layers(model))
    count, kind_of_layer = left.split()
    found = exaq.torch.unswitched_layers(model)
    assert [type(layer).__name__ for layer in found] == [kind_of_layer] * int(count)
    assert not set(found) & set(exaq.torch.attention_layers(model))


def test_with_float_softmax_everywhere_nothing_is_left_out() -> None:
    model = tiny("git")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exaq.torch.set_tables(model, None)


@pytest.mark.parametrize(
    "kind", ["bert", "clip", "gpt2", "gpt_oss", "mixtral", "qwen3_moe", "swin", "t5", "whisper"]
)
def test_whole_models_give_no_warning(kind: str) -> None:
    """Routers of experts and losses use softmax too."""
    model = tiny(kind)
    assert exaq.torch.unswitched_layers(model) == []
    exaq.torch.set_tables(model, CONFIG)


class Wrapped(nn.Module):
    """A user's module with a model inside."""

    def __init__(self, *models: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(models)

    def forward(self, *args: Any, **options: Any) -> Any:
        return self.parts[0](*args, **options)


@pytest.mark.parametrize(
    "wrap",
    [
        Wrapped,
        nn.DataParallel,
        lambda model: torch.compile(model, backend="eager"),
        lambda model: Wrapped(nn.Linear(2, 2), Wrapped(model)),
    ],
    ids=["module", "DataParallel", "compiled", "nested"],
)
def test_model_inside_another_module_is_found(wrap: Any) -> None:
    model = MODELS["bert"]()
    exaq.torch.set_tables(model, CONFIG)
    want: Tensor = run(model, None)[0]
    exaq.torch.set_tables(model, None)
    model.set_attn_implementation("sdpa")
    whole = wrap(model)
    exaq.torch.set_tables(whole, CONFIG)
    assert exaq.torch.attention_layers(whole) == exaq.torch.attention_layers(model)
    assert torch.equal(run(model, None)[0], want)
    model.set_attn_implementation("sdpa")
    with exaq.torch.record(whole) as recording:
        run(model, None)
    assert [len(calls) for calls in recording.layers] == [1, 1]
    assert model.config._attn_implementation == "sdpa"


def test_several_models_are_all_switched() -> None:
    models = [MODELS["bert"](), MODELS["gpt2"]()]
    both = Wrapped(*models)
    exaq.torch.set_tables(both, CONFIG)
    assert len(exaq.torch.attention_layers(both)) == 4
    for model in models:
        assert model.config._attn_implementation == "exaq"


def test_layer_outside_any_model_is_refused() -> None:
    config = BertConfig(hidden_size=32, num_attention_heads=4)
    model = MODELS["gpt2"]()
    whole = Wrapped(model, BertSelfAttention(config))
    expected = (
        "Wrapped holds BertSelfAttention outside any model of Transformers, "
        "so that no implementation can be set for it"
    )
    with pytest.raises(ValueError, match=f"^{expected}$"):
        exaq.torch.set_tables(whole, CONFIG)
    with pytest.raises(ValueError, match=f"^{expected}$"), exaq.torch.record(whole):
        pass
    assert model.config._attn_implementation != "exaq"
    expected = "Linear has no attention layer that an implementation can be set for"
    with pytest.raises(ValueError, match=f"^{expected}$"):
        exaq.torch.set_tables(nn.Linear(2, 2), CONFIG)


def test_parts_of_a_model_go_back_to_what_each_had() -> None:
    model = tiny("clip")
    model.set_attn_implementation({"text_config": "eager", "vision_config": "sdpa"})
    before = [
        config._attn_implementation
        for config in (model.config, model.config.text_config, model.config.vision_config)
    ]
    assert before[1:] == ["eager", "sdpa"]
    with exaq.torch.record(model):
        assert model.config.text_config._attn_implementation == "exaq"
    after = [
        config._attn_implementation
        for config in (model.config, model.config.text_config, model.config.vision_config)
    ]
    assert after == before


@pytest.fixture
def evaluate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """``exaq evaluate ARGUMENTS`` in an empty folder: its code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as exited:
            main(["evaluate", *arguments])
        captured = capfd.readouterr()
        return int(exited.value.code or 0), captured.out, captured.err

    return command


def test_evaluation_of_a_model_in_part_must_be_asked_for(
    evaluate: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    model = tiny("got_ocr2")
    for name, weights in model.named_parameters():
        if "q_proj" in name or "v_proj" in name:
            weights.data *= 30  # attention that is far from even, and matters
    save(model, tmp_path / "mine")
    quick = ["--texts", "3", "--calibration-texts", "2", "--rule", "paper", "--bits", "2"]
    code, out, err = evaluate("mine", *quick)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == (
        "exaq: error: mine: attention layers of GotOcr2Model keep a float softmax of their own, "
        "2 GotOcr2VisionAttention; --partial evaluates the others"
    )
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]
    code, out, err = evaluate("mine", *quick, "--per", "layer", "--partial")
    assert code == 0, err
    assert "Warning" not in err
    written = tmp_path / "build/evaluate/mine-int16.json"
    report = json.loads(written.read_text(encoding="utf-8"))
    assert report["model"]["float_layers"] == {"GotOcr2VisionAttention": 2}
    assert (report["model"]["layers"], report["model"]["heads"]) == (2, 4)
    (command,) = report["commands"]
    assert command.endswith(" --partial")
    text = written.with_suffix(".md").read_text(encoding="utf-8")
    assert (
        "Attention layers that keep a float softmax throughout: 2 GotOcr2VisionAttention." in text
    )


def test_evaluation_of_a_model_without_a_layer_to_serve_is_refused(
    evaluate: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """GIT reads texts without an image, by attention of its own alone."""
    save(tiny("git"), tmp_path / "mine")
    code, out, err = evaluate("mine", "--texts", "2", "--calibration-texts", "2", "--partial")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == (
        "exaq: error: no attention layer of mine runs that EXAQ can serve"
    )
