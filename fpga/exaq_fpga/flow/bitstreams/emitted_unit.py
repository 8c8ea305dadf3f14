"""The unit of a board's design: its Verilog, and what stands for it in the design."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exaq import SoftmaxConfig
from exaq.attention import AttentionConfig
from exaq_fpga.gateware.verilog_unit import HEAD_MODULE, MODULE, VerilogUnit
from exaq_fpga.link.protocol import UnitConfig
from exaq_hdl import emit_verilog
from exaq_hdl.attention.attention_head import head_ports
from exaq_hdl.emit.attention_verilog import emit_attention
from exaq_hdl.shell.row_shell import unit_ports


@dataclass(frozen=True, kw_only=True)
class EmittedUnit:
    """A unit's core top: its text, the name of its module, and the component that stands for it."""

    verilog: str
    module: str
    component: VerilogUnit


def emitted_unit(config: UnitConfig, head: Mapping[str, Any]) -> EmittedUnit:
    """The unit of ``config``; ``head``: arguments of ``emit_attention`` beside it.

    Raises
    ------
    ValueError
        Such an argument does not fit.
    """
    if isinstance(config, AttentionConfig):
        emitted = emit_attention(config, **head, top="core", name=HEAD_MODULE)
        ports, text = head_ports(config, emitted.manifest["outputs_per_beat"]), emitted.verilog
        return EmittedUnit(
            verilog=text, module=HEAD_MODULE, component=VerilogUnit(ports, HEAD_MODULE)
        )
    component = VerilogUnit(unit_ports(config))
    return EmittedUnit(verilog=_softmax(config), module=MODULE, component=component)


@functools.lru_cache(maxsize=4)
def _softmax(config: SoftmaxConfig) -> str:
    """Emitted once for all boards that have the same."""
    return emit_verilog(config, top="core", name=MODULE).verilog
