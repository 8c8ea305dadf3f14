"""Parameters of components: NumPy's integers make the same hardware; what is none is refused."""

import re

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from unit_blocks import divider_for

from exaq import SoftmaxConfig
from exaq_fpga.gateware.framing.frame_receiver import FrameReceiver
from exaq_fpga.gateware.framing.octet_ram import OctetRam
from exaq_fpga.gateware.messages.octet_sources import CounterReader
from exaq_fpga.gateware.transports.uart import UartReceiver, UartTransmitter, tolerance
from exaq_hdl.kernels.exaq.tables.banks.context_map import ContextMap
from exaq_hdl.parts.event_counters import EventCounters
from exaq_hdl.parts.fifo import FallThroughFifo, Fifo
from exaq_hdl.parts.memory import Ram
from exaq_hdl.shell.control import Control

pytestmark = pytest.mark.usefixtures("unused_components")

CONFIG = SoftmaxConfig(max_row=16, prob_bits=8)
LOADED = SoftmaxConfig(max_row=16, prob_bits=8, contexts=3)
DIVISOR = "divisor, in clock cycles a bit,"
# What messages call the parameter, and the component that has it; test_unit_checks.py has ranges.
CASES = [
    ("capacity", lambda v: Fifo(8, capacity=v, slack=16)),
    ("slack", lambda v: Fifo(8, capacity=16, slack=v)),
    ("capacity", lambda v: FallThroughFifo(8, capacity=v, slack=16)),
    ("slack", lambda v: FallThroughFifo(8, capacity=16, slack=v)),
    ("width", lambda v: Ram(width=v, depth=16)),
    ("depth", lambda v: Ram(width=16, depth=v)),
    ("count", lambda v: EventCounters(v, 8)),
    ("width", lambda v: EventCounters(4, v)),
    ("units", lambda v: divider_for(CONFIG, units=v)),
    ("rows", lambda v: ContextMap(LOADED.kernel, rows=v)),
    ("latency", lambda v: Control(LOADED, latency=v)),
    (DIVISOR, UartReceiver),
    (DIVISOR, UartTransmitter),
    ("depth", OctetRam),
    ("count", CounterReader),
]
LEGAL = 4


def text(component):
    """All of ``component``; a module round it, as ports that are always ready fit no top."""
    m = Module()
    m.submodules.made = component
    return rtlil.convert(m, ports=[], emit_src=False)


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint8])
@pytest.mark.parametrize(("name", "made"), CASES)
def test_an_integer_of_numpy_makes_the_same_hardware(name, made, kind):
    assert text(made(kind(LEGAL))) == text(made(LEGAL))


def test_sizes_and_divisors_of_numpy():
    assert text(FrameReceiver(np.int16(64))) == text(FrameReceiver(64)) != text(FrameReceiver(32))
    assert tolerance(np.uint8(104)) == tolerance(104)


@pytest.mark.parametrize("bad", [True, np.True_, 4.0, np.array(4), "4", None])
@pytest.mark.parametrize(("name", "made"), [*CASES, ("size", FrameReceiver)])
def test_what_is_no_integer_is_refused(name, made, bad):
    with pytest.raises(
        TypeError, match=f"^{re.escape(f'{name} must be an integer, not {bad!r}')}$"
    ):
        made(bad)


def test_a_queue_is_lazy_or_not():
    assert Fifo(8, capacity=4, slack=4, lazy=np.True_).lazy is True
    with pytest.raises(TypeError, match=r"^lazy must be True or False, not 1$"):
        Fifo(8, capacity=4, slack=4, lazy=1)
