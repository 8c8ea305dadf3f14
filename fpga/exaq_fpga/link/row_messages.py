"""Arrays of rows as the bodies of ROWS messages, and the bodies of their answers as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq import SoftmaxConfig
from exaq.rows import Rows
from exaq.stream_format import element_type
from exaq_fpga.link.protocol import HEADER, MASK_RUN, MASKED, OVERHEAD, ROW_HEADER, row_octets

#: Octets of an answer's body beside the probabilities: the status.
STATUS = 1


@dataclass(frozen=True)
class RowRange:
    """Rows ``start`` to ``stop`` - 1, which share a message."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def halves(self) -> list[RowRange]:
        """The same rows in two ranges, or in this one where it is a single row."""
        middle = (self.start + self.stop) // 2
        if middle == self.start:
            return [self]
        return [RowRange(self.start, middle), RowRange(middle, self.stop)]


class RowPacker:
    """Packs ranges of ``rows`` for a board of configuration ``config``, and unpacks answers.

    A row is sent masked where one of its elements is not live. The work is done on all rows of
    a range that have the same length and are all masked, or all not.

    Members
    -------
    probabilities : (rows, row)
        What ``unpack`` has filled in; 0 elsewhere.
    """

    def __init__(self, rows: Rows, config: SoftmaxConfig) -> None:
        self._rows = rows
        self._config = config
        self._place = np.arange(rows.logits.shape[-1])
        masked: NDArray[np.bool_] = np.zeros(len(rows.lengths), np.bool_)
        if rows.live is not None:
            within = self._place < rows.lengths[:, None]
            masked |= (within & ~rows.live).any(axis=-1)
        # A row's kind: what decides how its octets lie.
        self._kinds = rows.lengths * 2 + masked
        kinds, kind_of = np.unique(self._kinds, return_inverse=True)
        sizes = [row_octets(config, kind >> 1, masked=bool(kind & 1)) for kind in kinds.tolist()]
        self._octets = np.array(sizes)[kind_of]
        unsigned = element_type(config.prob_bits, signed=False)
        self.probabilities: NDArray[Any] = np.zeros(rows.logits.shape, unsigned)

    def ranges(self, request: int, answer: int) -> list[RowRange]:
        """All rows in their order, in ranges as large as may be, of one row at least.

        Parameters
        ----------
        request
            Octets of a receive buffer that a range's message may take.
        answer
            Octets that the body of its answer may have.
        """
        ends = np.cumsum(self._octets)
        answers = np.cumsum(self._rows.lengths, dtype=np.int64) * self._config.prob_bytes
        request -= HEADER + OVERHEAD
        answer -= STATUS
        found = []
        start = sent = got = 0
        while start < len(ends):
            fits = min(
                int(np.searchsorted(ends, sent + request, "right")),
                int(np.searchsorted(answers, got + answer, "right")),
            )
            stop = max(start + 1, fits)
            found.append(RowRange(start, stop))
            start, sent, got = stop, int(ends[stop - 1]), int(answers[stop - 1])
        return found

    def answer_octets(self, rows: RowRange) -> int:
        """Octets of the answer's body."""
        elements = int(self._rows.lengths[rows.start : rows.stop].sum())
        return elements * self._config.prob_bytes + STATUS

    def pack(self, rows: RowRange) -> bytes:
        """Body of the message of ``rows``."""
        chosen = slice(rows.start, rows.stop)
        octets, kinds = self._octets[chosen], self._kinds[chosen]
        starts = np.cumsum(octets) - octets
        body = np.empty(int(octets.sum()), np.uint8)
        for kind in np.unique(kinds).tolist():
            of_kind = np.flatnonzero(kinds == kind)
            packed = self._of_kind(of_kind + rows.start, kind >> 1, bool(kind & 1))
            body[starts[of_kind, None] + np.arange(packed.shape[-1])] = packed
        return body.tobytes()

    def _of_kind(self, chosen: NDArray[np.intp], length: int, masked: bool) -> NDArray[np.uint8]:
        """Octets of rows of one length that are masked or not, a row each."""
        count = len(chosen)
        header = np.empty((count, 2), "<u2")
        header[:, 0] = length - 1
        header[:, 1] = MASKED if masked else 0
        if self._rows.contexts is not None:
            header[:, 1] |= self._rows.contexts[chosen].astype(np.uint16)
        size = self._config.logit_bytes
        logits = self._rows.logits[chosen, :length].astype("<i4")
        octets = np.ascontiguousarray(logits.view(np.uint8).reshape(count, length, 4)[..., :size])
        if masked and self._rows.live is not None:
            runs = -(-length // MASK_RUN)
            mixed = np.zeros((count, runs, 1 + MASK_RUN * size), np.uint8)
            live = self._rows.live[chosen, :length]
            mixed[..., 0] = np.packbits(live, axis=-1, bitorder="little")
            padded = np.zeros((count, runs * MASK_RUN, size), np.uint8)
            padded[:, :length] = octets
            mixed[..., 1:] = padded.reshape(count, runs, MASK_RUN * size)
            octets = mixed
        elements = octets.reshape(count, -1)
        elements = elements[:, : row_octets(self._config, length, masked=masked) - ROW_HEADER]
        return np.concatenate([header.view(np.uint8), elements], axis=-1)

    def unpack(self, rows: RowRange, body: bytes) -> None:
        """Bring an answer's body, of ``answer_octets``, into ``probabilities``."""
        chosen = slice(rows.start, rows.stop)
        size = self._config.prob_bytes
        octets = np.frombuffer(body, np.uint8, len(body) - STATUS).reshape(-1, size)
        width = self.probabilities.itemsize
        wide = np.zeros((len(octets), width), np.uint8)
        wide[:, :size] = octets
        within = self._place < self._rows.lengths[chosen, None]
        self.probabilities[chosen][within] = wide.view(f"<u{width}").reshape(-1)
