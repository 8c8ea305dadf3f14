"""A DMA that streams rows of logits from memory through a unit, and what comes out back to memory.

    self.row_dma = RowDMA(self.softmax.config)
    self.comb += [
        self.row_dma.source.connect(self.softmax.sink),
        self.softmax.source.connect(self.row_dma.sink),
    ]
    self.bus.add_master("row_dma", self.row_dma.bus)
    self.irq.add("row_dma")  # for a CPU that is to be interrupted

Software writes where a row is, how long it is and where its results go, and then ``put``, which
appends the row to a queue; ``exaq_litex.dma_header`` makes C functions for it.
"""

from litex.gen import LiteXModule
from litex.soc.interconnect.csr import CSR, CSRField, CSRStatus, CSRStorage
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceProcess
from litex.soc.interconnect.wishbone import Arbiter, Interface
from migen import If

from exaq import SoftmaxConfig
from exaq.scalars import integer
from exaq_litex.row_beats import RowBeats
from exaq_litex.row_layout import LENGTH, options
from exaq_litex.row_words import RowWords
from exaq_litex.row_writer import RowWriter


class RowDMA(LiteXModule):
    """Rows follow each other without software between them, as long as the queue holds some.

    A row's logits lie in memory one behind the other, each in whole bytes, lowest byte first; its
    probabilities are written likewise, and not a byte behind them. Both begin at a word of the bus.
    A row may have any number of elements. One of more than ``max_row`` is cut there by the unit
    and counts as an error; one of none gives none. Masks are windows and mask values: bits of a
    mask have no place in memory. The bus limits the rate, with a word a transfer.

    Parameters
    ----------
    config
        The unit's; it gives probabilities.
    data_width
        Bits of a word of the bus. A beat of the unit is a multiple or a part of it, on both sides.
    address_width
        Bits of a byte's address.
    rows
        Rows that wait or are under way at most, 2 or more.

    Members
    -------
    source : Endpoint, to the unit's ``sink``
    sink : Endpoint, from the unit's ``source``
    bus : wishbone Interface, a master of the memory
    ev : EventManager; its event ``idle`` says that the last row is in memory

    Registers
    ---------
    logits, results : byte addresses of a row and of what comes out of it
    length : its elements
    context : with several contexts, the row's
    window_start, window_stop : with windows, the row's
    put : a write appends the row that the registers above tell of
    refused : why the last ``put`` did not: ``full``, ``misaligned``
    status : ``room`` for a row, ``idle`` where none is under way
    rows, errors : rows that are in memory, and those of them in error, modulo 2**32
    """

    def __init__(
        self,
        config: SoftmaxConfig,
        *,
        data_width: int = 32,
        address_width: int = 32,
        rows: int = 4,
    ):
        if config.output != "probabilities":
            raise ValueError(f"a RowDMA writes probabilities, and the unit gives {config.output}")
        for side, size in (("logits", config.logit_bytes), ("probabilities", config.prob_bytes)):
            beat = 8 * size * config.lanes
            if max(beat, data_width) % min(beat, data_width):
                raise ValueError(
                    f"a beat of {side} has {beat} bits, which is neither a multiple nor a part "
                    f"of a word of {data_width} bits"
                )
        rows = integer("rows", rows, 2, 1024)
        shape = {"data_width": data_width, "address_width": address_width}
        self.words = words = RowWords(Interface(**shape), config.logit_bytes, rows)
        self.beats = beats = RowBeats(config, data_width, rows)
        self.writer = writer = RowWriter(config, Interface(**shape), rows)
        self.bus = Interface(**shape)
        self.arbiter = Arbiter([words.dma.bus, writer.bus], self.bus)
        self.source, self.sink = beats.source, writer.sink
        self.comb += words.source.connect(beats.sink)
        self._add_registers(config, data_width, address_width)
        self.ev = EventManager()
        self.ev.idle = EventSourceProcess(edge="rising", description="The last row is in memory.")
        self.ev.finalize()
        self.comb += self.ev.idle.trigger.eq(~writer.waiting)

    def _add_registers(self, config: SoftmaxConfig, data_width: int, address_width: int) -> None:
        words, beats, writer = self.words, self.beats, self.writer
        self.logits = CSRStorage(address_width, description="Byte address of a row.")
        self.results = CSRStorage(address_width, description="Byte address of its probabilities.")
        self.length = CSRStorage(LENGTH, description="Its elements.")
        for name, width, meaning in options(config):
            setattr(self, name, CSRStorage(width, name=name, description=f"Of the row: {meaning}."))
            self.comb += getattr(beats.rows, name).eq(getattr(self, name).storage)
        self.put = CSR()
        why = [
            CSRField("full", description="The queue was full."),
            CSRField("misaligned", description="An address was none of a word."),
        ]
        self.refused = CSRStatus(fields=why, description="Why the last row was not put.")
        state = [
            CSRField("room", description="The queue has room for a row."),
            CSRField("idle", description="No row waits or is under way."),
        ]
        self.status = CSRStatus(fields=state)
        self.rows = CSRStatus(LENGTH, description="Rows that are in memory.")
        self.errors = CSRStatus(LENGTH, description="Those of them that were in error.")

        place = (data_width // 8).bit_length() - 1
        full = ~writer.rows.ready
        misaligned = (self.logits.storage | self.results.storage)[:place] != 0
        self.comb += [
            words.rows.address.eq(self.logits.storage[place:]),
            words.rows.length.eq(self.length.storage),
            beats.rows.length.eq(self.length.storage),
            writer.rows.address.eq(self.results.storage[place:]),
            writer.rows.length.eq(self.length.storage),
            # A row leaves the writer's queue last, so where that has room all have.
            *(
                queue.valid.eq(self.put.re & ~full & ~misaligned)
                for queue in (words.rows, beats.rows, writer.rows)
            ),
            self.status.fields.room.eq(~full),
            self.status.fields.idle.eq(~writer.waiting),
        ]
        self.sync += [
            If(
                self.put.re,
                self.refused.fields.full.eq(full),
                self.refused.fields.misaligned.eq(misaligned),
            ),
            If(writer.written, self.rows.status.eq(self.rows.status + 1)),
            If(writer.error, self.errors.status.eq(self.errors.status + 1)),
        ]
