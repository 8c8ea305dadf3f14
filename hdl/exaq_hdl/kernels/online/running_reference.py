"""The reference of a row so far: its ceiled maximum, a whole number of octaves."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq.kernels.online import Online
from exaq_hdl.kernels.online.online_layouts import (
    check_online,
    octave_beat,
    reference_shape,
    referred_beat,
)
from exaq_hdl.parts.arithmetic import tree_depth
from exaq_hdl.parts.assembly import late
from exaq_hdl.parts.component import Component


class RunningReference(Component):
    """Gives each beat the reference of its row up to and with itself.

    Ceilings, where they are not there, a registered tree over the lanes, then one running register.
    Latency ``latency``
    cycles; throughput 1 beat per cycle, rows back to back.

    Parameters
    ----------
    kernel
        Parameters of the kernel.
    early
        Whether t is counted from one step later; see ``online_layouts``.

    Members
    -------
    i : stream of octave_beat, always ready
    o : stream of referred_beat, always ready
    """

    def __init__(self, kernel: Online, *, early: bool = False):
        self.kernel = check_online(kernel)
        self._early = early
        self.latency = tree_depth(kernel.format.lanes) + 2 - early
        super().__init__(
            {
                "i": In(stream.Signature(octave_beat(kernel, early), always_ready=True)),
                "o": Out(stream.Signature(referred_beat(kernel, early), always_ready=True)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel = self.kernel

        def larger(a: Value, b: Value) -> Value:
            return Mux(a < b, b, a)

        # Ceiled first: the maximum of ceilings is the ceiling of the maximum, and narrower.
        values: list[Value] = []
        valid: Value = self.i.valid
        places = kernel.step_frac + kernel.step_bits
        shape = reference_shape(kernel, self._early)
        for lane in range(kernel.format.lanes):
            step = self.i.payload.t[lane]
            if self._early:
                values.append(step[places:])
                continue
            ceiled = Signal(shape, name=f"lane{lane}_ceiled", reset_less=True)
            m.d.sync += ceiled.eq(step[places:] + step[:places].any())
            values.append(ceiled)
        if not self._early:
            valid = Signal()
            m.d.sync += valid.eq(self.i.valid)
        for level in range(tree_depth(kernel.format.lanes)):
            pairs = [values[k : k + 2] for k in range(0, len(values), 2)]
            values = []
            for k, pair in enumerate(pairs):
                node = Signal.like(pair[0], name=f"level{level}_max{k}", reset_less=True)
                m.d.sync += node.eq(larger(*pair) if len(pair) == 2 else pair[0])
                values.append(node)
            stage_valid = Signal(name=f"level{level}_valid")
            m.d.sync += stage_valid.eq(valid)
            valid = stage_valid
        (most,) = values

        beat: Any = late(m, self.i.payload, self.latency - 1, "beat")
        running = Signal(shape, init=shape.start)
        reached = Signal.like(running)
        out: Any = Signal(referred_beat(kernel, self._early), reset_less=True)
        before = Signal.like(running, reset_less=True)
        m.d.comb += [
            reached.eq(larger(running, most)),
            self.o.payload.eq(out),
            self.o.payload.rise.eq(out.reference - before),
        ]
        m.d.sync += [
            self.o.valid.eq(valid),
            *(out[name].eq(beat[name]) for name, _ in octave_beat(kernel, self._early)),
            out.reference.eq(reached),
            before.eq(running),
        ]
        with m.If(valid):
            m.d.sync += running.eq(Mux(beat.last, shape.start, reached))
        return m
