"""The AXI4-Lite port of a unit with contexts."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq.scalars import integer
from exaq_hdl.checks import check_config
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.event_counters import EventCounters
from exaq_hdl.shell.loads import LOAD_WORD, refusal
from exaq_hdl.shell.ports import SignalPort, members
from exaq_hdl.shell.register_map import (
    ADDRESS_BITS,
    COUNTERS,
    REGISTERS,
    WORD_BITS,
    Access,
    Register,
    constant_words,
    status_fields,
)
from exaq_hdl.shell.streams import events

_STROBES = WORD_BITS // 8

#: The ports of the bus.
AXI_LITE = {
    "s_axi_awaddr": SignalPort(
        In, ADDRESS_BITS, "byte address of a write; the lowest two bits are ignored"
    ),
    "s_axi_awprot": SignalPort(In, 3, "ignored"),
    "s_axi_awvalid": SignalPort(In, 1, "write address offered"),
    "s_axi_awready": SignalPort(Out, 1, "write address taken, together with the word"),
    "s_axi_wdata": SignalPort(In, WORD_BITS, "word to write"),
    "s_axi_wstrb": SignalPort(In, _STROBES, "bytes to write: all, or none for no effect"),
    "s_axi_wvalid": SignalPort(In, 1, "word offered"),
    "s_axi_wready": SignalPort(Out, 1, "word taken, together with the address"),
    "s_axi_bresp": SignalPort(Out, 2, "0: done, or nothing to do; 2 (SLVERR): not written"),
    "s_axi_bvalid": SignalPort(Out, 1, "write response offered"),
    "s_axi_bready": SignalPort(In, 1, "write response taken"),
    "s_axi_araddr": SignalPort(
        In, ADDRESS_BITS, "byte address of a read; the lowest two bits are ignored"
    ),
    "s_axi_arprot": SignalPort(In, 3, "ignored"),
    "s_axi_arvalid": SignalPort(In, 1, "read address offered"),
    "s_axi_arready": SignalPort(Out, 1, "read address taken"),
    "s_axi_rdata": SignalPort(Out, WORD_BITS, "word read; 0 where nothing can be read"),
    "s_axi_rresp": SignalPort(Out, 2, "always 0"),
    "s_axi_rvalid": SignalPort(Out, 1, "word read offered"),
    "s_axi_rready": SignalPort(In, 1, "word read taken"),
}


class Control(Component):
    """AXI4-Lite slave with the registers of ``exaq_hdl.shell.register_map``.

    One write and one read at a time, independent of each other: a write every 3 cycles, a read
    every 4, of a counter every 4 to 9. Valid never waits for ready; address and word of a write
    may come in any order and are taken together. A read shows STATUS as it was in the cycle
    before its address was taken, a counter as ``EventCounters.delay`` cycles before that. Every
    output is a register.

    A write that cannot be done is answered with SLVERR and changes nothing: one to an address
    without a register or with one that is only read, one with some of its strobes, a load word
    while STATUS.ready is 0 (which sets STATUS.overrun). A write without strobes does nothing
    anywhere, and what cannot be read reads as 0: so a wider bus may touch the neighbours of the
    register that it means. A sticky bit that is set and cleared in one cycle is set.

    A word for ``load`` is taken from the bus only while ``load.ready`` is high, and then held
    until it has moved: ``load.ready`` must not wait for ``load.valid``.

    Parameters
    ----------
    config
        The unit's configuration.
    latency
        What LATENCY reads.

    Members
    -------
    s_axi_... : the bus, see AXI_LITE
    load : stream of LOAD_WORD
    loaded : a load took effect
    refused : a load was refused, for the reasons that are set
    busy : a load is under way
    events : what happened, for the counters
    """

    def __init__(self, config: SoftmaxConfig, *, latency: int):
        self.config = check_config(config, contexts=True)
        self.latency = latency = integer("latency", latency, 0, (1 << WORD_BITS) - 1)
        super().__init__(
            members(AXI_LITE)
            | {
                "load": Out(stream.Signature(LOAD_WORD)),
                "loaded": In(1),
                "refused": In(refusal(config.format)),
                "busy": In(1),
                "events": In(events(config.format)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.counters = counters = EventCounters(len(COUNTERS), WORD_BITS)
        m.d.comb += counters.events.eq(Cat(self.events[each.event] for each in COUNTERS))
        status = Signal(WORD_BITS)
        self._write(m, counters, status)
        self._read(m, counters, status)
        return m

    def _write(self, m: Module, counters: EventCounters, status: Signal) -> None:
        # Address and word stand still from the cycle before they are taken, in which they are
        # looked at.
        address = self.s_axi_awaddr[2:]
        some, full = self.s_axi_wstrb.any(), self.s_axi_wstrb.all()
        take = Signal()
        write_bad = Signal()
        begin = Signal()
        to_load = Signal()
        to_status = Signal()
        to_counter = Signal(len(COUNTERS))
        m.d.sync += [
            take.eq(self.s_axi_awvalid & self.s_axi_wvalid & ~take & ~self.s_axi_bvalid),
            write_bad.eq(some & ~(full & _at(address, lambda each: each.access.writable))),
            begin.eq(address == REGISTERS["LOAD_BEGIN"].index),
            to_load.eq(full & _at(address, lambda each: each.access is Access.LOAD)),
            to_status.eq(full & _at(address, lambda each: each.access is Access.STATUS)),
            to_counter.eq(Cat(full & (address == each.index) for each in COUNTERS)),
        ]
        ready = Signal()
        lost = Signal()
        m.d.comb += [
            self.s_axi_awready.eq(take),
            self.s_axi_wready.eq(take),
            ready.eq(self.load.ready & ~self.load.valid),
            lost.eq(take & to_load & ~ready),
        ]
        with m.If(take):
            m.d.sync += [
                self.s_axi_bvalid.eq(1),
                self.s_axi_bresp.eq(Cat(0, write_bad | lost)),
            ]
        with m.Elif(self.s_axi_bready):
            m.d.sync += self.s_axi_bvalid.eq(0)

        with m.If(take & to_load & ready):
            m.d.sync += self.load.valid.eq(1)
        with m.Elif(self.load.ready):
            m.d.sync += self.load.valid.eq(0)
        with m.If(~self.load.valid):
            m.d.sync += [
                self.load.payload.first.eq(begin),
                self.load.payload.word.eq(self.s_axi_wdata),
            ]

        m.d.comb += counters.clear.eq(to_counter & take.replicate(len(COUNTERS)))

        live = {"busy": self.busy, "ready": ready}
        happens = {"done": self.loaded, "refused": self.refused.as_value().any(), "overrun": lost}
        happens |= {reason: self.refused[reason] for reason, _ in self.refused.shape()}
        for field in status_fields(self.config.format):
            if field.sticky:
                bit = Signal(name=f"status_{field.name}")
                clear = take & to_status & self.s_axi_wdata[field.low]
                m.d.sync += bit.eq(happens[field.name] | (bit & ~clear))
            else:
                bit = live[field.name]
            m.d.comb += status[field.low].eq(bit)

    def _read(self, m: Module, counters: EventCounters, status: Signal) -> None:
        # The address stands still from the cycle before `looked` until it is taken. What it
        # stands for is known while `looked` is high.
        address = self.s_axi_araddr[2:]
        looked = Signal()
        go = Signal()
        readable = Signal()
        of_status = Signal()
        of_counter = Signal()
        words = constant_words(self.config, self.latency)
        index = Signal(range(max(REGISTERS[name].index for name in words) + 1))
        m.d.sync += [
            looked.eq(self.s_axi_arvalid & ~self.s_axi_arready & ~self.s_axi_rvalid),
            index.eq(address[: len(index)]),
            readable.eq(_at(address, lambda each: each.access.readable)),
            of_status.eq(_at(address, lambda each: each.access is Access.STATUS)),
            of_counter.eq(_at(address, lambda each: each.access is Access.COUNTER)),
            counters.select.eq(Cat(address == each.index for each in COUNTERS)),
        ]

        known = Mux(of_status, status, 0)
        for name, constant in words.items():
            known = known | Mux(index == REGISTERS[name].index, Const(constant, WORD_BITS), 0)
        m.d.comb += go.eq(looked & ~self.s_axi_arready & (counters.found | ~of_counter))
        m.d.sync += self.s_axi_arready.eq(go)
        with m.If(go):
            word = Mux(of_counter, counters.total, known)
            m.d.sync += self.s_axi_rdata.eq(Mux(readable, word, 0))
        with m.If(self.s_axi_arready):
            m.d.sync += self.s_axi_rvalid.eq(1)
        with m.Elif(self.s_axi_rready):
            m.d.sync += self.s_axi_rvalid.eq(0)


def _at(address: Value, wanted: Callable[[Register], bool]) -> Value:
    """Whether ``address``, in words, is that of a register that is ``wanted``."""
    return Cat(address == each.index for each in REGISTERS.values() if wanted(each)).any()
