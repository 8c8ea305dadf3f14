"""From codes to probabilities, once the row's table is there."""

from amaranth.hdl import Module
from amaranth.lib import wiring

from exaq import Exaq
from exaq_hdl.kernels.exaq.emitters.emitter import Emitter
from exaq_hdl.parts.component import Component, Stream
from exaq_hdl.parts.memory import Memories
from exaq_hdl.parts.single_port_fifo import row_queue
from exaq_hdl.shell.streams import live_lanes


class Output:
    """The queue in which codes wait for their row's table, and the emitter behind it.

    Codes are stored in the emitter's coding, which nobody else sees.

    Parameters
    ----------
    kernel
        EXAQ's parameters.
    emitter
        The emitter.
    reaction
        That of the quantizer.
    make_table
        Cycles from a row's last code to the last word of its table, at the emitter.
    memories
        Makes the queue's RAM.

    Members
    -------
    room : whether a further beat of codes fits
    o : stream of probability_beat, out
    whole_row : whether a row's first element waits for the row's last code
    hold : cycles from a row's last code to its first probability
    tables : stream of table_word, in; None where no element waits for a table
    blocks_before, blocks_behind : the blocks, by name, before and behind those that make tables
    """

    whole_row = True

    def __init__(
        self,
        kernel: Exaq,
        emitter: Emitter,
        *,
        reaction: int,
        make_table: int,
        memories: Memories,
    ):
        self._kernel = kernel
        self.hold = make_table + emitter.latency
        self.emitter = emitter
        # A row waits for its table while its followers go on arriving.
        self.code_fifo = row_queue(
            self.emitter.i.payload.shape(),
            capacity=kernel.format.beats + self.hold,
            slack=reaction + 1,
            memories=memories,
            holds="codes of rows whose probabilities are not known yet",
        )
        self.room, self.o = self.code_fifo.room, self.emitter.o
        self.tables: Stream | None = self.emitter.table
        self.blocks_before: dict[str, Component] = {"code_fifo": self.code_fifo}
        self.blocks_behind: dict[str, Component] = {"emitter": self.emitter}

    def connect(self, m: Module, codes: Stream) -> None:
        """Join the blocks, behind ``codes``, of code_beat."""
        beat, stored = codes.payload, self.code_fifo.i.payload
        live = live_lanes(self._kernel.format, beat)
        for lane in range(self._kernel.format.lanes):
            for field, value in self.emitter.coded(beat.codes[lane], live[lane]).items():
                m.d.comb += stored.elements[lane][field].eq(value)
        m.d.comb += [
            self.code_fifo.i.valid.eq(codes.valid),
            stored.tail.eq(beat.tail),
            stored.last.eq(beat.last),
            stored.error.eq(beat.error),
        ]
        wiring.connect(m, self.code_fifo.o, self.emitter.i)
