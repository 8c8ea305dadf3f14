"""A board of an attention head at the other end of a transport, from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.attention import AttentionConfig
from exaq.attention.attention_config import QUERY_WIDTH
from exaq.attention.head_operands import HeadOperands, packed
from exaq_fpga.link.connected_board import ConnectedBoard
from exaq_fpga.link.errors import LinkError, RefusedError
from exaq_fpga.link.head_octets import output_octets
from exaq_fpga.link.protocol import (
    FINAL,
    HEADER,
    OVERHEAD,
    RESERVE,
    VECTORS_HEADER,
    RowsStatus,
    Type,
)
from exaq_fpga.link.session import Request
from exaq_fpga.link.vector_messages import Octets, VectorsRequest, unpack_outputs

# Messages that share the board's receive buffer, and answers that share the host's window.
_SHARE = 4
# Octets of an answer's body beside its outputs.
_STATUS = 1


class HeadBoard(ConnectedBoard):
    """A board of an attention head that is connected: it was found, and has told what it is.

    Parameters, members and errors as of ``Board``.
    """

    kind = AttentionConfig

    def _longest_answer(self) -> int:
        return output_octets(self.config) + _STATUS

    @property
    def config(self) -> AttentionConfig:
        """The head's configuration."""
        config = self.identity.config
        assert isinstance(config, AttentionConfig)
        return config

    def attend(
        self,
        q: ArrayLike,
        k: ArrayLike,
        v: ArrayLike,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> NDArray[Any]:
        """Outputs of attention heads, computed by the board one after the other.

        Parameters
        ----------
        q, k, v
            (..., rows, head_size), and (..., keys, head_size) twice, as of
            ``exaq.attention.attend``. Leading axes are heads, and broadcast; heads that follow each
            other with the same keys and values, by broadcasting, have these sent once.
        progress
            Called with (rows done, rows) after each answer.

        Returns
        -------
        NDArray
            (..., rows, head_size), int8 or int16: those of ``exaq.attention.attend``.

        Raises
        ------
        TypeError, ValueError
            An argument is not as described, or has more keys than the unit holds.
        RefusedError
            The board refuses a message, or flags a row.
        LinkError
            The link is lost, or the board has lost the keys.
        """
        config = self.config
        heads = HeadOperands.of(q, k, v, config)
        queries = packed(heads.q, QUERY_WIDTH)
        keys, values = packed(heads.k, config.key_format.width), packed(heads.v, config.value_width)
        pairs = np.concatenate([keys, values], axis=-1)
        shape = (len(queries), heads.rows, config.head_size)
        found = np.zeros(shape, f"i{config.output_width // 8}")
        done = 0
        for n, rows in enumerate(queries):
            if heads.begins[n]:
                self._load(pairs[heads.set_of[n]])
            for request, outputs in self._rows(rows):
                found[n, request.start : request.stop] = outputs
                done += len(outputs)
                if progress is not None:
                    progress(done, len(queries) * heads.rows)
        return found.reshape(*heads.shape, *shape[1:])

    def _load(self, pairs: Octets) -> None:
        """Begin a head with these keys and values."""
        self._ask(Request(Type.BEGIN_HEAD, answer=1))
        each = self._vectors_of_a_message(pairs.shape[-1])
        held, complete, behind = 0, False, False

        def parts() -> Iterator[VectorsRequest]:
            for start in range(held, len(pairs), each):
                # What follows a part that was lost is not taken: no more of it is sent.
                if behind:
                    return
                stop = min(start + each, len(pairs))
                yield VectorsRequest(Type.KEYS_VALUES, pairs, start, stop, each=0)

        while not complete:
            before, behind = held, False
            with closing(self._run(parts())) as answers:
                for request, body in answers:
                    word = int.from_bytes(body[:VECTORS_HEADER], "little")
                    held, complete = word & ~FINAL, bool(word & FINAL)
                    behind = behind or held < request.stop
            if held <= before:
                self._lost()

    def _rows(self, queries: Octets) -> Iterator[tuple[VectorsRequest, NDArray[Any]]]:
        """Rows of q that were sent, each message with its outputs."""
        config = self.config
        size = output_octets(config)
        most = max(1, (self._session.window // _SHARE - _STATUS) // size)
        each = min(self._vectors_of_a_message(queries.shape[-1]), most)
        requests = (
            VectorsRequest(Type.QUERIES, queries, start, min(start + each, len(queries)), each=size)
            for start in range(0, len(queries), each)
        )
        with closing(self._run(requests)) as answers:
            for request, body in answers:
                status = RowsStatus(body[-1])
                if status & RowsStatus.NO_HEAD:
                    self._lost()
                if status:
                    raise RefusedError(
                        f"the board reports an error in rows {request.start} to "
                        f"{request.stop - 1} (status {int(status)})"
                    )
                yield request, unpack_outputs(body[:-_STATUS], config)

    def _vectors_of_a_message(self, size: int) -> int:
        room = (self._session.buffer - RESERVE) // _SHARE
        return max(1, (room - HEADER - OVERHEAD - VECTORS_HEADER) // size)

    def _lost(self) -> None:
        self.close()
        raise LinkError("the board was reset in the meantime and has lost its keys")
