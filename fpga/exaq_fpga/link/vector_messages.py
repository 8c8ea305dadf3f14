"""Arrays of an attention head as the bodies of its messages, and outputs of their answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq.attention import AttentionConfig
from exaq_fpga.link.protocol import FINAL, VECTORS_HEADER, Type
from exaq_fpga.link.session import Request

Octets = NDArray[np.uint8]


class VectorsRequest(Request):
    """Vectors that share a message; if it was lost twice, they go on in halves, which pass easier.

    Parameters
    ----------
    type
        KEYS_VALUES or QUERIES.
    vectors
        All vectors of the head, as octets.
    start, stop
        The first of the message, and the one behind its last.
    each
        Octets that the answer has for each vector, beside what it has for all.
    """

    def __init__(self, type: Type, vectors: Octets, start: int, stop: int, *, each: int) -> None:
        word = start
        if type is Type.KEYS_VALUES and stop == len(vectors):
            word |= FINAL
        body = word.to_bytes(VECTORS_HEADER, "little") + vectors[start:stop].tobytes()
        header = VECTORS_HEADER if type is Type.KEYS_VALUES else 0
        super().__init__(type, body, answer=header + (stop - start) * each + 1)
        self.start, self.stop = start, stop
        self._vectors, self._each = vectors, each

    def again(self) -> Sequence[Request]:
        middle = (self.start + self.stop) // 2
        if self.lost < 2 or middle == self.start:
            return [self]
        ends = ((self.start, middle), (middle, self.stop))
        halves = [VectorsRequest(self.type, self._vectors, *each, each=self._each) for each in ends]
        for half in halves:
            half.lost = 1
        return halves


def unpack_outputs(octets: bytes, config: AttentionConfig) -> NDArray[Any]:
    """(rows, head_size) outputs."""
    found = np.frombuffer(octets, f"<i{config.output_width // 8}")
    return found.reshape(-1, config.head_size)
