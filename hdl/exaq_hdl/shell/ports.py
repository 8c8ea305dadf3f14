"""Ports that say what they are: the signature, the tops, the manifest and the documents share them.

>>> from amaranth.lib.wiring import In
>>> from exaq_hdl.shell.ports import Field, StreamPort, flat
>>> list(flat({"load": StreamPort(In, {"word": Field(32, "what is loaded")}, item="word")}))
['load_word', 'load_valid', 'load_ready']
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Shape, ShapeLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Flow


@dataclass(frozen=True)
class Field:
    """A field of a stream's payload: its shape, and what it is."""

    shape: ShapeLike
    meaning: str


Fields = dict[str, Field]


def layout(fields: Fields) -> data.StructLayout:
    """The payload that holds ``fields``, the first one lowest."""
    return data.StructLayout({name: field.shape for name, field in fields.items()})


@dataclass(frozen=True)
class SignalPort:
    """A port of one signal: direction as of the component, shape, and what it is."""

    flow: Flow
    shape: ShapeLike
    meaning: str

    @property
    def member(self) -> wiring.Member:
        """For a component's signature."""
        return wiring.Member(self.flow, self.shape)

    @property
    def width(self) -> int:
        """Bits."""
        return Shape.cast(self.shape).width


@dataclass(frozen=True)
class StreamPort:
    """A stream of a component: direction, fields of its payload, and what moves: beats, words.

    ``ready_is_register`` says that nobody's valid reaches ready within a cycle.
    """

    flow: Flow
    fields: Fields
    item: str = "beat"
    ready_is_register: bool = False

    @property
    def member(self) -> wiring.Member:
        """For a component's signature."""
        return wiring.Member(self.flow, stream.Signature(layout(self.fields)))

    def signals(self) -> dict[str, SignalPort]:
        """A port for each field, then valid and ready."""
        ports = {
            name: SignalPort(self.flow, Shape.cast(field.shape).width, field.meaning)
            for name, field in self.fields.items()
        }
        ports["valid"] = SignalPort(self.flow, 1, f"{self.item} offered")
        register = "; a register" if self.ready_is_register else ""
        ports["ready"] = SignalPort(self.flow.flip(), 1, f"{self.item} taken{register}")
        return ports


Ports = Mapping[str, SignalPort | StreamPort]


def members(ports: Ports) -> dict[str, wiring.Member]:
    """The signature of a component that has ``ports``."""
    return {name: port.member for name, port in ports.items()}


def flat(ports: Ports) -> dict[str, SignalPort]:
    """The same with a port for each field of a stream, called by the stream's name and its own."""
    found: dict[str, SignalPort] = {}
    for name, port in ports.items():
        if isinstance(port, StreamPort):
            found |= {f"{name}_{part}": signal for part, signal in port.signals().items()}
        else:
            found[name] = SignalPort(port.flow, port.width, port.meaning)
    return found


def flat_values(ports: Ports, component: Any) -> dict[str, Any]:
    """What ``component``, whose streams have ``ports``, has for each of the ports of ``flat``."""
    found: dict[str, Any] = {}
    for name, port in ports.items():
        there = getattr(component, name)
        if isinstance(port, StreamPort):
            found |= {f"{name}_{field}": there.payload[field] for field in port.fields}
            found |= {f"{name}_valid": there.valid, f"{name}_ready": there.ready}
        else:
            found[name] = there
    return found
