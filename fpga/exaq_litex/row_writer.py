"""What comes out of a unit, written to memory."""

from litex.gen import LiteXModule
from litex.soc.interconnect.stream import Converter, SyncFIFO
from litex.soc.interconnect.wishbone import Interface
from migen import FSM, If, Mux, NextState, NextValue, Signal

from exaq import SoftmaxConfig
from exaq_litex.row_layout import LENGTH
from exaq_litex.streams import stream


class RowWriter(LiteXModule):
    """Writes the probabilities of rows, one after the other, and not a byte behind them.

    Parameters
    ----------
    config
        The unit's.
    bus
        The memory's.
    rows
        Rows that wait or are under way at most.

    Members
    -------
    rows : Endpoint of rows: ``address`` of the first word, ``length`` in elements
    waiting : Signal(), out; there are rows that are not written to their end
    sink : Endpoint of beats, as ExaqSoftmax.source
    written, error : Signal(), out; in one cycle for each row: it is in memory; it is in error.
        The error does not come behind the end of the row.
    """

    def __init__(self, config: SoftmaxConfig, bus: Interface, rows: int):
        format = config.format
        element_bytes, word_bytes = format.prob_bytes, bus.data_width // 8
        beat_bytes = element_bytes * format.lanes
        widths = {"data": 8 * beat_bytes, "keep": beat_bytes, "user": 1}
        if format.context_bits:
            widths["id"] = format.context_bits
        self.bus = bus
        self.sink = sink = stream(widths)
        self.queue = SyncFIFO([("address", bus.adr_width), ("length", LENGTH)], rows)
        self.converter = words = Converter(8 * beat_bytes, bus.data_width)
        self.rows, row = self.queue.sink, self.queue.source
        self.waiting, self.written, self.error = row.valid, row.ready, Signal()
        self.comb += [
            sink.connect(words.sink, keep={"valid", "ready", "last", "data"}),
            self.error.eq(sink.valid & sink.ready & sink.last & sink.user),
        ]

        # The unit gives as many elements as the row has, but for what it cuts off.
        length = Mux(row.length > format.max_row, format.max_row, row.length)
        address = Signal(bus.adr_width)
        left = Signal(max=format.max_row * element_bytes + 1)
        self.comb += [
            bus.cyc.eq(bus.stb),
            bus.we.eq(1),
            bus.adr.eq(address),
            bus.dat_w.eq(words.source.data),
            *(bus.sel[byte].eq(left > byte) for byte in range(word_bytes)),
        ]
        self.fsm = fsm = FSM(reset_state="IDLE")
        fsm.act(
            "IDLE",
            NextValue(address, row.address),
            NextValue(left, length * element_bytes),
            If(row.valid, NextState("WRITE")),
        )
        # A beat may end behind the row, by words that are not written.
        fsm.act(
            "WRITE",
            bus.stb.eq(words.source.valid & (left != 0)),
            words.source.ready.eq((bus.stb & bus.ack) | (left == 0)),
            If(
                words.source.valid & words.source.ready,
                NextValue(address, address + 1),
                NextValue(left, Mux(left > word_bytes, left - word_bytes, 0)),
                If(words.source.last, row.ready.eq(1), NextState("IDLE")),
            ),
        )
