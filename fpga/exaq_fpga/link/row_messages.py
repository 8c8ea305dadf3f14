"""Arrays of rows as the bodies of ROWS messages, and the bodies of their answers as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq import RowResults, SoftmaxConfig
from exaq.float_format import bits_of_keys, keys_of_bits
from exaq.rows import Rows
from exaq.stream_format import element_type
from exaq_fpga.link.protocol import (
    HEADER,
    MASK_RUN,
    MASKED,
    OVERHEAD,
    WINDOW_NUMBER,
    WINDOWED,
    element_octets,
    result_octets,
    row_octets,
    sum_octets,
)

#: Octets of an answer's body beside what is of rows: the status.
STATUS = 1


@dataclass(frozen=True)
class RowRange:
    """Rows ``start`` to ``stop`` - 1, which share a message."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def of_array(self) -> slice:
        """The rows' place in an array of all rows."""
        return slice(self.start, self.stop)

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
    elements : (rows, row)
        Probabilities or codes that ``unpack`` has filled in; 0 elsewhere.
    results
        Row results that it has filled in; None where the unit gives none.
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
        width = config.bits if config.output == "codes" else config.prob_bits
        self.elements: NDArray[Any] = np.zeros(rows.logits.shape, element_type(width, signed=False))
        self._results = np.zeros((len(rows.lengths), result_octets(config)), np.uint8)

    @property
    def _answers(self) -> NDArray[np.int64]:
        """Octets of each row in an answer."""
        elements = self._rows.lengths.astype(np.int64) * element_octets(self._config)
        return elements + result_octets(self._config)

    @property
    def results(self) -> RowResults | None:
        """(rows,) row results."""
        config = self._config
        if config.row_results == "none":
            return None
        parts = [config.logit_bytes, sum_octets(config)]
        maximum, total, table = np.split(self._results, np.cumsum(parts), axis=-1)
        most = _integers(maximum, signed=True)
        floats = config.format.float_format
        each = table.reshape(len(table), -1, config.prob_bytes)
        kind = element_type(config.prob_bits, signed=False)
        return RowResults(
            maximum=most.astype(np.int32)
            if floats is None
            else floats.values(keys_of_bits(most.astype(np.int16).view(np.uint16))),
            sum=_integers(total, signed=False),
            table=_integers(each, signed=False).astype(kind) if table.size else None,
        )

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
        answers = np.cumsum(self._answers)
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
        return int(self._answers[rows.start : rows.stop].sum()) + STATUS

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
        head = [header.view(np.uint8)]
        if self._rows.windows is not None:
            header[:, 1] |= WINDOWED
            edges = np.ascontiguousarray(self._rows.windows[chosen], "<i4")
            numbers = edges.view(np.uint8).reshape(count, 2, 4)[..., :WINDOW_NUMBER]
            head.append(numbers.reshape(count, 2 * WINDOW_NUMBER))
        size = self._config.logit_bytes
        logits = self._rows.logits[chosen, :length]
        if self._config.format.float_format is not None:
            logits = bits_of_keys(logits)
        logits = np.ascontiguousarray(logits, "<i4")
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
        taken = sum(part.shape[-1] for part in head)
        elements = elements[:, : row_octets(self._config, length, masked=masked) - taken]
        return np.concatenate([*head, elements], axis=-1)

    def unpack(self, rows: RowRange, body: bytes) -> None:
        """Bring an answer's body, of ``answer_octets``, into ``elements`` and ``results``."""
        chosen = slice(rows.start, rows.stop)
        size, of_results = element_octets(self._config), result_octets(self._config)
        octets = np.frombuffer(body, np.uint8, len(body) - STATUS)
        if of_results:
            ends = np.cumsum(self._answers[chosen])
            places = ends[:, None] - of_results + np.arange(of_results)
            self._results[chosen] = octets[places]
            octets = np.delete(octets, places.reshape(-1))
        values = _integers(octets.reshape(-1, size), signed=False)
        within = self._place < self._rows.lengths[chosen, None]
        self.elements[chosen][within] = values.astype(self.elements.dtype)


def _integers(octets: NDArray[np.uint8], *, signed: bool) -> NDArray[np.int64]:
    """(...), integers of octets (..., count), lowest first."""
    wide = np.zeros((*octets.shape[:-1], 8), np.uint8)
    wide[..., : octets.shape[-1]] = octets
    if signed:
        wide[..., octets.shape[-1] :] = np.where(octets[..., -1:] & 0x80, 0xFF, 0)
    return wide.view("<i8")[..., 0]
