"""Putting components together in one module, with names that Verilog and waveforms show."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring

from exaq_hdl.parts.component import Component, Stream


def add_named(m: Module, name: str, component: Component) -> None:
    """Makes ``component`` a submodule and puts its name on its ports.

    Ports of different blocks are then told apart by name in Verilog and in waveforms.
    """
    m.submodules[name] = component
    for path, _, port in component.signature.flatten(component):
        signal: Any = Value.cast(port)
        signal.name = "_".join([name, *map(str, path)])


def share(m: Module, source: Stream, takers: Sequence[Stream]) -> None:
    """Gives every item of ``source`` to each of ``takers``, at once; no taker leaves it alone.

    Several takers must not let their ready depend on their valid.
    """
    if len(takers) == 1:
        wiring.connect(m, source, takers[0])
        return
    if takers:
        m.d.comb += source.ready.eq(Cat(taker.ready for taker in takers).all())
    for taker in takers:
        m.d.comb += [
            taker.valid.eq(source.valid & source.ready),
            Value.cast(taker.payload).eq(Value.cast(source.payload)),
        ]


def late(m: Module, value: Value, cycles: int, name: str, *, cleared: bool = False) -> Value:
    """``value`` a number of cycles later; ``cleared`` by a reset, as valid bits have to be."""
    for k in range(cycles):
        register = Signal.like(value, name=f"{name}_late{k}", reset_less=not cleared)
        m.d.sync += register.eq(value)
        value = register
    return value
