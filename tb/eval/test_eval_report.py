"""Reports as Markdown and as files, how runs join, and the page that is made of them."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from exaq_eval.reports import picture as plots
from exaq_eval.reports import report
from exaq_eval.settings import RULES, Setting, grid
from exaq_eval.studies import accuracy_page as document

ROOT = Path(__file__).resolve().parents[2]
TEXTS = {"layer": 12, "head": 36}
CALIBRATED = ("naive", "paper", "optimal")


def figures(kind: str, place: int) -> dict[str, float]:
    """Figures that differ from setting to setting, the worse the later."""
    if kind == "encoder":
        return {
            "cosine_mean": 1 - place / 1000,
            "cosine_min": 1 - place / 500,
            "nearest_kept": 1 - place / 100,
            "spearman": 1 - place / 200,
            "held_out_cosine_mean": 1 - place / 999,
            "held_out_cosine_min": 1 - place / 499,
            "held_out_nearest_kept": 1.0,
        }
    return {
        "loss": 1.5 + place / 100,
        "perplexity": float(np.exp(1.5 + place / 100)),
        "increase": place / 100,
        "increase_error": 0.001 if place else 0.0,
    }


def make_report(
    kind: str = "encoder", name: str = "minilm", settings: list[Setting] | None = None
) -> report.Report:
    usual = grid(rules=CALIBRATED, minimise=["mse", "kl"], texts=TEXTS)
    chosen = list(usual) if settings is None else settings
    return {
        "format": "exaq-evaluation",
        "version": 1,
        "model": {
            "name": name,
            "kind": kind,
            "class": "BertModel",
            "weights": 22_700_000,
            "layers": 6,
            "heads": 12,
            "sha256": "0123456789abcdef" * 4,
        },
        "task": {"texts": 60, "what": "docstrings", "tokens": 9000, "sha256": "00"},
        "logits": {
            "logit_width": 16,
            "logit_scale": 0.00390625,
            "exp_frac": 13,
            "prob_bits": 16,
            "rounding_alone": {"kl": 1.25e-6},
        },
        "float_attention": {"rows": 4321, "largest_probability": 0.26, "entropy": 3.4},
        "settings": [
            setting.to_dict()
            | {"task": figures(kind, place)}
            | (
                {
                    "attention": {
                        "rows": 4321,
                        "kl": place / 50,
                        "squared_error": place / 500,
                        "top1": 1 - place / 60,
                        "row_sum": {"min": 0.9981, "mean": 0.99991, "max": 1.0017},
                        "kl_of_layers": [place / 50] * 6,
                    }
                }
                if setting.bits
                else {}
            )
            for place, setting in enumerate(chosen)
        ],
        "versions": {"python": "3.11.7", "torch": "2.13.0", "transformers": "5.0.0"},
        "commands": [f"exaq evaluate {name}"],
    }


def _section(text: str, head: str) -> str:
    return text.partition(f"## {head}\n")[2].partition("\n## ")[0].rstrip()


def cells(text: str, first: str) -> list[str]:
    """Cells of the table's row that begins with ``first``; the only such row of its columns."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {first} |")][:1]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_markdown_of_an_encoder_shows_every_figure() -> None:
    text = report.markdown(make_report())
    assert cells(text, "float")[2:4] == ["1.0000", "1.0000"]
    assert cells(text, "2-bit paper, per layer") == [
        "2-bit paper, per layer",
        "12 texts",
        "0.9980",
        "0.9960",
        "0.9980",
        "0.9960",
        "0.980",
        "0.9900",
    ]
    attention = text.partition("KL, nats")[2]
    assert cells(attention, "2-bit paper, per layer") == [
        "2-bit paper, per layer",
        "0.04",
        "0.004",
        "0.967",
        "0.9981",
        "0.99991",
        "1.0017",
    ]
    assert "22.7 M weights, 6 layers of 12 heads (sha256 `0123456789abcdef`)" in text
    assert "KL divergence of 1.25e-06 nats a row" in text
    assert "means over 4321 rows" in text


def test_markdown_of_a_decoder_shows_every_figure() -> None:
    text = report.markdown(make_report("decoder", "decoder"))
    assert cells(text, "float") == ["float", "", "1.5000", "0", "4.482"]
    assert cells(text, "2-bit naive, per layer") == [
        "2-bit naive, per layer",
        "12 windows",
        "1.5100",
        "+0.0100 ± 0.0010",
        "4.527",
    ]


def test_figures_of_held_out_texts_may_be_missing() -> None:
    document_ = make_report()
    for name in [name for name in document_["settings"][1]["task"] if name.startswith("held_out")]:
        del document_["settings"][1]["task"][name]
    assert cells(report.markdown(document_), "2-bit naive, per layer")[4:6] == ["", ""]


@pytest.mark.parametrize(
    ("name", "stem"),
    [("minilm", "minilm-int16"), ("my model/x", "my-model-x-int16"), ("..", "model-int16")],
)
def test_names_of_files(name: str, stem: str) -> None:
    assert report.stem(make_report(name=name)) == stem


