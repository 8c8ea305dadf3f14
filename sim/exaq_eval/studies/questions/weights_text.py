"""The study of 4-bit weights in words and tables, of its figures alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exaq_eval.reports.figures import table

#: Scalings in the order of tables and pictures.
SCALINGS = ("none", "clip", "aqas", "aqas+clip")

_PLACES = {
    "norm": "into the norm before",
    "linear": "into the linear layer before",
    "input": "nowhere, so that the layer divides its input as it runs",
    "unseen": "nowhere, since the layer did not run",
}
_METHOD = (
    "Weights are rounded to the codes of `exaq.dint`, a scale for each row (output) or for each "
    "group of a row, and inputs to integers of 8 bits with a scale for each token. Embeddings and "
    "output embeddings stay float. *clip* seeks the scale with the least error of the layer's "
    "output on calibration texts (with groups, of each group by itself), *aqas* scales channels, "
    "*aqas+clip* does both; see [Weights of 4 bits](torch.md#weights-of-4-bits). A weight's bits "
    "are its code and its part of a 32-bit scale. What is the paper's and what is this project's "
    "own in dINT4 and AQAS is in [Numerics](numerics.md#weights-of-4-bits)."
)


def paragraphs(result: dict[str, Any]) -> list[str]:
    """The section's body."""
    found = [_METHOD]
    for model in result["models"]:
        found += _model(model)
    return found


def _model(model: dict[str, Any]) -> Iterator[str]:
    yield _described(model)
    heads, cells = _columns(model)
    rows = []
    for row in model["rows"]:
        group = "row" if row["group_size"] is None else str(row["group_size"])
        rows.append((row["weights"], row["scaling"], group, f"{row['bits']:.2f}", *cells(row)))
    yield table(("weights", "scaling", "scale for", "bits", *heads), rows, left=3)
    yield _conclusion(model)
    if model["lengths"]:
        yield from _lengths(model)
    if model["softmax"]:
        yield (
            "With EXAQ's softmax besides, tables for each head from the first "
            f"{model['recorded_texts']} of the calibration texts of the model with these weights, "
            'clip searched (`stage="clip"`); '
            "dint4 is aqas+clip, a scale for each row:"
        )
        yield _softmax(model)
        yield _together(model)


def _described(model: dict[str, Any]) -> str:
    places = "; ".join(f"{count} {_PLACES[place]}" for place, count in model["places"].items())
    loss = ""
    if model["kind"] != "encoder":
        loss = (
            f" In float it has a loss of {model['float']['loss']:.4f} nats, a perplexity of "
            f"{model['float']['perplexity']:.2f}."
        )
    return (
        f"**{model['name']}**: {model['layers']} linear layers with {model['quantized'] / 1e6:.1f} "
        f"of its {model['weights'] / 1e6:.1f} million weights, on {model['task']['texts']} "
        f"{model['task']['what']}; calibrated on {model['calibration_texts']} other texts, "
        f"{model['calibration_tokens']} tokens.{loss} The channel scales of AQAS fold, by layers: "
        f"{places}."
    )


def _columns(model: dict[str, Any]) -> tuple[tuple[str, ...], Any]:
    if model["kind"] == "encoder":
        return (
            ("cosine mean", "min", "nearest kept"),
            lambda row: (
                f"{row['cosine_mean']:.4f}",
                f"{row['cosine_min']:.4f}",
                f"{row['nearest_kept']:.2f}",
            ),
        )
    return (
        ("increase, nats", "perplexity"),
        lambda row: (
            _rise(row),
            f"{row['perplexity']:.2f}",
        ),
    )


def _figure(model: dict[str, Any], row: dict[str, Any]) -> str:
    if model["kind"] == "encoder":
        return f"{row['cosine_mean']:.4f}"
    return f"{row['increase']:+.3f} nats"


def _better(model: dict[str, Any], row: dict[str, Any]) -> float:
    """Greater is better."""
    return float(row["cosine_mean"] if model["kind"] == "encoder" else -row["increase"])


