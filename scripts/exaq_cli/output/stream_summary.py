"""What ``exaq stream`` prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from exaq import SoftmaxConfig
from exaq.attention import AttentionConfig
from exaq_cli.output.describe import describe_kernel, describe_mismatches, describe_unit


def print_summary(config: SoftmaxConfig, figures: dict[str, Any], written: list[Path]) -> None:
    """Print a run's ``figures`` in lines, and the files that were written."""
    configuration = f"{describe_kernel(config)}, {config.lanes} lanes"
    counted = {}
    if figures["loads"]:
        counted["Loaded"] = f"{figures['loads']} set{'s' if figures['loads'] > 1 else ''} of tables"
    counted |= {"Rows": f"{figures['rows']:,}", "Elements": f"{figures['elements']:,}"}
    _print(configuration, counted, config.output, figures, written)


def print_head_summary(
    config: AttentionConfig, figures: dict[str, Any], written: list[Path]
) -> None:
    """The same of a run of attention heads."""
    counted = {
        "Heads": f"{figures['heads']:,}, of {figures['keys']:,} keys",
        "Rows": f"{figures['rows']:,}",
    }
    _print(describe_unit(config), counted, "outputs", figures, written)


def _print(
    configuration: str,
    counted: dict[str, str],
    payload: str,
    figures: dict[str, Any],
    written: list[Path],
) -> None:
    speed = figures["payload_octets_per_second"] / 1e3
    link = figures["link"]
    lines = {
        "Board": f"{figures['board']}, built by version {figures['version']}",
        "Clock": f"{figures['clock'] / 1e6:g} MHz",
        "Configuration": configuration,
        **counted,
        "Time": f"{figures['seconds']:.2f} s, {figures['rows_per_second']:,.0f} rows/s",
        "Payload": f"{speed:.1f} kB/s of {payload}, {figures['payload_share']:.0%} of what "
        f"{figures['baud']:,} baud allow",
        "Link": f"{link['requests']:,} requests, {link['resent']:,} of them sent again; "
        f"{_damage(link)}",
        "Mismatches": f"{describe_mismatches(figures)} against the golden model"
        if "mismatches" in figures
        else "not looked for",
        "Written": ", ".join(str(path) for path in written),
    }
    for name, text in lines.items():
        click.echo(f"{name:<20}{text}")


def _damage(link: dict[str, Any]) -> str:
    count = link["dropped"]
    heard = f"{count:,} damaged frame{'' if count == 1 else 's'} received"
    return f"{heard}, damage reported {link['reports']:,} times by the board"