def test_windows_that_were_chosen_are_in_names_and_titles() -> None:
    chosen = make_report("decoder", "decoder")
    assert report.title(chosen) == "decoder, 16-bit logits"
    chosen["task"]["window"] = 2048
    assert report.stem(chosen) == "decoder-int16-2048"
    assert report.title(chosen) == "decoder, 16-bit logits, windows of 2048 tokens"


def test_reports_come_back_from_their_files(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(report.to_json(make_report()), encoding="utf-8")
    assert report.load(path) == make_report()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON: Expecting property name enclosed in double quotes: line 1 column 2"),
        ("[]", "is no report of an evaluation"),
        ('{"format": "exaq-tables"}', "is no report of an evaluation"),
        ('{"format": "exaq-evaluation", "version": 2}', "is of version 2, not 1"),
    ],
)
def test_other_files_are_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path} {message}')}"):
        report.load(path)


def test_runs_of_one_model_join_in_order() -> None:
    every = list(grid(rules=RULES, minimise=["mse", "kl"], texts=TEXTS))
    narrow = [setting for setting in every if setting.bits in (None, 2)]
    wide = [setting for setting in every if setting.bits in (None, 3, 4)]
    file = Setting(rule="file", bits=2, title="t.json")
    first, second = make_report(settings=[*narrow, file]), make_report(settings=wide)
    first["commands"], second["commands"] = ["a", "b"], ["b", "c"]
    for old, new in ((first, second), (second, first)):
        joined = report.merge(old, new)
        names = [setting["name"] for setting in joined["settings"]]
        assert names == [setting.name for setting in [*every, file]]
        assert set(joined["commands"]) == {"a", "b", "c"}
    # What both have is the newer run's.
    newer = copy.deepcopy(first)
    newer["settings"][1]["task"]["cosine_mean"] = 0.5
    assert report.merge(first, newer)["settings"][1]["task"]["cosine_mean"] == 0.5


