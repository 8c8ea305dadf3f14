"""The words of memory that hold rows."""

from litex.gen import LiteXModule
from litex.soc.cores.dma import WishboneDMAReader
from litex.soc.interconnect.stream import SyncFIFO
from litex.soc.interconnect.wishbone import Interface
from migen import FSM, If, NextState, NextValue, Signal

from exaq_litex.row_layout import LENGTH


class RowWords(LiteXModule):
    """Reads rows, one after the other: of each the words that hold it, of an empty one a word.

    Parameters
    ----------
    bus
        The memory's. Its words go to ``source`` as they are, the byte of the lowest address lowest.
    element_bytes
        Bytes of an element.
    rows
        Rows that wait at most.

    Members
    -------
    rows : Endpoint of rows: ``address`` of the first word, ``length`` in elements
    source : Endpoint of words, with ``last`` at the last one of a row
    """

    def __init__(self, bus: Interface, element_bytes: int, rows: int):
        word_bytes = bus.data_width // 8
        self.queue = SyncFIFO([("address", bus.adr_width), ("length", LENGTH)], rows)
        # "big" leaves the bytes of a word where they are.
        self.dma = dma = WishboneDMAReader(bus, endianness="big")
        self.rows, self.source = self.queue.sink, dma.source
        row = self.queue.source

        address = Signal(bus.adr_width)
        left = Signal(LENGTH + element_bytes.bit_length())
        self.fsm = fsm = FSM(reset_state="IDLE")
        fsm.act(
            "IDLE",
            NextValue(address, row.address),
            NextValue(left, row.length * element_bytes),
            If(row.valid, NextState("READ")),
        )
        fsm.act(
            "READ",
            dma.sink.valid.eq(1),
            dma.sink.address.eq(address),
            dma.sink.last.eq(left <= word_bytes),
            If(
                dma.sink.ready,
                NextValue(address, address + 1),
                NextValue(left, left - word_bytes),
                If(dma.sink.last, row.ready.eq(1), NextState("IDLE")),
            ),
        )
