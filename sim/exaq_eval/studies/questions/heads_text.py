"""The study of attention heads in integers in words and tables, of its figures alone."""

from __future__ import annotations

from typing import Any

from exaq_eval.reports.figures import table

_METHOD = (
    "Every head is computed by `exaq.attention`, the golden model of the attention unit: q of 8 "
    "bits with the scales of the keys' channels folded in, values of 8 bits, outputs of 16, tables "
    "for each head. Scales are those with which no operand of the calibration texts saturates. "
    "*Float* is the exact softmax of the integer dot products, so that its rows are what the "
    "operands alone cost. *Probabilities* are those of a head to compare with, whose softmax is "
    "the kernel `multiply`, and which multiplies each value by a probability of that many bits."
)


def paragraphs(result: dict[str, Any]) -> list[str]:
    """The section's body."""
    found = [_METHOD]
    for model in result["models"]:
        found += [_described(model), _table(model), _conclusion(model)]
    return found


def softmax_of(row: dict[str, Any]) -> str:
    """What a row's softmax is, in words."""
    if "probabilities" in row:
        return f"{row['probabilities']}-bit probabilities"
    return "float" if row["bits"] is None else f"{row['bits']} bits"


def of_codes(model: dict[str, Any]) -> list[dict[str, Any]]:
    """A model's rows without those of heads that multiply by probabilities."""
    return [row for row in model["rows"] if "probabilities" not in row]


def cost(model: dict[str, Any], row: dict[str, Any]) -> float:
    """What a row costs the model: 1 - mean cosine, or the rise of the loss in nats."""
    return float(1 - row["cosine_mean"] if model["kind"] == "encoder" else row["increase"])


def _described(model: dict[str, Any]) -> str:
    loss = ""
    if model["kind"] != "encoder":
        loss = f" In float it has a loss of {model['float']['loss']:.4f} nats."
    count = model["calibration_texts"]
    return (
        f"**{model['name']}** on {model['task']['texts']} {model['task']['what']}; calibrated on "
        f"{count} other text{'s' if count > 1 else ''}.{loss}"
    )


def _table(model: dict[str, Any]) -> str:
    encodes = model["kind"] == "encoder"
    heads = ("cosine mean", "min", "nearest kept") if encodes else ("increase, nats", "perplexity")
    rows = []
    for row in model["rows"]:
        if encodes:
            names = {"cosine_mean": 4, "cosine_min": 4, "nearest_kept": 2}
            cells = [f"{row[name]:.{digits}f}" for name, digits in names.items()]
        else:
            error = f" ± {row['increase_error']:.3f}" if row["increase_error"] else ""
            cells = [f"{row['increase']:+.3f}{error}", f"{row['perplexity']:.2f}"]
        rows.append((row["keys"], softmax_of(row), *cells))
    return table(("keys", "softmax", *heads), rows, left=2)


def _conclusion(model: dict[str, Any]) -> str:
    """What keys of 4 bits add to those of 8, and a softmax of each width to a float one."""
    rows = of_codes(model)
    costs = {(row["keys"], row["bits"]): cost(model, row) for row in rows}
    kinds = list(dict.fromkeys(row["keys"] for row in rows))
    widths = [bits for bits in dict.fromkeys(row["bits"] for row in rows) if bits]
    operands = ", ".join(f"{costs[keys, None]:+.4f} with {keys} keys" for keys in kinds)
    added = "; ".join(
        f"{bits} bits "
        + ", ".join(f"{costs[keys, bits] - costs[keys, None]:+.4f} beside {keys}" for keys in kinds)
        for bits in widths
    )
    what = "1 - mean cosine" if model["kind"] == "encoder" else "nats"
    multiplied = "; ".join(
        f"a head of {row['keys']} keys with {softmax_of(row)} costs {cost(model, row):+.4f} in all"
        for row in model["rows"]
        if "probabilities" in row
    )
    beside = f" Beside them {multiplied}." if multiplied else ""
    return f"In {what}, operands cost {operands}; the softmax adds {added}.{beside}"
