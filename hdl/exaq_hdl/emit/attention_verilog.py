"""Verilog of an attention head, and a description of it for machines."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Fragment

from exaq.attention import AttentionConfig
from exaq_hdl.attention.attention_head import AttentionHead, head_ports
from exaq_hdl.attention.axi_attention import AxiAttention
from exaq_hdl.emit.manifest import memories_in, ports_of, versions
from exaq_hdl.emit.names import check_name, inner_name
from exaq_hdl.emit.verilog import Emitted, check_top, emit_top
from exaq_hdl.parts.memory import Memories
from exaq_hdl.shell.flat_unit import FlatUnit

#: Tops by name.
ATTENTION_TOPS: dict[str, Callable[[AttentionHead], Any]] = {
    "axi": AxiAttention,
    "core": lambda unit: FlatUnit(unit, head_ports(unit.config, unit.outputs_per_beat)),
}


def emit_attention(
    config: AttentionConfig,
    *,
    multipliers: str = "lut",
    outputs_per_beat: int | None = None,
    top: str = "axi",
    name: str = "exaq_attention",
) -> Emitted:
    """Verilog of ``AttentionHead``; the same text every time.

    Parameters
    ----------
    config, multipliers, outputs_per_beat
        As of ``AttentionHead``.
    top, name
        As of ``exaq_hdl.emit_verilog``.

    Returns
    -------
    Emitted
        Self-contained text, and its manifest: configuration, ports, tables, latency, versions.

    Raises
    ------
    ValueError
        There is no such top, a tool could not take the name, or ``outputs_per_beat`` or
        ``multipliers`` does not fit.
    """
    check_top(top, ATTENTION_TOPS)
    check_name(name)
    unit = AttentionHead(
        config,
        multipliers=multipliers,
        outputs_per_beat=outputs_per_beat,
        memories=Memories(ram_module=inner_name(name, "ram")),
    )
    component = ATTENTION_TOPS[top](unit)
    given = config.to_dict() | {"outputs_per_beat": unit.outputs_per_beat}
    softmax = given.pop("softmax")
    return emit_top(
        component,
        name=name,
        title=f"Attention head, {top} top",
        settings=given | softmax | {"multipliers": multipliers},
        describe=lambda design: (
            _manifest(component, design, top=top, name=name) | {"multipliers": multipliers}
        ),
    )


def _manifest(component: Any, design: Fragment, *, top: str, name: str) -> dict[str, Any]:
    unit = component.unit
    config = unit.config
    tables = config.softmax.tables
    return {
        "name": name,
        "unit": "attention",
        "top": top,
        "config": config.to_dict(),
        "ports": ports_of(component),
        "tables": {"thresholds": list(tables.thresholds), "exp_rom": list(tables.exp_rom)},
        "output_frac": config.output_frac,
        "outputs_per_beat": unit.outputs_per_beat,
        "memories": memories_in(design),
        "latency": {"cycles": unit.latency, "counted_from": "twice the row's beats of keys"},
        "full_rate_row": unit.full_rate_row,
        "versions": versions(),
    }
