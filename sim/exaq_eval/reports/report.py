"""Reports of evaluations as Markdown, and files of them read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exaq_eval.reports.figures import number, table
from exaq_eval.settings import GRANULARITIES, OBJECTIVES, RULES

#: What a report says it is, and the version of its fields.
FORMAT, VERSION = "exaq-evaluation", 1

Report = dict[str, Any]

_EMBEDDING_HEADS = [
    "softmax",
    "calibrated on",
    "cosine mean",
    "min",
    "held-out texts: mean",
    "min",
    "nearest kept",
    "Spearman",
]


def load(path: Path) -> Report:
    """The report in the file; ValueError with its name where it holds none."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise ValueError(f"{path} is no report of an evaluation")
    if report.get("version") != VERSION:
        raise ValueError(f"{path} is of version {report.get('version')!r}, not {VERSION}")
    return report


def to_json(report: Report) -> str:
    """Text of the report's file."""
    return json.dumps(report, indent=1, allow_nan=False) + "\n"


def merge(old: Report, new: Report) -> Report:
    """``new`` with the settings and commands of ``old`` that it lacks.

    Both must be of the same model, task, format and versions: else ``new`` as it is. Long lists
    of settings can so be evaluated in several runs.
    """
    if any(old[name] != new[name] for name in ("model", "task", "logits", "versions")):
        return new
    settings = {setting["name"]: setting for setting in (*old["settings"], *new["settings"])}
    return new | {
        "commands": list(dict.fromkeys((*old["commands"], *new["commands"]))),
        "settings": sorted(settings.values(), key=_order),
    }


def _order(setting: dict[str, Any]) -> tuple[Any, ...]:
    """Places settings as ``settings.grid`` does; tables from files come last."""
    if setting["rule"] == "file":
        return (2, setting["bits"], setting["name"])
    if setting["rule"] == "float":
        return (0,)
    objective = setting["minimise"]
    return (
        1,
        setting["bits"],
        GRANULARITIES.index(setting["per"]) if setting["per"] else -1,
        RULES.index(setting["rule"]),
        OBJECTIVES.index(objective) if objective else 0,
    )


def title(report: Report) -> str:
    """``MODEL, 16-bit logits``, for headings and pictures; with windows that were chosen."""
    words = f"{report['model']['name']}, {report['logits']['logit_width']}-bit logits"
    window = report["task"].get("window")
    return words if window is None else f"{words}, windows of {window} tokens"


def stem(report: Report) -> str:
    """Name of the report's files, without suffix: model, width of the logits, chosen windows."""
    return file_stem(
        report["model"]["name"], report["logits"]["logit_width"], report["task"].get("window")
    )


def file_stem(model: str, logit_width: int, window: int | None = None) -> str:
    """As ``stem``, before there is a report."""
    plain = "".join(c if c.isalnum() or c in "-_." else "-" for c in model).strip(".-") or "model"
    return f"{plain}-int{logit_width}" + ("" if window is None else f"-{window}")


def markdown(report: Report, image: str = "") -> str:
    """What was measured, on what, and two tables: figures of the task and of the attention.

    ``image``, Markdown, stands before the tables.
    """
    parts = [_measured(report), *([image] if image else []), _task_table(report)]
    if any("attention" in setting for setting in report["settings"]):
        parts += [_attention_table(report), _legend(report)]
    return "\n\n".join(parts) + "\n"


def _measured(report: Report) -> str:
    model, logits, versions = report["model"], report["logits"], report["versions"]
    rounding = logits["rounding_alone"]
    left = ", ".join(f"{count} {name}" for name, count in model.get("float_layers", {}).items())
    return (
        f"{model['name']}: {model['class']}, {model['weights'] / 1e6:.3g} M weights, "
        f"{model['layers']} layers of {model['heads']} heads (sha256 `{model['sha256'][:16]}`). "
        + (f"Attention layers that keep a float softmax throughout: {left}. " if left else "")
        + f"{_task_words(report)} Logits of {logits['logit_width']} bits in steps of "
        f"{logits['logit_scale']:g}, exponentials with {logits['exp_frac']} fraction bits, "
        f"probabilities of {logits['prob_bits']} bits; rounding the logits alone, with a float "
        f"softmax after it, costs a KL divergence of {number(rounding['kl'])} nats a row. "
        f"Python {versions['python']}, torch {versions['torch']}, transformers "
        f"{versions['transformers']}."
    )


def _task_words(report: Report) -> str:
    task = report["task"]
    if report["model"]["kind"] == "encoder":
        return (
            f"Task: sentence embeddings of {task['texts']} {task['what']}, {task['tokens']} tokens "
            "in all, each compared with the float model's embedding of the same text."
        )
    return (
        f"Task: predicting the next token in {task['texts']} {task['what']}, {task['tokens']} "
        f"predictions in all."
    )


def _task_table(report: Report) -> str:
    if report["model"]["kind"] == "encoder":
        return table(
            _EMBEDDING_HEADS,
            (
                [
                    setting["name"],
                    _calibrated(setting, "texts"),
                    f"{task['cosine_mean']:.4f}",
                    f"{task['cosine_min']:.4f}",
                    _four(task.get("held_out_cosine_mean")),
                    _four(task.get("held_out_cosine_min")),
                    f"{task['nearest_kept']:.3f}",
                    f"{task['spearman']:.4f}",
                ]
                for setting, task in _tasks(report)
            ),
        )
    return table(
        ["softmax", "calibrated on", "loss, nats", "increase", "perplexity"],
        (
            [
                setting["name"],
                _calibrated(setting, "windows"),
                f"{task['loss']:.4f}",
                increase(task),
                f"{task['perplexity']:.3f}",
            ]
            for setting, task in _tasks(report)
        ),
    )


def _attention_table(report: Report) -> str:
    return table(
        ["softmax", "KL, nats", "squared error", "top-1", "row sum: min", "mean", "max"],
        (
            [
                setting["name"],
                number(figures["kl"]),
                number(figures["squared_error"]),
                f"{figures['top1']:.3f}",
                f"{figures['row_sum']['min']:.4f}",
                f"{figures['row_sum']['mean']:.5f}",
                f"{figures['row_sum']['max']:.4f}",
            ]
            for setting in report["settings"]
            if (figures := setting.get("attention"))
        ),
    )


def _legend(report: Report) -> str:
    rows = next(s["attention"]["rows"] for s in report["settings"] if "attention" in s)
    return (
        f"Figures of the attention are means over {rows} rows of the float model's logits, against "
        "float softmax of the unrounded logits. Squared error is a row's sum of squared "
        "differences. Top-1 is the share of rows whose likeliest key stays the likeliest, keys "
        "that tie drawing lots. A row's probabilities add up to 1 but for the rounding of each."
    )


def increase(task: dict[str, float]) -> str:
    """Loss over the float model's, with its standard error."""
    return f"{task['increase']:+.4f} ± {task['increase_error']:.4f}" if task["increase"] else "0"


def _calibrated(setting: dict[str, Any], what: str) -> str:
    texts = setting["calibration_texts"]
    return f"{texts} {what}" if texts else ""


def _four(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _tasks(report: Report) -> Iterator[tuple[dict[str, Any], dict[str, float]]]:
    for setting in report["settings"]:
        yield setting, setting["task"]
