"""What the study of training says: method, tables, verdict, and its picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from exaq_eval.reports.figures import table
from exaq_eval.studies.panels import COLOURS, legend, panels

Result = dict[str, Any]

#: What is aimed at: a loss at most so far above that of the float model, in nats.
TARGET = 0.005

_TUNED = {
    "float": "float softmax, weights trained",
    "weights": "weights trained",
    "tables": "tables trained",
    "both": "weights and tables trained",
}


def body(result: Result) -> list[str]:
    """Markdown paragraphs of the figures of ``Training.run``."""
    return [
        _method(result),
        _before(result),
        _tuned_table(result),
        _verdict(result),
        _scratch_method(result),
        _scratch_table(result),
        _scratch_words(result),
    ]


def plot(result: Result, path: Path) -> Path:
    """What each training leaves of the cost, and the losses from the beginning."""
    with panels(path, 1, 2, width=3.8) as ((left, right),):
        rows = [result["rows"][1], *result["tuned"][1:]]
        names = ["no training", *(row["name"] for row in rows[1:])]
        left.bar(names, [row["increase"] for row in rows], color=COLOURS[0])
        left.axhline(TARGET, color=COLOURS[1], linewidth=1, label=f"{TARGET:g} nats")
        left.set(ylabel="loss over the float model's, nats", title="fine-tuned")
        legend(left)
        for row, colour in zip(result["scratch"], COLOURS, strict=False):
            steps = [10 * (k + 1) for k in range(len(row["curve"]))]
            right.plot(steps, row["curve"], color=colour, label=row["name"])
        right.set(xlabel="step", ylabel="loss in training, nats", title="from the beginning")
        legend(right)
    return path


def _method(result: Result) -> str:
    model, held = result["model"], result["held_out"]
    rates = result["rates"]
    return (
        f"The model {model['name']} ({model['weights'] / 1e6:.1f} million weights) with "
        f"{result['bits']} bits, logits of 16 bits in steps of 1/256 and probabilities of 16 bits. "
        "Gradients pass [straight through the quantizer](torch.md#training). Its text is split by "
        "files: it was trained, is calibrated and is trained further on the same ones, and every "
        f"loss here is that of {held['windows']} windows, {held['tokens']} tokens, of files that "
        f"none of this saw. The tables, of each head, begin as those calibrated on "
        f"{result['calibrated']} windows for the least squared error. A fine-tuning has "
        f"{result['steps']} steps of {result['batch']} windows of {model['context']} tokens, AdamW "
        f"with a learning rate of {rates['weights']:g} for weights and {rates['tables']:g} for "
        "tables, which falls along half a cosine; nothing is chosen by the held-out text."
    )


def _before(result: Result) -> str:
    exact, calibrated = result["rows"]
    return (
        f"Before any of it the float model has a loss of {exact['loss']:.4f} nats a token, and "
        f"with calibrated tables {calibrated['loss']:.4f}, {_change(calibrated)} more. Training "
        "makes the float model better too, so the losses below stand beside those of both: the "
        "float model as it was, and the float model trained on as many steps of the same windows. "
        "Behind each difference is its standard error over the windows."
    )


def _tuned_table(result: Result) -> str:
    heads = (
        "trained",
        "loss, nats",
        "over the float model",
        "over the float model trained as long",
        "minutes",
    )
    rows = [
        (
            _TUNED[row["name"]],
            f"{row['loss']:.4f}",
            _change(row),
            "" if row["name"] == "float" else _change(row, "beside"),
            f"{row['seconds'] / 60:.1f}",
        )
        for row in result["tuned"]
    ]
    return table(heads, rows)


def _verdict(result: Result) -> str:
    calibrated = result["rows"][1]["increase"]
    said = [
        f"with {_TUNED[row['name']]} it is {_within(row['increase'])} against the float model and "
        f"{_within(row['beside'])} against the float model trained as long"
        for row in result["tuned"][1:]
    ]
    best = min(result["tuned"][1:], key=lambda row: float(row["increase"]))
    share = 1 - best["increase"] / calibrated if calibrated > 0 else 0.0
    return (
        f"The aim was a loss at most {TARGET:g} nats above float: {'; '.join(said)}. Against the "
        f"float model as it was, {_TUNED[best['name']]} win back {share:.0%} of what the "
        f"calibrated tables cost. Training ran on {_threads(result)}."
    )


def _scratch_method(result: Result) -> str:
    return (
        f"The same from the beginning, {result['scratch_steps']} steps of the decoder's own "
        "training, whose full length is 2000, at its learning rate: with a float softmax, with the "
        "tables of the clip that a unit has by default, which stay, and with these tables as a "
        "beginning and every head's learning as weights do."
    )


def _scratch_table(result: Result) -> str:
    rows = [
        (
            row["name"],
            f"{row['loss']:.4f}",
            "" if row["name"] == "float" else _change(row),
            f"{row['seconds'] / 60:.1f}",
        )
        for row in result["scratch"]
    ]
    return table(("softmax", "loss, nats", "over float", "minutes"), rows)


def _scratch_words(result: Result) -> str:
    exact, *others = result["scratch"]
    each = " and ".join(f"{row['increase']:+.4f} nats with {row['name']}" for row in others)
    return (
        f"So many steps bring the float decoder to {exact['loss']:.2f} nats, and {result['bits']} "
        f"bits end at {each}. It is a short training: what a long one would give it does not say."
    )


def _change(row: Result, key: str = "increase") -> str:
    return f"{row[key]:+.4f} (±{row[f'{key}_error']:.4f})"


def _within(change: float) -> str:
    return "met" if change <= TARGET else f"missed by {change - TARGET:.4f}"


def _threads(result: Result) -> str:
    count = result["threads"]
    return "one thread" if count == 1 else f"{count} threads"
