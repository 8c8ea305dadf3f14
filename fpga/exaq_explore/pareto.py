"""Which of many units no other one beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: Figures that count, all to be small but the rate.
FIGURES = ("lut4", "dsp", "latency", "error", "rate")


def beats(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    """Whether ``a`` is nowhere worse than ``b``, and somewhere better."""
    pairs = [(_cost(a, name), _cost(b, name)) for name in FIGURES]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


def pareto(figures: Sequence[Mapping[str, float]]) -> list[int]:
    """Places of those in ``figures`` that no other one beats, in their order; equals stay."""
    return [
        place
        for place, own in enumerate(figures)
        if not any(beats(other, own) for other in figures)
    ]


def _cost(figures: Mapping[str, float], name: str) -> float:
    return -figures[name] if name == "rate" else figures[name]
