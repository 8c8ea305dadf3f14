"""Evaluations of small random models, each figure checked by another way to it."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import exaq
import exaq.torch
from exaq_eval import tasks
from exaq_eval.evaluation import Evaluation, evaluate
from exaq_eval.measurement import start_texts, tuning_steps
from exaq_eval.measures.scores import embedding_scores
from exaq_eval.models import folder
from exaq_eval.reports import report
from exaq_eval.scale import POWERS_OF_TWO, best_scale
from exaq_eval.settings import LogitFormat, Setting, grid
from exaq_eval.tasks import Embedding, Prediction, Task

FORMAT = LogitFormat(logit_width=12, logit_scale=2.0**-5, exp_frac=10, prob_bits=12)
SETTINGS = (
    Setting(rule="float"),
    Setting(rule="paper", bits=2, per="layer", texts=2),
    Setting(rule="optimal", bits=2, per="head", minimise="mse", texts=3),
)


def random_texts(count: int, least: int, most: int, words: int) -> list[Any]:
    random = np.random.default_rng(count)
    return [
        torch.from_numpy(random.integers(0, words, random.integers(least, most, endpoint=True)))
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def encoder(encoder_folder: Path) -> Embedding:
    import transformers

    model = transformers.BertModel.from_pretrained(encoder_folder).eval()
    texts = random_texts(6, 4, 24, 16)
    return Embedding(name="tiny", model=model, texts=texts, calibration=texts, what="texts")


@pytest.fixture(scope="module")
def decoder(decoder_folder: Path) -> Prediction:
    import transformers

    model = transformers.LlamaForCausalLM.from_pretrained(decoder_folder).eval()
    return Prediction(
        name="tiny",
        model=model,
        texts=random_texts(18, 17, 17, 16),
        calibration=random_texts(4, 17, 17, 16),
        what="windows",
    )


@pytest.fixture(scope="module")
def of_encoder(encoder: Embedding) -> Evaluation:
    return evaluate(encoder, SETTINGS, FORMAT)


@pytest.fixture(scope="module")
def of_decoder(decoder: Prediction) -> Evaluation:
    return evaluate(decoder, SETTINGS, FORMAT)


def by_name(result: Evaluation) -> dict[str, dict[str, Any]]:
    return {setting["name"]: setting for setting in result.report["settings"]}


def recorded(task: Task, texts: list[Any]) -> list[list[Any]]:
    """Logits of the float model, by its own eager attention: softmax inverted up to a constant."""
    layers: list[list[Any]] = []
    task.model.set_attn_implementation("eager")
    for text in texts:
        with torch.no_grad():
            given = task.model(input_ids=text[None], output_attentions=True).attentions
        layers.append([each[0].double().numpy() for each in given])
    return [list(calls) for calls in zip(*layers, strict=True)]


def test_tables_are_those_of_the_first_texts(encoder: Embedding, of_encoder: Evaluation) -> None:
    exaq.torch.set_tables(encoder.model, None)
    with exaq.torch.record(encoder.model) as recording:
        for text in encoder.texts[:3]:
            encoder.run(text)
    common: dict[str, Any] = {"logit_width": 12, "logit_scale": 2.0**-5, "exp_frac": 10, "bits": 2}
    first = [calls[:2] for calls in recording.layers]
    assert of_encoder.tables == {
        SETTINGS[1].name: exaq.calibrate(first, rule="paper", per="layer", **common),
        SETTINGS[2].name: exaq.calibrate(
            recording.layers, rule="optimal", per="head", minimise="mse", **common
        ),
    }


def test_task_figures_are_those_of_the_model_with_the_tables(
    encoder: Embedding, of_encoder: Evaluation
) -> None:
    embeddings = {}
    for setting in SETTINGS:
        tables = of_encoder.tables.get(setting.name)
        if tables is None:
            encoder.model.set_attn_implementation("eager")
        else:
            exaq.torch.set_tables(encoder.model, tables, prob_bits=12)
        with torch.no_grad():
            embeddings[setting.name] = np.stack(
                [
                    encoder.model(input_ids=text[None]).last_hidden_state[0].mean(dim=0).numpy()
                    for text in encoder.texts
                ]
            )
    for setting in SETTINGS:
        expected = embedding_scores(
            embeddings["float"], embeddings[setting.name], calibrated=setting.texts
        )
        given = by_name(of_encoder)[setting.name]["task"]
        assert given == pytest.approx(expected, rel=1e-4)
    assert by_name(of_encoder)["float"]["task"]["cosine_min"] == pytest.approx(1, abs=1e-6)
    assert by_name(of_encoder)[SETTINGS[1].name]["task"]["cosine_min"] < 0.9999


def test_losses_are_those_that_transformers_computes(
    decoder: Prediction, of_decoder: Evaluation
) -> None:
    for setting in SETTINGS:
        tables = of_decoder.tables.get(setting.name)
        changes: dict[str, Any] = {"prob_bits": 12} if tables else {}
        exaq.torch.set_tables(decoder.model, tables, **changes)
        losses = []
        for text in decoder.texts:
            with torch.no_grad():
                losses.append(decoder.model(input_ids=text[None], labels=text[None]).loss.item())
        given = by_name(of_decoder)[setting.name]["task"]
        assert given["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
        assert given["perplexity"] == pytest.approx(math.exp(np.mean(losses)), rel=1e-3)
    assert by_name(of_decoder)["float"]["task"]["increase"] == 0
    assert by_name(of_decoder)[SETTINGS[1].name]["task"]["increase"] != 0


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_attention_is_compared_with_the_models_own(
    kind: str, request: pytest.FixtureRequest
) -> None:
    task: Task = request.getfixturevalue(kind)
    result: Evaluation = request.getfixturevalue(f"of_{kind}")
    texts = list(task.attention_texts)
    if kind == "decoder":
        texts = [text[:-1] for text in texts]
    exact = recorded(task, texts)
    setting = SETTINGS[2]
    tables = result.tables[setting.name]
    errors, sums = [], []
    exaq.torch.set_tables(task.model, None)
    with exaq.torch.record(task.model) as recording:
        for text in task.attention_texts:
            task.run(text)
    for layer, calls in enumerate(recording.layers):
        for logits, probabilities in zip(calls, exact[layer], strict=True):
            for head, (x, p) in enumerate(zip(logits, probabilities, strict=True)):
                config = exaq.SoftmaxConfig(
                    logit_width=12,
                    logit_scale=2.0**-5,
                    exp_frac=10,
                    prob_bits=12,
                    tables=tables.find(f"layer{layer}.head{head}").tables,
                )
                live = np.isfinite(x)
                steps = np.clip(np.rint(np.where(live, x, 0) * 32), -2048, 2047).astype(int)
                q = exaq.softmax(steps, config, live)
                errors += list(np.square(q / 4096 - p).sum(axis=-1))
                sums += list((q / 4096).sum(axis=-1))
    everything = [
        row for calls in exact for call in calls for row in call.reshape(-1, call.shape[-1])
    ]
    assert result.report["float_attention"]["largest_probability"] == pytest.approx(
        np.mean([row.max() for row in everything]), rel=1e-4
    )
    figures = by_name(result)[setting.name]["attention"]
    assert figures["rows"] == len(errors)
    assert figures["squared_error"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert figures["row_sum"] == pytest.approx(
        {"min": min(sums), "mean": np.mean(sums), "max": max(sums)}, rel=1e-5
    )


def test_attention_of_a_language_model_is_compared_on_windows_spread_over_all(
    decoder: Prediction,
) -> None:
    chosen = [
        next(k for k, t in enumerate(decoder.texts) if t is c) for c in decoder.attention_texts
    ]
    assert chosen == list(range(0, 18, 2))
    assert len(chosen) <= tasks.COMPARED_WINDOWS


def test_same_evaluation_gives_the_same_report(encoder: Embedding, of_encoder: Evaluation) -> None:
    again = evaluate(encoder, SETTINGS, FORMAT)
    assert report.to_json(again.report) == report.to_json(of_encoder.report)
    assert json.loads(report.to_json(again.report)) == again.report


def test_report_says_what_was_measured(encoder: Embedding, of_encoder: Evaluation) -> None:
    document = of_encoder.report
    assert (document["format"], document["version"]) == ("exaq-evaluation", 1)
    model = document["model"]
    assert (model["layers"], model["heads"], model["class"]) == (2, 2, "BertModel")
    assert model["weights"] == sum(w.numel() for w in encoder.model.parameters())
    assert document["task"]["tokens"] == sum(len(text) for text in encoder.texts)
    assert document["logits"]["logit_width"] == 12
    assert 0 < document["logits"]["rounding_alone"]["kl"] < 1e-2
    setting = by_name(of_encoder)[SETTINGS[2].name]
    assert setting["calibration_texts"] == 3
    assert setting["tables"]["sets"] == 4
    assert setting["tables"]["provenance"]["rule"] == "optimal"
    assert set(document["versions"]) == {"python", "exaq", "numpy", "torch", "transformers"}


def test_model_is_float_again_and_hash_follows_weights(encoder: Embedding) -> None:
    before = encoder.run(encoder.texts[0])
    first = evaluate(encoder, SETTINGS[:2], FORMAT).report["model"]["sha256"]
    np.testing.assert_array_equal(encoder.run(encoder.texts[0]), before)
    weight = next(encoder.model.parameters())
    with torch.no_grad():
        weight[0, 0] += 1
        try:
            changed = evaluate(encoder, SETTINGS[:1], FORMAT).report["model"]["sha256"]
        finally:
            weight[0, 0] -= 1
    assert changed != first


def test_given_tables_take_the_place_of_calibration(
    encoder: Embedding, of_encoder: Evaluation
) -> None:
    tables = of_encoder.tables[SETTINGS[2].name]
    named = Setting(rule="file", bits=2, title="t.json")
    result = evaluate(encoder, [SETTINGS[0], named], FORMAT, given={named.name: tables})
    given, expected = by_name(result)["2-bit, t.json"], by_name(of_encoder)[SETTINGS[2].name]
    assert given["attention"] == expected["attention"]
    shared = ("cosine_mean", "cosine_min", "nearest_kept", "spearman")
    for name in shared:
        assert given["task"][name] == expected["task"][name]
    assert given["calibration_texts"] == 0


@pytest.mark.parametrize("bits", [2, 4])
def test_the_rule_dynamic_clips_each_call_by_its_own_logits(bits: int, decoder: Prediction) -> None:
    setting = Setting(rule="dynamic", bits=bits)
    result = evaluate(decoder, [SETTINGS[0], setting], FORMAT)
    found = by_name(result)[setting.name]
    assert result.tables == {}
    assert "tables" not in found
    slope, constant = {2: (1.66, 1.85), 4: (1.83, 2.27)}[bits]
    errors = []
    for text in decoder.attention_texts:
        with exaq.torch.record(decoder.model) as recording:
            decoder.run(text)
        for (logits,) in recording.layers:
            live = np.isfinite(logits)
            real = logits.astype(np.float64)
            distances = real - real.max(axis=-1, keepdims=True)
            spread = distances[live].std(ddof=1)
            clip = max(distances[live].min(), -slope * spread - constant)
            config = FORMAT.config(bits=bits, clip=clip)
            integers = exaq.logits_to_integers(np.where(live, logits, 0), config)
            given = exaq.softmax(integers, config, live) / 2**12
            p = np.exp(distances)
            p /= p.sum(axis=-1, keepdims=True)
            errors += list(((p - given) ** 2).sum(axis=-1).ravel())
    assert found["attention"]["rows"] == len(errors)
    assert found["attention"]["squared_error"] == pytest.approx(np.mean(errors), rel=1e-4)
    exaq.torch.set_tables(
        decoder.model, exaq.torch.Uncalibrated(bits=bits, changes=dataclasses.asdict(FORMAT))
    )
    served = decoder.outputs()
    exaq.torch.set_tables(decoder.model, None)
    assert found["task"]["loss"] == pytest.approx(served.mean(), rel=1e-5)
    assert found["task"]["increase"] == pytest.approx(
        served.mean() - decoder.outputs().mean(), rel=1e-3
    )


def test_best_scale_has_the_least_divergence(encoder: Embedding) -> None:
    texts = encoder.texts[:3]
    chosen = best_scale(encoder, texts, LogitFormat(logit_width=6))
    with exaq.torch.record(encoder.model) as recording:
        for text in texts:
            encoder.run(text)

    def divergence(scale: float) -> float:
        rows = []
        for calls in recording.layers:
            for logits in calls:
                real = logits.astype(np.float64)
                steps = np.clip(np.rint(real / scale), -32, 31) * scale
                p, q = (np.exp(x - x.max(axis=-1, keepdims=True)) for x in (real, steps))
                p, q = (x / x.sum(axis=-1, keepdims=True) for x in (p, q))
                rows += list((p * np.log(p / q)).sum(axis=-1).ravel())
        return float(np.mean(rows))

    assert chosen == min(POWERS_OF_TWO, key=divergence)
    assert divergence(chosen) < min(divergence(chosen * 2), divergence(chosen / 2))


def test_progress_ends_each_stage(encoder: Embedding) -> None:
    last: dict[str, tuple[int, int]] = {}

    def told(done: int, total: int, now: str) -> None:
        assert 0 <= done <= total
        last[now] = (done, total)

    settings = list(grid(rules=["paper"], bits=[2], per=["layer"], texts={"layer": 2, "head": 2}))
    evaluate(encoder, settings, FORMAT, progress=told)
    assert all(done == total for done, total in last.values())
    assert list(last) == [
        "trying the model",
        "recording logits",
        "calibrating 2-bit paper, per layer",
        "running float",
        "running 2-bit paper, per layer",
        "comparing attention",
    ]


def test_short_texts_are_refused(encoder: Embedding) -> None:
    with pytest.raises(ValueError, match=r"^a text must have at least 2 tokens, not 1$"):
        Embedding(
            name="x",
            model=encoder.model,
            texts=[torch.tensor([1])],
            calibration=[],
            what="texts",
        )


def test_models_from_folders_get_their_tasks(encoder_folder: Path, decoder_folder: Path) -> None:
    embedding = tasks.load(str(encoder_folder), 3)
    assert isinstance(embedding, Embedding)
    assert (embedding.name, len(embedding.texts), len(embedding.calibration)) == (
        "tiny-bert",
        3,
        60,
    )
    assert all(a is b for a, b in zip(embedding.texts, embedding.calibration, strict=False))
    prediction = tasks.load(str(decoder_folder), 5)
    assert isinstance(prediction, Prediction)
    assert len(prediction.texts) == 5
    assert {len(text) for text in prediction.texts} == {33}
    assert prediction.tokens == 5 * 32
    assert len(prediction.calibration) == tasks.CALIBRATION_WINDOWS


def test_a_large_decoder_gets_a_short_look(
    decoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tasks.load(str(decoder_folder))
    assert (len(small.texts), len(small.calibration)) == (64, 256)
    assert small.calibration_counts == {"layer": 16, "head": 16}
    assert len(small.attention_texts) == 16
    assert "window" not in small.describe()

    weights = sum(weight.numel() for weight in small.model.parameters())
    monkeypatch.setattr(folder, "LARGE", weights)
    large = tasks.load(str(decoder_folder))
    assert (len(large.texts), len(large.calibration)) == (16, 32)
    assert large.calibration_counts == {"layer": 4, "head": 4}
    # The windows of either are as long as the model has positions.
    assert {len(text) for text in (*small.texts, *large.texts)} == {33}
    for tokens, count in ((64, 2), (33, 1), (16, 1)):
        monkeypatch.setattr(tasks, "LARGE_COMPARED_TOKENS", tokens)
        assert len(large.attention_texts) == count

    monkeypatch.setattr(folder, "LARGE", weights + 1)
    assert len(tasks.load(str(decoder_folder)).texts) == 64
    chosen = tasks.load(str(decoder_folder), 2, tokens=24)
    assert chosen.describe()["window"] == 24
    assert chosen.tokens == 2 * 24


@pytest.mark.parametrize("minimise", ["output", "block-sequential", "loss", "kl-sequential"])
def test_the_model_takes_part_in_calibration(decoder: Prediction, minimise: str) -> None:
    setting = Setting(rule="optimal", bits=2, per="head", minimise=minimise, texts=3)
    result = evaluate(decoder, (Setting(rule="float"), setting), FORMAT)
    objective, _, sequential = minimise.partition("-")
    tables = exaq.torch.calibrate(
        decoder.model,
        [text[None] for text in decoder.calibration[:3]],
        run=lambda model, text: model(text[:, :-1]),
        loss=(lambda output, text: decoder.loss(output, text[0])) if objective == "loss" else None,
        minimise=objective,  # type: ignore[arg-type]
        sequential=bool(sequential),
        bits=2,
        logit_width=12,
        logit_scale=2.0**-5,
        exp_frac=10,
        prob_bits=12,
    )
    found = result.tables[setting.name]
    assert [entry.tables for entry in found.sets] == [entry.tables for entry in tables.sets]
    assert by_name(result)[setting.name]["tables"]["provenance"]["minimise"] == objective


def test_tuning_goes_on_from_tables_of_the_usual_texts(
    decoder: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables of the first windows are tuned on more, each of which is seen three times."""
    seen: dict[str, Any] = {}

    def tune(model: Any, tables: Any, texts: Any, **options: Any) -> Any:
        seen.update(options, tables=tables, texts=len(texts))
        return tables

    monkeypatch.setattr(exaq.torch, "tune", tune)
    monkeypatch.setattr(tasks, "CALIBRATED_WINDOWS", 2)
    setting = Setting(rule="optimal", bits=2, per="layer", minimise="tuned", texts=4)
    found = evaluate(decoder, (Setting(rule="float"), setting), FORMAT).tables[setting.name]
    assert found == seen["tables"]
    assert found.provenance["layers"][0]["batches"] == 2
    assert (seen["texts"], seen["steps"], seen["batch"]) == (4, 60, 1)
    assert start_texts(dataclasses.replace(setting, texts=1), decoder) == 1
    assert start_texts(dataclasses.replace(setting, minimise="block"), decoder) == 4
    assert tuning_steps(dataclasses.replace(setting, texts=24), decoder) == 72


def test_an_encoder_has_no_loss(encoder: Embedding) -> None:
    setting = Setting(rule="optimal", bits=2, per="head", minimise="loss", texts=1)
    with pytest.raises(ValueError, match=r"^tiny has no loss: the objective loss is for decoders$"):
        evaluate(encoder, (Setting(rule="float"), setting), FORMAT)
