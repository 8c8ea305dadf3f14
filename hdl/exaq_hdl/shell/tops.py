"""The tops that a unit can be emitted with, by name."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from exaq import SoftmaxConfig
from exaq_hdl.parts.memory import Memories
from exaq_hdl.shell.ports import SignalPort


class Top(Protocol):
    """A component round ``Softmax`` whose ports, all of one signal, are those of a Verilog module.

    ``clocking`` are ports that Amaranth adds in Verilog: those of the domain ``sync``, where the
    top has no clock of its own.
    """

    clocking: Mapping[str, SignalPort]
    ports: Mapping[str, SignalPort]
    softmax: Any
    latency: int

    def __init__(self, config: SoftmaxConfig, *, memories: Memories, async_reset: bool = False): ...


#: Every top by its name.
TOPS: dict[str, type[Top]] = {}

T = TypeVar("T", bound=type[Any])


def top(name: str) -> Callable[[T], T]:
    """Decorator: the component is the top ``name``."""

    def register(component: T) -> T:
        TOPS[name] = component
        return component

    return register
