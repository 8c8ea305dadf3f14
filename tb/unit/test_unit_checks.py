"""What components refuse to be made from."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from amaranth.hdl import unsigned
from amaranth.lib import wiring
from unit_blocks import divider_for, tables_for

import exaq_fpga.gateware
import exaq_hdl
from exaq import Exaq, SoftmaxConfig
from exaq.attention import AttentionConfig
from exaq_fpga.gateware.board_top import BoardTop
from exaq_fpga.gateware.framing import octet_ram
from exaq_fpga.gateware.messages import octet_sources
from exaq_hdl.kernels.exaq.emitters.emitter import Emitter
from exaq_hdl.kernels.exaq.tables.banks import context_map
from exaq_hdl.kernels.exaq.tables.float_thresholds import FloatThresholds
from exaq_hdl.parts import event_counters, fifo, memory
from exaq_hdl.shell import control
from exaq_hdl.shell.row_shell import RowShell

pytestmark = pytest.mark.usefixtures("unused_components")

PLAIN, LOADED = SoftmaxConfig(), SoftmaxConfig(contexts=3)

#: Components of a unit that has contexts, or has registers.
OF_CONTEXTS = [
    *("Boot", "ContextMap", "Control", "ExcessRam", "ExpRam", "RowThresholds", "SinkRam"),
    "SumRam",
    "TableLoader",
]
# What is not made from a configuration alone, or not from any.
_OTHERS = (BoardTop, Emitter, RowShell, FloatThresholds)
_TRANSPORT = SimpleNamespace(line_cycles=4, pins={})
#: What a component is made from first, and what else that is refused in words.
OF_FORMAT = "format must be an exaq.StreamFormat, not {!r}"
OF_KERNEL = "kernel must be an exaq.Exaq of a SoftmaxConfig, not {!r}"
OF_CONFIG = "config must be an exaq.SoftmaxConfig, not {!r}"
FROM = {
    "format": (lambda config: config.format, OF_FORMAT),
    "kernel": (lambda config: config.kernel, OF_KERNEL),
    "config": (lambda config: config, OF_CONFIG),
}


def more(component: type, config: SoftmaxConfig) -> dict[str, Any]:
    """What a component takes beside a format, a kernel or a configuration."""
    tables = tables_for(config)
    made: dict[str, Callable[[], dict[str, Any]]] = {
        "Accumulator": lambda: {"sums": tables.sums()},
        "ContextMap": lambda: {"rows": 9},
        "Control": lambda: {"latency": 36},
        "Quantizer": lambda: {"thresholds": tables.thresholds()},
        "Responder": lambda: {"identity": b"unit"},
        "Station": lambda: {"identity": b"unit", "unit": None, "line_cycles": 4},
        "LinkedStation": lambda: {
            "identity": b"unit",
            "unit": None,
            "transport": _TRANSPORT,
        },
    }
    return made.get(component.__name__, dict)()


def components(package: Any) -> list[type]:
    """Every component that a module of ``package`` defines."""
    found = []
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        for value in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(value) and value.__module__ == module.name:
                found += [value] if issubclass(value, wiring.Component) else []
    return found


def source(component: type) -> str | None:
    """What a component is made from: the name of its first parameter, where that is one of FROM."""
    parameters = inspect.signature(component).parameters
    first = next(iter(parameters), None)
    # What an attention head is made from is the business of its own tests.
    of_head = first is not None and parameters[first].annotation is AttentionConfig
    if of_head or component.__module__.startswith("exaq_hdl.attention."):
        return None
    return first if first in FROM and component not in _OTHERS else None


# Folders of other kernels' components: a kernel that has them, and what they are made from in
# words.
_KERNELS = {
    "baps": ("baps", "exaq.Baps"),
    "shift": ("shift", "exaq.kernels.weighted.Weighted"),
    "lut": ("lut", "exaq.kernels.weighted.Weighted"),
    "multiply": ("multiply", "exaq.kernels.weighted.Weighted"),
    "softermax": ("softermax", "exaq.Softermax"),
    # What kernels of one pass share.
    "online": ("baps", "exaq.kernels.online.Online"),
}


def folder(component: type) -> str:
    """The kernel's folder that a component is in, of other kernels than EXAQ."""
    return next((name for name in _KERNELS if f".kernels.{name}." in component.__module__), "")


def plain(component: type) -> SoftmaxConfig:
    """A configuration without contexts that a component can be made from."""
    return SoftmaxConfig(kernel=_KERNELS[folder(component)][0]) if folder(component) else PLAIN


def loaded(component: type) -> SoftmaxConfig:
    """The same with contexts where the kernel has any."""
    return plain(component) if folder(component) else LOADED


CONFIGURED = [
    component
    for package in (exaq_hdl, exaq_fpga.gateware)
    for component in components(package)
    if source(component)
]
EVERY = pytest.mark.parametrize("component", CONFIGURED, ids=lambda each: each.__name__)


