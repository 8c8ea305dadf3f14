"""``exaq boards``: what boards there are builds for."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from exaq_fpga.boards import BOARDS, BoardSpec

_MHZ = 1_000_000


@click.command(name="boards")
@click.option("--json", "as_json", is_flag=True, help="Print all there is to know, as JSON.")
def command(as_json: bool) -> None:
    """List the boards: device, clock, link, programmer, and how far each build is verified.

    Verified tells what was simulated of the default build and compared with the golden model; no
    board was at hand.
    """
    from exaq_fpga.boards.board_reports import load_report, proof

    reports = {name: load_report(name) for name in BOARDS}
    if as_json:
        listing = [_values(spec) | {"report": reports[spec.name]} for spec in BOARDS.values()]
        click.echo(json.dumps(listing, indent=2))
        return
    for spec in BOARDS.values():
        click.echo(f"{spec.name}: {spec.title}, {spec.device}")
        for what, text in _lines(spec, proof(reports[spec.name])):
            click.echo(f"  {what:12} {text}")


def _values(spec: BoardSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "title": spec.title,
        "family": spec.family,
        "device": spec.device,
        "capacity": asdict(spec.capacity),
        "config": spec.config.to_dict(),
        "reference": spec.reference,
        "clock": spec.clock,
        "baud": spec.link.baud,
        "rx": spec.link.rx,
        "tx": spec.link.tx,
        "link": spec.link.where,
        "ethernet": None if spec.ethernet is None else spec.ethernet.where,
        "programmer": asdict(spec.programmer),
    }


def _lines(spec: BoardSpec, verified: str) -> list[tuple[str, str]]:
    pin = "" if spec.clock == spec.reference else f", from {spec.reference / _MHZ:g} MHz by PLL"
    link = spec.link
    ethernet = spec.ethernet
    return [
        ("Default", spec.preset),
        ("Clock", f"{spec.clock / _MHZ:g} MHz{pin}"),
        ("Link", f"{link.where}; pins {link.rx} (rx), {link.tx} (tx); {link.baud} baud"),
        *([("By UDP", f"{ethernet.where}: exaq build --udp")] if ethernet else []),
        ("Programmer", f"{spec.programmer.tool}: {spec.programmer.source}"),
        ("Verified", verified),
    ]
