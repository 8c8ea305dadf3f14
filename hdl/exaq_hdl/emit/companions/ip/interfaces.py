"""What vendors' tools call interfaces: buses, clock and reset of a top with AXI ports, read off
its ports' names.

>>> ports = [{"name": "s_axis_tvalid", "direction": "input"}]
>>> clock, reset, stream = interfaces(ports)
>>> stream.type, stream.master, stream.signals
('xilinx.com:interface:axis:1.0', False, {'TVALID': 's_axis_tvalid'})
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_CLOCK, _RESET = "aclk", "aresetn"
# By the signal that only a bus of the type has. Whose output it is, is the master.
_TYPES = {
    "TVALID": "xilinx.com:interface:axis:1.0",
    "AWVALID": "xilinx.com:interface:aximm:1.0",
}


@dataclass(frozen=True, kw_only=True)
class Interface:
    """An interface.

    Members
    -------
    name : what its ports' names begin with; of clock and reset, the port
    type : vendor, library, name and version of its definition
    master : whether it is the one who offers
    signals : the port for each signal of the definition
    parameters : what tools are told of it
    """

    name: str
    type: str
    master: bool = False
    signals: Mapping[str, str]
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_registers(self) -> bool:
        """Whether it is AXI4-Lite."""
        return self.type == _TYPES["AWVALID"]


def interfaces(ports: Iterable[Mapping[str, Any]]) -> tuple[Interface, ...]:
    """The interfaces of ``ports``, those of a manifest: clock, reset and then the buses.

    Raises
    ------
    ValueError
        A port is of no bus.
    """
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for port in ports:
        if port["name"] not in (_CLOCK, _RESET):
            bus, _, signal = port["name"].rpartition("_")
            found.setdefault(bus, {})[signal.upper()] = port
    buses = [_bus(name, signals) for name, signals in found.items()]
    clock = Interface(
        name=_CLOCK,
        type="xilinx.com:signal:clock:1.0",
        signals={"CLK": _CLOCK},
        parameters={
            "ASSOCIATED_BUSIF": ":".join(bus.name for bus in buses),
            "ASSOCIATED_RESET": _RESET,
        },
    )
    reset = Interface(
        name=_RESET,
        type="xilinx.com:signal:reset:1.0",
        signals={"RST": _RESET},
        parameters={"POLARITY": "ACTIVE_LOW"},
    )
    return (clock, reset, *buses)


def _bus(name: str, signals: Mapping[str, Mapping[str, Any]]) -> Interface:
    for signal, type in _TYPES.items():
        if signal in signals:
            return Interface(
                name=name,
                type=type,
                master=signals[signal]["direction"] == "output",
                signals={each: port["name"] for each, port in signals.items()},
                parameters={"PROTOCOL": "AXI4LITE"} if type == _TYPES["AWVALID"] else {},
            )
    raise ValueError(f"the ports {name}_... are of no AXI bus")
