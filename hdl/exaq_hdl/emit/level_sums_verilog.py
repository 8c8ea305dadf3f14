"""Verilog of the sums of values by level, and a description of it for machines."""

from typing import Any

from amaranth.hdl import Fragment

from exaq.attention import AttentionConfig
from exaq_hdl.attention.axi_level_sums import AxiLevelSums
from exaq_hdl.attention.flat_level_sums import FlatLevelSums
from exaq_hdl.emit.manifest import memories_in, ports_of, versions
from exaq_hdl.emit.names import check_name, inner_name
from exaq_hdl.emit.verilog import Emitted, check_top, emit_top
from exaq_hdl.parts.memory import Memories

#: Tops by name.
LEVEL_SUMS_TOPS: dict[str, type[AxiLevelSums | FlatLevelSums]] = {
    "axi": AxiLevelSums,
    "core": FlatLevelSums,
}


def emit_level_sums(
    config: AttentionConfig,
    *,
    outputs_per_beat: int | None = None,
    top: str = "axi",
    name: str = "exaq_level_sums",
) -> Emitted:
    """Verilog of ``LevelSums``; the same text every time.

    Parameters
    ----------
    config
        The attention head whose values are added up.
    outputs_per_beat
        As of ``LevelSums``.
    top, name
        As of ``exaq_hdl.emit_verilog``.

    Returns
    -------
    Emitted
        Self-contained text, and its manifest: configuration, ports, exponentials, latency,
        versions.

    Raises
    ------
    ValueError
        There is no such top, a tool could not take the name, or ``outputs_per_beat`` does not fit.
    """
    check_top(top, LEVEL_SUMS_TOPS)
    check_name(name)
    component = LEVEL_SUMS_TOPS[top](
        config,
        outputs_per_beat=outputs_per_beat,
        memories=Memories(ram_module=inner_name(name, "ram")),
    )
    given = config.to_dict() | {"outputs_per_beat": component.unit.outputs_per_beat}
    softmax = given.pop("softmax")
    return emit_top(
        component,
        name=name,
        title=f"Sums of values by level, {top} top",
        settings=given | softmax,
        describe=lambda design: level_sums_manifest(component, design, top=top, name=name),
    )


def level_sums_manifest(
    component: AxiLevelSums | FlatLevelSums, design: Fragment, *, top: str, name: str
) -> dict[str, Any]:
    """Plain values for JSON; parameters as of ``exaq_hdl.emit.manifest.manifest``."""
    unit = component.unit
    config = unit.config
    return {
        "name": name,
        "unit": "level-sums",
        "top": top,
        "config": config.to_dict(),
        "ports": ports_of(component),
        "exponentials": list(config.softmax.tables.exp_rom),
        "output_frac": config.output_frac,
        "outputs_per_beat": unit.outputs_per_beat,
        "memories": memories_in(design),
        "latency": {
            "cycles": unit.latency,
            "counted_from": "the row's last beat",
            "sum_cycles": unit.sum_latency,
        },
        "boot_cycles": unit.boot_cycles,
        "full_rate_row": unit.steps * config.lanes,
        "versions": versions(),
    }
