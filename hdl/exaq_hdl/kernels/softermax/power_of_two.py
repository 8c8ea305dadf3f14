"""Exponentials of elements relative to their beat's reference: the paper's power-of-two unit."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import Softermax
from exaq_hdl.kernels.online.online_layouts import referred_beat
from exaq_hdl.kernels.softermax.softermax_layouts import EARLY, check_softermax, exponential_beat
from exaq_hdl.kernels.weighted.falling_pieces import PIECES_LATENCY, falling_pieces
from exaq_hdl.kernels.weighted.steps import Steps
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.parts.pipeline import Pipeline
from exaq_hdl.shell.streams import live_lanes

# Bits of a shift that its last register makes.
_FINE = 2


class PowerOfTwo(Component):
    """2**(t - reference) of each lane, rounded down to ``exp_bits`` fraction bits.

    What t is below its ceiling gives a value from 1/2 to 1, by linear pieces, and what the ceiling
    is below the reference shifts it. Latency ``latency`` cycles; throughput 1 beat per cycle.

    Parameters
    ----------
    kernel
        Parameters of Softermax.
    memories
        Makes the tables of the pieces.

    Members
    -------
    i : stream of referred_beat, always ready
    o : stream of exponential_beat, always ready
    """

    latency = PIECES_LATENCY + 2

    def __init__(self, kernel: Softermax, *, memories: Memories = SIMULATED):
        self.kernel = check_softermax(kernel)
        self._memories = memories
        super().__init__(
            {
                "i": In(stream.Signature(referred_beat(kernel, EARLY), always_ready=True)),
                "o": Out(stream.Signature(exponential_beat(kernel), always_ready=True)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel, beat, out = self.kernel, self.i.payload, self.o.payload
        end = self.latency
        pipeline = Pipeline(m, end, self.i.valid, Const(0))
        m.d.comb += self.o.valid.eq(pipeline.held[end])
        for name, _ in exponential_beat(kernel):
            if name != "exponentials":
                m.d.comb += out[name].eq(pipeline.carry(0, beat[name], name, end))
        live = pipeline.carry(0, live_lanes(kernel.format, beat), "live", PIECES_LATENCY)
        for lane in range(kernel.format.lanes):
            steps = Steps(m, pipeline, first=0, name=f"lane{lane}", memories=self._memories)
            t = beat.t[lane]
            below = (beat.reference - t[kernel.step_frac :])[: len(beat.reference)]
            given = self._exponential(steps, ~t[: kernel.step_frac], below, live[lane])
            m.d.comb += out.exponentials[lane].eq(given)
        return m

    def _exponential(self, steps: Steps, f: Value, below: Value, live: Value) -> Value:
        """2^-f, shifted by ``below``, in the last place; 0 where ``live``, which comes with the
        value of the pieces, says so.
        """
        kernel, place = self.kernel, PIECES_LATENCY
        value = falling_pieces(steps, 0, kernel.pieces, kernel.exp_bits, f)
        below = steps.carry(0, below, "below", place)
        near = (kernel.exp_bits - 1).bit_length()
        there = live & ~below[near:].any()
        coarse = value >> Cat(Const(0, _FINE), below[_FINE:near])
        coarse = steps.step(place, Mux(there, coarse, 0), "coarse")
        fine = steps.step(place, below[:_FINE], "fine")
        return steps.step(place + 1, coarse >> fine, "exponential")