@pytest.mark.parametrize("part", ["model", "task", "logits", "versions"])
def test_runs_of_different_things_do_not_join(part: str) -> None:
    old, new = make_report(), make_report(settings=[Setting(rule="float")])
    old[part] = old[part] | {"sha256": "other"}
    assert report.merge(old, new) == new


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_picture_shows_a_point_for_each_setting(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    plots.draw(make_report(kind), path)
    pixels = imread(path)
    assert pixels.shape[0] > 400
    assert pixels.shape[1] > 800
    shades = {tuple(pixel) for pixel in np.rint(pixels[..., :3] * 255).astype(int).reshape(-1, 3)}
    for colour in ("9ca3af", "d97706", "2563eb", "7c3aed"):
        assert tuple(bytes.fromhex(colour)) in shades
    again = tmp_path / "q.png"
    plots.draw(make_report(kind), again)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_picture_has_room_for_settings_that_cost_nothing(kind: str, tmp_path: Path) -> None:
    free = make_report(kind)
    for setting in free["settings"]:
        if kind == "encoder":
            setting["task"] |= {"cosine_mean": 1.0, "cosine_min": 1.0}
        else:
            setting["task"]["increase"] = 0.0
        if "attention" in setting:
            setting["attention"]["kl"] = 0.0
    # Warnings of Matplotlib's are errors here.
    plots.draw(free, tmp_path / "p.png")
    shades = np.rint(imread(tmp_path / "p.png")[..., :3] * 255).astype(int).reshape(-1, 3)
    assert (shades == list(bytes.fromhex("2563eb"))).all(axis=-1).any()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, kind in (("other", "encoder"), ("decoder", "decoder"), ("minilm", "encoder")):
        text = report.to_json(make_report(kind, name))
        (tmp_path / f"{name}-int16.json").write_text(text, encoding="utf-8")
    return tmp_path


def test_page_has_every_report_in_order(folder: Path, tmp_path: Path) -> None:
    drawn: list[str] = []

    def picture(stem: str) -> Path:
        drawn.append(stem)
        return tmp_path / f"{stem}.png"

    text = document.make(folder, picture)
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads == [
        "## What others measured",
        "## Rules",
        "## What the columns mean",
        "## In short",
        "## minilm, 16-bit logits",
        "## decoder, 16-bit logits",
        "## other, 16-bit logits",
    ]
    assert drawn == document.pictures(folder)
    assert drawn == ["minilm-int16", "decoder-int16", "other-int16"]
    for stem in drawn:
        assert (tmp_path / f"{stem}.png").stat().st_size > 10_000
        assert f"](accuracy/{stem}.png)" in text
    assert "Made by `exaq evaluate decoder`, with `--reports reports/accuracy`." in text
    for name in ("minilm", "decoder"):
        assert (
            report.markdown(report.load(folder / f"{name}-int16.json"), "x").split("x", 1)[0]
            in text
        )


def test_page_sums_up_what_each_width_costs(folder: Path) -> None:
    reports = [report.load(folder / f"{name}-int16.json") for name in ("minilm", "decoder")]
    # The best setting of 4 bits is neither the first of them nor per layer.
    reports[0]["settings"][23]["task"] |= {"cosine_mean": 0.9995, "cosine_min": 0.9901}
    lines = _section(document.text(reports, []), "In short").splitlines()
    assert [line for line in lines if line.startswith("| minilm")] == [
        "| minilm, 16-bit logits | 2 | 0.9990 (0.9980) | 0.9980 (0.9960) | **0.9990 (0.9980)** "
        "| naive, per layer | good |",
        "| minilm, 16-bit logits | 3 | 0.9910 (0.9820) | 0.9900 (0.9800) | **0.9910 (0.9820)** "
        "| naive, per layer | usable |",
        "| minilm, 16-bit logits | 4 | 0.9830 (0.9660) | 0.9820 (0.9640) | **0.9995 (0.9901)** "
        "| optimal (mse), per head | good |",
    ]
    assert [line for line in lines if line.startswith("| decoder")][::2] == [
        "| decoder, 16-bit logits | 2 | +0.010 (+1.0%) | +0.020 (+2.0%) | **+0.010 (+1.0%)** "
        "| naive, per layer | mild |",
        "| decoder, 16-bit logits | 4 | +0.170 (+18.5%) | +0.180 (+19.7%) | **+0.170 (+18.5%)** "
        "| naive, per layer | lossy |",
    ]
    assert any("is the right one in 98% of rows" in line for line in lines)


def test_page_sets_what_is_not_calibrated_beside_what_others_measured(folder: Path) -> None:
    made = report.load(folder / "decoder-int16.json")
    reports = [report.load(folder / "minilm-int16.json"), made]
    assert "dynamic below" not in document.text(reports, [])
    rules = ("dynamic", *CALIBRATED)
    settings = list(grid(rules=rules, minimise=["mse"], texts=TEXTS))
    reports[1] = make_report("decoder", "decoder", settings)
    text = document.text(reports, [])
    others = _section(text, "What others measured")
    # From tables 3 and 4 of arXiv 2511.21513: 12.66 in float, 17.75 and 13.76.
    assert cells(others, "LLaMA-3.2-1B, quoted")[1:] == ["+0.338", "+0.083"]
    place = [setting.name for setting in settings].index("3-bit dynamic")
    assert cells(others, "decoder, 16-bit logits, here")[1:] == ["+0.010", f"+{place / 100:.3f}"]
    lines = [line for line in _section(text, "In short").splitlines() if line.startswith("|")]
    assert lines[0].startswith("| model | bits | not calibrated | naive, per layer |")
    assert lines[2].startswith("| minilm, 16-bit logits | 2 |  | 0.9990 (0.9980) |")
    # It is best of its width, as its place is the first, but has no tables that a unit could hold.
    assert lines[5].startswith("| decoder, 16-bit logits | 2 | +0.010 (+1.0%) | +0.020 (+2.0%) |")
    assert "| **+0.020 (+2.0%)** | naive, per layer |" in lines[5]


def test_page_calls_nothing_best_where_no_rule_optimal_was_measured(folder: Path) -> None:
    made = report.load(folder / "minilm-int16.json")
    made["settings"] = [s for s in made["settings"] if (s["bits"], s["rule"]) != (4, "optimal")]
    short = _section(document.text([made], []), "In short")
    assert (
        "| minilm, 16-bit logits | 4 | 0.9830 (0.9660) | 0.9820 (0.9640) | not measured |  |  |"
    ) in short
    assert short.count("not measured") == 1


def test_nearly_one_hot_attention_is_no_test(folder: Path) -> None:
    made = report.load(folder / "decoder-int16.json")
    plain = _section(document.text([made], []), "In short")
    assert "has a probability of 0.26 on average, and a row an entropy of 3.40 nats." in plain
    assert "no test" not in plain
    made["float_attention"]["largest_probability"] = document.NEARLY_ONE_HOT
    warned = _section(document.text([made], []), "In short")
    assert warned.count("| no test, see below |") == 3
    assert "**That is nearly one-hot, so decoder is no test of few bits**" in warned


def test_folder_without_reports_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(str(tmp_path))} holds no report of an eval"):
        document.make(tmp_path, lambda stem: tmp_path / stem)


def test_page_in_docs_is_that_of_the_reports(tmp_path: Path) -> None:
    reports, docs = ROOT / "reports/accuracy", ROOT / "docs"
    text = document.make(reports, lambda stem: tmp_path / f"{stem}.png")
    cure = "`exaq evaluate --docs` makes it again"
    assert (docs / "accuracy.md").read_text(encoding="utf-8") == text, cure
    pictures = {path.name for path in (docs / "accuracy").glob("*.png")}
    assert pictures == {f"{stem}.png" for stem in document.pictures(reports)}, cure
    assert set(re.findall(r"\]\(accuracy/(.+?\.png)\)", text)) == pictures


@pytest.mark.parametrize(
    "path", sorted((ROOT / "reports/accuracy").glob("*.json")), ids=lambda p: p.name
)
def test_kept_reports_are_of_their_names_and_of_no_machine(path: Path) -> None:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if not path.name.startswith("study-"):
        assert report.stem(report.load(path)) == path.stem
        assert content["settings"][0]["rule"] == "float"
        assert all("attention" in setting for setting in content["settings"][1:])
