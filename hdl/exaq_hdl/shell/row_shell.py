"""The shell of every kernel: rows of logits in, rows of probabilities or codes out.

    receiver -> row buffer ------> kernel -> probabilities
       |                             |
       +-----> row maximum -> queue -+

The shell closes rows, finds their maxima and keeps their beats until the kernel can take them; a
kernel of one pass gets beats as they come, without a maximum and without that buffer. It
knows streams, masks, tails, errors and the numbers of contexts, and no exponential.

    >>> from exaq import SoftmaxConfig
    >>> from exaq_hdl import Softmax
    >>> Softmax(SoftmaxConfig(lanes=4)).latency
    51
"""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig, StreamFormat
from exaq_hdl.checks import check_config, check_format
from exaq_hdl.kernels.kernel_unit import KernelUnit, make_unit, unit_kind
from exaq_hdl.parts.assembly import add_named
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.shell.arrival import arrival_at
from exaq_hdl.shell.ports import Ports, SignalPort, StreamPort, members
from exaq_hdl.shell.receiver import Receiver
from exaq_hdl.shell.streams import events, logit_fields


class RowShell(Component):
    """Streams rows through a kernel.

    Latency: the first beat of a row of n beats leaves n + ``latency`` cycles after its last beat
    was taken, or ``latency`` cycles where the kernel does not wait for whole rows, if nothing
    before it has to wait. Of a kernel of one pass each beat leaves ``latency`` cycles after it was
    taken, or ``latency`` cycles after the row's last one, where it waits for that. Throughput: rows
    of ``full_rate_row``
    elements and more, in any mixture, are taken at 1 beat per cycle for ever; rows of one
    length leave at that rate too, while a longer row behind a shorter one makes the output wait
    for its end. Back-pressure on ``o`` holds its payload and, once the buffers are full, stops
    ``i``; nothing is lost. ``i.ready`` and everything on ``o`` are registers.

    Row results, of a unit that has them, leave in the order of rows on a stream of their own: that
    of a row of n beats is offered n + ``results_latency`` cycles after the row's last beat was
    taken, if nothing before it has to wait. Back-pressure on them holds their payload, and stops
    elements once the results of ``results_waiting`` rows wait: all elements of so many rows leave
    without any result taken, and none of a row behind them where rows are long. So nothing locks
    up while both streams are drained, nor where all of a row's elements are taken first.

    Parameters
    ----------
    format
        The stream format.
    kernel
        The hardware of a kernel that was settled for it.
    ports
        Those of ``unit_ports``.
    memories
        Makes the unit's RAMs.

    Members
    -------
    i : stream of logit_beat, in
    o : stream of the kernel's output, out: probability_beat, or codes
    events : with contexts: events of each cycle, out, a cycle late
    ... : the kernel's own ports
    """

    def __init__(
        self,
        format: StreamFormat,
        kernel: KernelUnit,
        ports: Ports,
        *,
        memories: Memories = SIMULATED,
    ):
        self.format = format = check_format(format)
        self.kernel = kernel
        self.receiver = Receiver(format)
        self.arrival = arrival = arrival_at(kernel, format, self.receiver, memories)
        # In the second pass a row's last beat is as many cycles behind its first as it has others.
        second = kernel.rows is not None
        self.latency = arrival.latency + kernel.latency - (kernel.whole_row and second)
        self.results_latency = arrival.latency + kernel.results_latency - second
        self.results_waiting = kernel.results_waiting
        kernel.expect_rows(arrival.rows + self.latency)
        super().__init__(members(ports))

    @property
    def boot_cycles(self) -> int:
        """Cycles after reset until beats are taken, beyond the one that every unit needs."""
        return self.kernel.boot_cycles

    @property
    def counted_from(self) -> str:
        """Where ``latency`` begins: at a row's last beat, or as many cycles later as the row has
        beats, or at each beat.
        """
        if self.kernel.rows is None:
            return "the row's last beat" if self.kernel.whole_row else "each beat"
        return "beats of the row" if self.kernel.whole_row else "the row's last beat"

    def elaborate(self, platform: Any) -> Module:
        # From the receiver to the row buffer, and inside the kernel, beats run free: `room` is
        # looked at before one starts, never on its way.
        m = Module()
        receiver, kernel = self.receiver, self.kernel
        blocks = {"receiver": receiver, **self.arrival.blocks}
        for name, block in (blocks | kernel.blocks).items():
            add_named(m, name, block)

        wiring.connect(m, wiring.flipped(self.i), receiver.i)
        m.d.comb += receiver.room.eq(kernel.admit(self.arrival.room))
        self.arrival.connect(m)
        kernel.connect(m, self)
        wiring.connect(m, kernel.o, wiring.flipped(self.o))
        self._watch(m)
        return m

    def _watch(self, m: Module) -> None:
        if not event_ports(self.format):
            return
        left = self.o.valid & self.o.ready
        m.d.sync += [
            self.events.row.eq(left & self.o.payload.last),
            self.events.beat.eq(left),
            self.events.input_stalled.eq(self.i.valid & ~self.i.ready),
            self.events.output_stalled.eq(self.o.valid & ~self.o.ready),
            self.events.long_row.eq(self.receiver.long_row),
            self.events.masked_row.eq(self.kernel.empty_row),
        ]


class Softmax(RowShell):
    """The unit that a configuration describes: a shell with its kernel, bit-exact with
    ``exaq.softmax``.
    """

    def __init__(self, config: SoftmaxConfig, *, memories: Memories = SIMULATED):
        self.config = check_config(config)
        kernel = make_unit(config.kernel, memories)
        super().__init__(config.format, kernel, unit_ports(config), memories=memories)


def unit_ports(config: SoftmaxConfig) -> Ports:
    """The ports of ``Softmax``, and of whatever stands in its place, each with what it is."""
    kind = unit_kind(config.kernel)
    return (
        {
            "i": StreamPort(In, logit_fields(config.format), ready_is_register=True),
            "o": StreamPort(Out, kind.output(config.kernel)),
        }
        | dict(kind.ports(config.kernel))
        | event_ports(config.format)
    )


def event_ports(format: StreamFormat) -> dict[str, SignalPort]:
    """The port for counters, of units that have any."""
    meaning = "pulses, a bit for each event, see events_bits"
    return {"events": SignalPort(Out, events(format), meaning)} if format.contexts else {}
