"""The text of a part of the boards' gateware, to be opened for a proof as emitted text is.

text = text_of(FrameReceiver(4096), "frame_receiver")
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from amaranth.back import rtlil  # type: ignore[attr-defined]
from amaranth.hdl import Const, Value
from formal_text import modules_of

from exaq_hdl.emit.verilog import rtlil_to_verilog


def text_of(component: Any, name: str) -> str:
    """Verilog of a component as a module ``name``, of its parts as ``name__part``; ports that are
    constants are left out, and so are the first comments, which no tool reads.
    """
    ports: dict[str, Any] = {}
    for path, _, member in component.signature.flatten(component):
        signal = Value.cast(member)
        if not isinstance(signal, Const):
            ports["__".join(map(str, path))] = (signal, None)
    verilog = rtlil_to_verilog(rtlil.convert(component, name=name, ports=ports, emit_src=False))

    def plain(match: re.Match[str]) -> str:
        return "__".join((name, match[1].replace(".", "_"))) + " "

    verilog = re.sub(rf"\\{name}\.([\w.]+) ", plain, verilog)
    return "".join(f"{text}\n\n" for text in modules_of(verilog).values())


def with_names(text: str, module: str, patterns: Mapping[str, str]) -> str:
    """The text with plain names in the places of those that it made up for registers without one:
    ``module`` has each old name where the pattern of the new one finds it.
    """
    for name, pattern in patterns.items():
        (found,) = set(re.findall(pattern, modules_of(text)[module]))
        text = re.sub(rf"\\?{re.escape(found)} ?(?=[;,\[)\s])", f"{name} ", text)
    return text
