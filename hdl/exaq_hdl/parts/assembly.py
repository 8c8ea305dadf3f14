"""Putting components together in one module, with names that Verilog and waveforms show."""

from typing import Any

from amaranth.hdl import Module, Signal, Value

from exaq_hdl.parts.component import Component


def add_named(m: Module, name: str, component: Component) -> None:
    """Makes ``component`` a submodule and puts its name on its ports.

    Ports of different blocks are then told apart by name in Verilog and in waveforms.
    """
    m.submodules[name] = component
    for path, _, port in component.signature.flatten(component):
        signal: Any = Value.cast(port)
        signal.name = "_".join([name, *map(str, path)])


def late(m: Module, value: Value, cycles: int, name: str) -> Value:
    """``value`` a number of cycles later."""
    for k in range(cycles):
        register = Signal.like(value, name=f"{name}_late{k}", reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value
