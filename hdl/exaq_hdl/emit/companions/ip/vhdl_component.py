"""A unit as a component of VHDL, in a package, with an instance to copy.

exaq generate --ip -o softmax.v
ghdl -a softmax.vhd
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exaq_hdl.emit.companions.companion import Unit


def texts(unit: Unit) -> tuple[str]:
    """The package."""
    name, ports = unit.name, unit.emitted.manifest["ports"]
    last = len(ports) - 1
    declared = [
        f"      {port['name']} : {port['direction'].removesuffix('put')} {_type(port)}"
        f"{'' if place == last else ';'}  -- {port['description']}"
        for place, port in enumerate(ports)
    ]
    signals = [f"--   signal {port['name']} : {_type(port)};" for port in ports]
    mapped = [
        f"--       {port['name']} => {port['name']}{'' if place == last else ','}"
        for place, port in enumerate(ports)
    ]
    lines = [
        f"-- The component {name}, whose text is {unit.stem}.v; an instance to copy is below.",
        "library ieee;",
        "use ieee.std_logic_1164.all;",
        "",
        f"package {name}_component is",
        f"  component {name} is",
        "    port (",
        *declared,
        "    );",
        f"  end component {name};",
        f"end package {name}_component;",
        "",
        f"--   use work.{name}_component.all;",
        "--",
        *signals,
        "--",
        f"--   the_{name} : {name}",
        "--     port map (",
        *mapped,
        "--     );",
    ]
    return ("\n".join(lines) + "\n",)


def _type(port: Mapping[str, Any]) -> str:
    width = port["width"]
    return "std_logic" if width == 1 else f"std_logic_vector({width - 1} downto 0)"
