"""What waits for a row's sum, in a unit that gives probabilities."""

from amaranth.hdl import ShapeLike

from exaq import StreamFormat
from exaq_hdl.parts.fifo import Fifo
from exaq_hdl.parts.memory import Memories
from exaq_hdl.parts.single_port_fifo import row_queue


class WaitingRows:
    """The queue that keeps a row's beats until its sum is known, and that of the sums.

    A row's beats wait while its followers go on arriving.

    Parameters
    ----------
    format
        The stream format.
    beat, row
        Shapes of what is kept of a beat and of a row's sum.
    slack
        Cycles from a look at ``room`` until the beat that follows from it is counted.
    sum_latency
        Cycles from a row's last beat to its sum.
    behind
        Cycles from a sum that leaves its queue to the row's first probabilities.
    memories
        Makes the RAMs.

    Members
    -------
    beats, sums : the queues
    room : whether a further beat, and a further row's sum, fit
    latency : cycles from a row's last beat to its first probabilities
    """

    def __init__(
        self,
        format: StreamFormat,
        beat: ShapeLike,
        row: ShapeLike,
        *,
        slack: int,
        sum_latency: int,
        behind: int,
        memories: Memories,
    ):
        behind += Fifo.latency_in(memories)
        self.latency = sum_latency + behind
        self.beats = row_queue(
            beat,
            capacity=format.beats + self.latency,
            slack=slack,
            memories=memories,
            holds="beats of rows whose sum is not known yet",
        )
        self.sums = Fifo(
            row,
            capacity=format.rows_within(behind),
            slack=slack + sum_latency,
            lazy=True,
            memories=memories,
            holds="sums of rows",
        )
        self.room = self.beats.room & self.sums.room