def refused(kind: type[Exception], message: str, make: Callable[[], Any]) -> None:
    with pytest.raises(kind, match=rf"\A{re.escape(message)}\Z"):
        make()


def test_components_are_found() -> None:
    names = [component.__name__ for component in CONFIGURED]
    assert {"Softmax", "AxiSoftmax", "FlatSoftmax", "Encoder", "Receiver", *OF_CONTEXTS} < set(
        names
    )
    assert len(names) == len(set(names)) == 41


@EVERY
@pytest.mark.parametrize("wrong", [12, None, "2bit-x4", {"bits": 2}, Exaq()], ids=repr)
def test_a_configuration_is_wanted(component: type, wrong: Any) -> None:
    _, message = FROM[source(component) or ""]
    if folder(component):
        message = message.replace("exaq.Exaq", _KERNELS[folder(component)][1])
    further = more(component, PLAIN)
    refused(TypeError, message.format(wrong), lambda: component(wrong, **further))


@EVERY
def test_contexts_are_wanted_where_they_are_the_purpose(component: type) -> None:
    part, _ = FROM[source(component) or ""]
    component(part(loaded(component)), **more(component, LOADED))
    further = more(component, PLAIN)
    if component.__name__ in OF_CONTEXTS:
        message = "contexts must be at least 1, not 0"
        with pytest.raises(ValueError, match=message):
            component(part(PLAIN), **further)
    else:
        component(part(plain(component)), **further)


#: Name of a number, what is made with it, its least and greatest values.
NUMBERS: list[tuple[str, Callable[[Any], Any], int, int | None]] = [
    ("width", lambda n: memory.Ram(width=n, depth=2), 1, None),
    ("depth", lambda n: memory.Ram(width=1, depth=n), 2, None),
    ("capacity", lambda n: fifo.Fifo(8, capacity=n, slack=1), 1, None),
    ("slack", lambda n: fifo.Fifo(8, capacity=1, slack=n), 1, None),
    ("capacity", lambda n: fifo.FallThroughFifo(8, capacity=n, slack=1), 1, None),
    ("slack", lambda n: fifo.FallThroughFifo(8, capacity=1, slack=n), 1, None),
    ("units", lambda n: divider_for(PLAIN, units=n), 1, 4),
    ("rows", lambda n: context_map.ContextMap(LOADED.kernel, rows=n), 1, 2**17 - 2),
    ("latency", lambda n: control.Control(LOADED, latency=n), 0, 2**32 - 1),
    ("count", lambda n: event_counters.EventCounters(n, 8), 2, None),
    ("width", lambda n: event_counters.EventCounters(2, n), 1, None),
    ("depth", lambda n: octet_ram.OctetRam(n), 2, None),
    ("count", lambda n: octet_sources.CounterReader(n), 2, None),
]


@pytest.mark.parametrize(("name", "make", "low", "high"), NUMBERS)
def test_numbers_in_their_range(
    name: str, make: Callable[[Any], Any], low: int, high: int | None
) -> None:
    for value in (1.0, "3", None, True):
        refused(TypeError, f"{name} must be an integer, not {value!r}", lambda v=value: make(v))
    range_ = f"at least {low}" if high is None else f"in {low}..{high}"
    for value in (low - 1, -3) if high is None else (low - 1, -3, high + 1):
        refused(ValueError, f"{name} must be {range_}, not {value}", lambda v=value: make(v))
    make(low)
    if high is not None:
        make(high)


def test_units_of_a_divider_are_a_power_of_two() -> None:
    message = "units must be a power of two, not 3"
    refused(ValueError, message, lambda: divider_for(PLAIN, units=3))


def test_items_of_a_queue_have_bits() -> None:
    for shape in (0, unsigned(0)):
        message = f"shape must have at least one bit, not {shape!r}"
        for kind in (fifo.Fifo, fifo.FallThroughFifo):
            refused(ValueError, message, lambda k=kind, s=shape: k(s, capacity=4, slack=1))


@pytest.mark.parametrize("lazy", [1, None, "yes"])
def test_a_queue_is_lazy_or_not(lazy: Any) -> None:
    message = f"lazy must be True or False, not {lazy!r}"
    for kind in (fifo.Fifo, fifo.FallThroughFifo):
        refused(TypeError, message, lambda k=kind: k(8, capacity=4, slack=1, lazy=lazy))


def test_an_identity_is_octets() -> None:
    message = "identity must be bytes, not 'unit'"
    refused(TypeError, message, lambda: octet_sources.IdentityRom("unit"))  # type: ignore[arg-type]
    message = "identity must hold at least one octet, not none"
    refused(ValueError, message, lambda: octet_sources.IdentityRom(b""))
