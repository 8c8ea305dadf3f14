"""Which part of the unit a module is: the tree of instances in the emitted Verilog.

>>> from exaq_asic.mapping.blocks import parts_of
>>> parts_of("module u (i); u__core core (.i(i)); endmodule "
...          "module u__core (i); u__a first (.i(i)); endmodule module u__a (i); endmodule", "u")
{'u': 'top', 'u.core': 'core', 'u.core.first': 'first'}
"""

from __future__ import annotations

import re

from exaq_asic.mapping.arrays import FLOPS

#: The block of all flops that are words of small memories.
MEMORY_FLOPS = "memory_flops"

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_MODULE = re.compile(r"\bmodule\s+(\w+)\b(.*?)\bendmodule\b", re.DOTALL)


def parts_of(verilog: str, top: str) -> dict[str, str]:
    """The part of the unit that each instance of a module is, by the instance's path from ``top``.

    The path is also the name that Yosys's ``uniquify`` gives the instance's own copy of the module.
    Parts are named without the top and the core, which all of them are in:
    ``normalizer.divider0``; those of the flops of small memories begin with ``MEMORY_FLOPS``. The
    top itself is ``"top"``, and the core ``"core"``. Modules that the text does not hold are left
    out.
    """
    bodies = dict(_MODULE.findall(_COMMENT.sub("", verilog)))
    names = "|".join(sorted(bodies, key=len, reverse=True))
    instance = re.compile(rf"(?<![\w.])({names})\s+(?:\\(\S+)|(\w+))\s*\(")
    parts = {}

    def walk(module: str, path: tuple[str, ...]) -> None:
        part = _part(path)
        parts[".".join((top, *path))] = f"{MEMORY_FLOPS}.{part}" if FLOPS in module else part
        for kind, escaped, plain in instance.findall(bodies[module]):
            walk(kind, (*path, escaped or plain))

    walk(top, ())
    return parts


def _part(path: tuple[str, ...]) -> str:
    if not path:
        return "top"
    return ".".join(path[path[0] == "core" :]) or "core"