def _conclusion(model: dict[str, Any]) -> str:
    by_row = [row for row in model["rows"] if row["group_size"] is None]
    parts = []
    for scaling in SCALINGS:
        chosen = [row for row in by_row if row["scaling"] == scaling]
        if len(chosen) > 1:
            order = sorted(chosen, key=lambda row: -_better(model, row))
            ranks = ", ".join(f"{row['weights']} {_figure(model, row)}" for row in order)
            parts.append(f"with {scaling} {ranks}")
    best = max(model["rows"], key=lambda row: _better(model, row))
    group = (
        "a scale for each row"
        if best["group_size"] is None
        else f"a scale for {best['group_size']} weights"
    )
    return (
        f"From best to worst, a scale for each row: {'; '.join(parts)}. The best of all is "
        f"{best['weights']} with {best['scaling']} and {group}, {_figure(model, best)}."
    )


def _lengths(model: dict[str, Any]) -> Iterator[str]:
    lengths = list(dict.fromkeys(row["calibration_length"] for row in model["lengths"]))
    tasks = list(dict.fromkeys(row["task_length"] for row in model["lengths"]))
    find = {(r["calibration_length"], r["task_length"]): r for r in model["lengths"]}
    yield (
        "SLAC says to calibrate on sequences as long as the task's. The same calibration tokens, "
        "cut into pieces of each length, and tasks of windows of each length with as many tokens; "
        "dint4, aqas, increase over float in nats:"
    )
    yield table(
        ("calibrated on", *(f"windows of {tokens}" for tokens in tasks)),
        (
            (
                f"{length} tokens",
                *(_rise(find[length, t]) for t in tasks),
            )
            for length in lengths
        ),
    )
    said = []
    for tokens in tasks:
        best = min(lengths, key=lambda length: find[length, tokens]["increase"])
        same = find.get((tokens, tokens))
        beside = (
            ""
            if best == tokens or same is None
            else f" ({find[best, tokens]['increase'] - same['increase']:+.3f} against {tokens})"
        )
        said.append(f"{best} for windows of {tokens}{beside}")
    agree = sum(
        find[t, t] is min((find[length, t] for length in lengths), key=lambda row: row["increase"])
        for t in tasks
        if (t, t) in find
    )
    yield (
        f"The best length of calibration is {', '.join(said)}: that of the task in {agree} of "
        f"{sum((tokens, tokens) in find for tokens in tasks)} cases where that was tried. The "
        "errors are those of the rise over float; two columns of a row share their model, and two "
        "rows of a column their windows."
    )


def _softmax(model: dict[str, Any]) -> str:
    heads, cells = _columns(model)
    rows = [
        (row["weights"], f"{row['softmax_bits']} bits", *cells(row)) for row in model["softmax"]
    ]
    return table(("weights", "softmax", *heads), rows, left=2)


def _together(model: dict[str, Any]) -> str:
    """What few bits of softmax add to float weights, and to dINT4."""
    alone = {
        "float": model["float"],
        "dint4": next(
            row
            for row in model["rows"]
            if (row["weights"], row["group_size"]) == ("dint4", None)
            and row["scaling"] == model["rows"][-1]["scaling"]
        ),
    }
    said = []
    for bits in dict.fromkeys(row["softmax_bits"] for row in model["softmax"]):
        added = []
        for weights in ("float", "dint4"):
            (row,) = (
                each
                for each in model["softmax"]
                if (each["weights"], each["softmax_bits"]) == (weights, bits)
            )
            more = -(_better(model, row) - _better(model, alone[weights]))
            added.append(f"{more:+.4f} to {weights} weights")
        said.append(f"{bits} bits {' and '.join(added)}")
    what = "of 1 - mean cosine" if model["kind"] == "encoder" else "nats"
    return f"So softmax adds, in {what}: {'; '.join(said)}."


def _rise(row: dict[str, Any]) -> str:
    """The rise of the loss, with its standard error where there is more than one window."""
    error = f" ± {row['increase_error']:.3f}" if row["increase_error"] else ""
    return f"{row['increase']:+.3f}{error}"
