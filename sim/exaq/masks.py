"""Which elements of a row take part, where a mask is numbers rather than flags.

Frameworks leave elements out of a softmax by adding a large negative number to their logits: -inf,
the lowest of the type, -1e9, -1e4, -100. In float arithmetic each of them makes e**x vanish. The
unit has no code for "vanished": an element that takes part gets one of its table's exponentials,
however low its logit. So what such a number means is decided here, once, for the golden model's
users, calibration, PyTorch, simulation and boards alike.

The rule, row by row: an element is masked where its number is at or below ``MASKED``, or where the
number and all that are lower lie more than ``GAP`` below all that are higher. e**-GAP is 1.6e-28:
a float softmax gives nothing to such an element either. A bias that falls gradually, as ALiBi's
does, has no gap and stays a bias.

    >>> import exaq
    >>> exaq.live_scores([2.0, 0.5, -1e4, -9999.0]).tolist()
    [True, True, False, False]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.notices import ExaqWarning, warn_user
from exaq.rows import joined_mask, split_masked

#: At or below it a number masks, whatever else its row holds: far above -1e4, so that this masks
#: whatever logit it is added to; and a number that every float type has.
MASKED = -4096.0
#: Width of the gap below which numbers mask.
GAP = 64.0


class MaskWarning(ExaqWarning):
    """Scores hold values that look like a finite mask, but might be logits."""


@dataclass(frozen=True)
class Doubt:
    """Scores that are taken for masked because of a gap above them.

    Members
    -------
    count
        How many.
    highest
        The highest of them.
    """

    count: int
    highest: float

    def __or__(self, other: Doubt | None) -> Doubt:
        """Both together."""
        if other is None:
            return self
        return Doubt(self.count + other.count, max(self.highest, other.highest))

    def warn(self, where: str = "") -> None:
        """Say it to the package's user by a ``MaskWarning``; ``where`` is what the scores are."""
        warn_user(
            f"{where}{': ' if where else ''}{self.count} scores, the highest {self.highest:g}, are "
            f"more than {GAP:g} below the rest of their rows and are taken as masked; give a mask "
            "to say what takes part",
            MaskWarning,
        )


def live_addends(addend: ArrayLike) -> NDArray[np.bool_]:
    """Which elements take part, by the numbers that are added to their logits.

    Parameters
    ----------
    addend
        Floating-point numbers, shape (..., row): biases, and where an element is masked -inf or a
        finite number: at or below -4096, or below a gap of more than 64.

    Returns
    -------
    NDArray[np.bool_]
        Shape of ``addend``, True = live.
    """
    numbers, live = _numbers(addend, None)
    return find_live(numbers, live)[0]


def live_scores(scores: ArrayLike, mask: ArrayLike | None = None) -> NDArray[np.bool_]:
    """Which elements take part, by their real scores alone, a mask being part of them.

    Parameters
    ----------
    scores
        Floating-point numbers, shape (..., row). Masked elements of a ``numpy.ma`` array do not
        take part.
    mask
        Booleans that broadcast to that shape, True = live. It then says what is masked, beside
        scores at or below -4096, and no gap does. None: gaps are looked for.

    Returns
    -------
    NDArray[np.bool_]
        Shape of ``scores``, True = live.

    Warns
    -----
    MaskWarning
        A gap masks elements: the scores might also be logits that lie far apart. ``mask`` settles
        it.
    """
    numbers, live = _numbers(scores, mask)
    live, doubt = find_live(numbers, live, gaps=mask is None)
    if doubt is not None:
        doubt.warn()
    return live


def find_live(
    numbers: NDArray[np.floating[Any]], live: NDArray[np.bool_] | None, *, gaps: bool = True
) -> tuple[NDArray[np.bool_], Doubt | None]:
    """The rule itself: which of ``live`` (None: all) take part, and what only a gap has masked."""
    flags: NDArray[np.bool_] = ~(numbers <= MASKED)
    if live is not None:
        flags &= live
    if not gaps or not flags.any():
        return flags, None
    highest = np.max(numbers, axis=-1, keepdims=True, where=flags, initial=-np.inf)
    lowest = np.min(numbers, axis=-1, keepdims=True, where=flags, initial=np.inf)
    # Only rows this far apart can have a gap. Those with NaN or +inf their readers will refuse.
    with np.errstate(invalid="ignore"):
        spread = np.subtract(highest, lowest, dtype=np.float64)[..., 0]
    wide = (spread > GAP) & (spread < np.inf)
    if not wide.any():
        return flags, None
    rows, alive = numbers[wide].astype(np.float64), flags[wide]
    ordered = np.sort(np.where(alive, rows, highest[wide]), axis=-1)
    gap = np.diff(ordered, axis=-1) > GAP
    # The highest gap's lower edge; -inf in a row without one.
    edge = np.max(ordered[:, :-1], axis=-1, where=gap, initial=-np.inf, keepdims=True)
    masked = alive & (rows <= edge)
    if not masked.any():
        return flags, None
    flags[wide] = alive & ~masked
    # Adding 0 makes 0 of -0, which no message should show.
    return flags, Doubt(int(np.count_nonzero(masked)), float(rows[masked].max()) + 0.0)


def _numbers(
    values: ArrayLike, mask: ArrayLike | None
) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_] | None]:
    numbers, live = split_masked(values)
    if numbers.dtype.kind != "f":
        raise TypeError(f"scores must be floating-point numbers, not {numbers.dtype}")
    if numbers.ndim == 0:
        raise ValueError("scores must have at least one axis, the row")
    return numbers, joined_mask(live, mask, numbers.shape)
