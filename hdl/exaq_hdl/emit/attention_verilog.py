"""Verilog of an attention head, or of what it has behind the softmax, and their descriptions."""

from collections.abc import Callable, Mapping
from typing import Any

from exaq.attention import AttentionConfig
from exaq_hdl.attention.attention_head import AttentionHead, head_ports
from exaq_hdl.attention.axi_attention import AxiAttention
from exaq_hdl.attention.axi_level_sums import AxiLevelSums
from exaq_hdl.attention.axi_streamed_attention import AxiStreamedAttention
from exaq_hdl.attention.level_sums import LevelSums, level_sums_ports
from exaq_hdl.emit.manifest import memories_in, ports_of, versions
from exaq_hdl.emit.names import check_name
from exaq_hdl.emit.target import FPGA
from exaq_hdl.emit.verilog import Emitted, check_top, emit_top
from exaq_hdl.parts.memory import Memories
from exaq_hdl.shell.flat_unit import FlatUnit

_Tops = Mapping[str, Callable[[Any], Any]]

#: Tops of an attention head, and of the sums of values by level, by name.
ATTENTION_TOPS: _Tops = {
    "axi": lambda unit: (
        AxiStreamedAttention(unit) if unit.operands == "streamed" else AxiAttention(unit)
    ),
    "core": lambda unit: FlatUnit(
        unit, head_ports(unit.config, unit.outputs_per_beat, unit.operands)
    ),
}
LEVEL_SUMS_TOPS: _Tops = {
    "axi": AxiLevelSums,
    "core": lambda unit: FlatUnit(unit, level_sums_ports(unit.config, unit.outputs_per_beat)),
}


def emit_attention(
    config: AttentionConfig,
    *,
    operands: str = "stored",
    multipliers: str = "lut",
    value_multipliers: str | None = None,
    outputs_per_beat: int | None = None,
    top: str = "axi",
    name: str = "exaq_attention",
) -> Emitted:
    """Verilog of ``AttentionHead``; the same text every time.

    Parameters
    ----------
    config, operands, multipliers, value_multipliers, outputs_per_beat
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
        There is no such top, a tool could not take the name, or ``operands``, ``outputs_per_beat``
        or ``multipliers`` does not fit.
    """
    _check(top, ATTENTION_TOPS, name)
    memories = FPGA.memories(name)
    unit = AttentionHead(
        config,
        operands=operands,
        multipliers=multipliers,
        value_multipliers=value_multipliers,
        outputs_per_beat=outputs_per_beat,
        memories=memories,
    )
    tables = {}
    made_of = {"multipliers": multipliers, "operands": operands}
    if config.by_level:
        of_exaq = config.softmax.tables
        tables = {"thresholds": list(of_exaq.thresholds), "exp_rom": list(of_exaq.exp_rom)}
    else:
        made_of["value_multipliers"] = value_multipliers or multipliers
    counted_from = "the row of q" if operands == "stored" else "the row's first beat of keys"
    return _emit(
        ATTENTION_TOPS[top](unit),
        top=top,
        name=name,
        title="Attention head",
        made_of=made_of,
        described={
            "unit": "attention",
            "tables": tables,
            "latency": {
                "cycles": unit.latency,
                # Times the row's beats of keys, which are to be added.
                "passes": unit.passes,
                "counted_from": counted_from,
            },
            "full_rate_row": unit.full_rate_row,
        },
        memories=memories,
    )


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
    _check(top, LEVEL_SUMS_TOPS, name)
    memories = FPGA.memories(name)
    unit = LevelSums(config, outputs_per_beat=outputs_per_beat, memories=memories)
    return _emit(
        LEVEL_SUMS_TOPS[top](unit),
        top=top,
        name=name,
        title="Sums of values by level",
        made_of={},
        described={
            "unit": "level-sums",
            "exponentials": list(config.softmax.tables.exp_rom),
            "latency": {
                "cycles": unit.latency,
                "counted_from": "the row's last beat",
                "sum_cycles": unit.sum_latency,
            },
            "boot_cycles": unit.boot_cycles,
            "full_rate_row": unit.steps * config.lanes,
        },
        memories=memories,
    )


def _check(top: str, tops: _Tops, name: str) -> None:
    check_top(top, tops)
    check_name(name)


def _emit(
    component: Any,
    *,
    top: str,
    name: str,
    title: str,
    made_of: Mapping[str, Any],
    described: Mapping[str, Any],
    memories: Memories,
) -> Emitted:
    """The text of a top whose ``unit`` is of an attention head.

    ``made_of``: settings beside those of the head, in the text and in the manifest; ``described``:
    what the manifest says besides.
    """
    unit = component.unit
    config = unit.config
    settings = config.to_dict() | {"outputs_per_beat": unit.outputs_per_beat}
    softmax = settings.pop("softmax")

    def describe(design: Any) -> dict[str, Any]:
        return {
            "name": name,
            "top": top,
            "config": config.to_dict(),
            "outputs_per_beat": unit.outputs_per_beat,
            "output_frac": config.output_frac,
            **made_of,
            **described,
            "ports": ports_of(component),
            "memories": memories_in(design),
            "versions": versions(),
        }

    return emit_top(
        component,
        name=name,
        title=f"{title}, {top} top",
        settings=settings | softmax | dict(made_of),
        describe=describe,
        memories=memories,
    )
