"""The golden model: softmax in integers. Its functions define the unit's bits.

Arguments are checked here, by ``exaq.rows``; the arithmetic is that of the configuration's kernel.

    >>> import exaq
    >>> exaq.softmax([[40, 10, -60]], exaq.SoftmaxConfig(prob_bits=8)).tolist()
    [[216, 39, 1]]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.config import SoftmaxConfig
from exaq.row_results import RowResults
from exaq.rows import Rows


def quantize(
    logits: ArrayLike,
    config: SoftmaxConfig,
    mask: ArrayLike | None = None,
    contexts: ArrayLike | None = None,
    *,
    sink: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    window: tuple[ArrayLike, ArrayLike] | None = None,
) -> NDArray[np.uint8]:
    """Code of each logit relative to the maximum of its row's live elements.

    Parameters
    ----------
    logits
        Integers of any NumPy integer type, shape (..., row), a row of at most ``config.max_row``
        elements, each within ``config.logit_range``, masked ones too; with
        ``config.logit_format`` bf16 or fp16 floating-point numbers that the format has. A
        ``numpy.ma`` array brings a mask of its own, True = masked. ``config.mask_value`` and, of
        floating-point logits, -inf, +inf and NaN mask an element.
    config
        The unit's parameters. ``config.masking`` is about hardware and plays no part here.
    mask
        Booleans that broadcast to the logits' shape, True = live. None: all are live.
    contexts
        With ``config.contexts``: the number of the context whose tables a row goes by, integers
        that broadcast to the logits' shape without its last axis. None: ``config.tables``.
    sink
        Logit of each row's sink, in steps and within ``config.logit_range``, or a number of the
        floating-point format: an array that broadcasts to the logits' shape without its last
        axis. A sink is an element that takes part in the row's maximum and sum and has no
        output, whatever is masked. None: ``config.sink``, or none.
    lengths
        Elements of each row, 1 to row: integers that broadcast to the logits' shape without its
        last axis; what follows them counts as masked. None: all.
    window
        Starts and stops, 0 to row: a pair of integers that each broadcast to the logits' shape
        without its last axis. Elements of a row outside [start, stop) count as masked; all do
        where start is not below stop. None: none does.

    Returns
    -------
    NDArray[np.uint8]
        Codes 0 .. 2**bits - 1, shape of ``logits``; masked elements have code 0.

    Raises
    ------
    TypeError
        Logits, contexts, sinks or lengths are not integers, or the mask is not boolean.
    ValueError
        A logit, a row's length, a context or a sink is out of range, or a shape does not fit.
    """
    rows = Rows.of(
        logits,
        config.format,
        mask=mask,
        contexts=contexts,
        sink=sink,
        lengths=lengths,
        window=window,
    )
    config.kernel.check_sinks(rows)
    return config.kernel.quantize(rows).reshape(rows.shape)


def beat_references(
    logits: ArrayLike,
    config: SoftmaxConfig,
    mask: ArrayLike | None = None,
    *,
    lengths: ArrayLike | None = None,
    window: tuple[ArrayLike, ArrayLike] | None = None,
) -> NDArray[np.int32]:
    """What the codes of each beat are relative to, of a kernel that gives codes before it knows
    the row's maximum.

    Parameters
    ----------
    logits, config, mask, lengths, window
        As for ``quantize``. Beats are of ``config.lanes`` elements, from the row's first on.

    Returns
    -------
    NDArray[np.int32]
        (..., beats of a row), in the kernel's unit: octaves for ``baps``. 0 behind a row's end.

    Raises
    ------
    TypeError, ValueError
        As ``quantize`` does; a TypeError too where the kernel's codes come without references.
    """
    rows = Rows.of(logits, config.format, mask=mask, lengths=lengths, window=window)
    found = config.kernel.beat_references(rows)
    return found.reshape(*rows.shape[:-1], found.shape[-1])


def softmax(
    logits: ArrayLike,
    config: SoftmaxConfig,
    mask: ArrayLike | None = None,
    contexts: ArrayLike | None = None,
    *,
    sink: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    window: tuple[ArrayLike, ArrayLike] | None = None,
) -> NDArray[np.unsignedinteger[Any]]:
    """Probabilities of each row, exactly as the unit gives them.

    p = floor((E * 2**prob_bits + floor(S / 2)) / S), saturated at 2**prob_bits - 1, where E is the
    ExpRom value of the element's code and S the exact sum of E over the row's live elements, and
    over its sink where it has one. Masked elements give 0; so does every element of a row that has
    no live one.

    Parameters
    ----------
    logits, config, mask, contexts, sink, lengths, window
        As for ``quantize``.

    Returns
    -------
    NDArray[np.unsignedinteger]
        Probabilities in units of 2**-prob_bits, shape of ``logits``; uint8, uint16 or uint32,
        whichever is the smallest that holds ``config.prob_bits`` bits.

    Raises
    ------
    TypeError, ValueError
        As ``quantize`` does.
    """
    rows = Rows.of(
        logits,
        config.format,
        mask=mask,
        contexts=contexts,
        sink=sink,
        lengths=lengths,
        window=window,
    )
    config.kernel.check_sinks(rows)
    return config.kernel.compute(rows).reshape(rows.shape)


def row_results(
    logits: ArrayLike,
    config: SoftmaxConfig,
    mask: ArrayLike | None = None,
    contexts: ArrayLike | None = None,
    *,
    sink: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    window: tuple[ArrayLike, ArrayLike] | None = None,
) -> RowResults:
    """Maximum and sum of each row, exactly as the unit gives them beside its elements.

    Parameters
    ----------
    logits, config, mask, contexts, sink, lengths, window
        As for ``quantize``. With ``config.row_results`` ``"table"`` the results have the
        probabilities of all codes, else not.

    Raises
    ------
    TypeError, ValueError
        As ``quantize`` does.
    """
    rows = Rows.of(
        logits,
        config.format,
        mask=mask,
        contexts=contexts,
        sink=sink,
        lengths=lengths,
        window=window,
    )
    config.kernel.check_sinks(rows)
    return config.kernel.results_of(rows).reshape(*rows.shape[:-1])
