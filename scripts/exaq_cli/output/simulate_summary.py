"""What ``exaq simulate`` prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from exaq import SoftmaxConfig
from exaq.attention import AttentionConfig
from exaq_cli.output.describe import describe_kernel, describe_mismatches

_LESS = ", less the row's beats"


def _spreads(config: SoftmaxConfig) -> tuple[tuple[str, str, str], ...]:
    """What the summary calls a spread, where the figures hold it, and what it counts."""
    codes = config.output == "codes"
    element, less = ("code", "") if codes else ("probability", _LESS)
    one_pass = config.kernel.passes == 1
    less = "" if one_pass else less
    begin = "first" if one_pass and codes else "last"
    results = "" if one_pass else _LESS
    return (
        ("Row", "row_cycles", f"first logit in to last {element} out"),
        ("Latency", "latency", f"{begin} logit in to first {element} out{less}"),
        ("Results' latency", "results_latency", f"last logit in to row results out{results}"),
        ("Row interval", "row_interval", "end of a row to end of the next"),
    )


def print_summary(config: SoftmaxConfig, figures: dict[str, Any], written: list[Path]) -> None:
    """Print a run's ``figures`` in lines, and the files that were written."""
    lines = {
        "Configuration": f"{describe_kernel(config)}, {config.lanes} lanes",
        "Rows": f"{figures['rows']:,}",
        "Elements": f"{figures['elements']:,}",
    }
    if figures["engine"] == "rtl":
        lines |= _cycles(config, figures)
    _print(lines, "elements", figures, written)


def print_head_summary(
    config: AttentionConfig, figures: dict[str, Any], written: list[Path]
) -> None:
    """Print a run's ``figures`` of attention heads in lines, and the files that were written."""
    softmax = config.softmax
    keys = f"{config.keys} keys{', causal' if config.causal else ''}"
    lines = {
        "Configuration": f"{keys}, {describe_kernel(softmax)}, {config.lanes} lanes",
        "Heads": f"{figures['heads']:,}, with {figures['loads']:,} sets of keys and values",
        "Rows": f"{figures['rows']:,}",
        "Scores": f"{figures['scores']:,}, in steps of {float(softmax.logit_scale):.6g}",
    }
    if "scales" in figures:
        lines["Values"] = f"in steps of {figures['scales']['value']:.6g}"
    if figures["engine"] == "rtl":
        lines |= {
            "Cycles": f"{figures['cycles']:,}",
            "Cycles per row": f"{figures['cycles_per_row']:.2f}",
            "Scores per cycle": f"{figures['scores_per_cycle']:.3f}",
            "Row": f"{_spread(figures['row_cycles'])} cycles, row in to last output out",
            "Latency": f"{_spread(figures['latency'])} cycles, row, keys and values in to first "
            "output out, less twice the keys' beats",
        }
        if figures["row_interval"] is not None:
            lines["Row interval"] = (
                f"{_spread(figures['row_interval'])} cycles, end of a row to end of the next"
            )
        lines |= {
            "Row errors": f"{figures['row_errors']:,}",
            "Mismatches": f"{figures['mismatches']:,} outputs against the golden model",
            "Stall": f"{figures['stall']:g} on each side, seed {figures['seed']}",
        }
    _print(lines, "scores", figures, written)


def _print(
    lines: dict[str, str], counted: str, figures: dict[str, Any], written: list[Path]
) -> None:
    speed = figures[f"{counted}_per_second"] / 1e6
    lines["Speed here"] = f"{speed:.1f} M {counted}/s ({figures['seconds']:.2f} s)"
    lines["Written"] = ", ".join(str(path) for path in written)
    for name, text in lines.items():
        click.echo(f"{name:<20}{text}")


def _cycles(config: SoftmaxConfig, figures: dict[str, Any]) -> dict[str, str]:
    lines = {}
    if figures["loads"]:
        lines["Loaded"] = (
            f"{figures['loads']} set{'s' if figures['loads'] > 1 else ''} of tables over AXI4-Lite "
            f"in {figures['load_cycles']:,} cycles"
        )
    lines |= {
        "Cycles": f"{figures['cycles']:,}",
        "Cycles per row": f"{figures['cycles_per_row']:.2f}",
        "Elements per cycle": f"{figures['elements_per_cycle']:.3f}",
    }
    for name, key, what in _spreads(config):
        if figures.get(key) is not None:
            lines[name] = f"{_spread(figures[key])} cycles, {what}"
    return lines | {
        "Row errors": f"{figures['row_errors']:,}",
        "Mismatches": f"{describe_mismatches(figures)} against the golden model",
        "Stall": f"{figures['stall']:g} on either side, seed {figures['seed']}",
    }


def _spread(cycles: dict[str, float]) -> str:
    low, middle, high = cycles["min"], cycles["median"], cycles["max"]
    return f"{low}" if low == high else f"{low} / {middle:g} / {high}"
