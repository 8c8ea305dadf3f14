"""Single numbers as parameters take them: Python's and NumPy's, made plain Python values.

Checked and converted where they enter, they never meet NumPy's arithmetic, which overflows and
rounds to its own types, nor a writer of JSON, which knows Python's numbers alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

# Neither is a number to us, but Python calls a bool an int and NumPy a span of time an integer.
_NO_NUMBERS = bool | np.timedelta64


def integer(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """``value``, called ``name`` in messages, as an int.

    Raises
    ------
    TypeError
        It is no integer of Python or NumPy; booleans and arrays are none.
    ValueError
        It is below ``least`` or, where that is given too, above ``most``.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, _NO_NUMBERS):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    number = int(value)
    if least is not None and not least <= number <= (number if most is None else most):
        legal = f"at least {least}" if most is None else f"in {least}..{most}"
        raise ValueError(f"{name} must be {legal}, not {number}")
    return number


def real(name: str, value: Any) -> float | Fraction:
    """``value``, called ``name`` in messages, exactly: a float, or a fraction where no float is it.

    What is nearer to 0 than every float is 0.

    Raises
    ------
    TypeError
        It is no int, float, Fraction or Decimal, and no integer or floating-point number of NumPy.
    ValueError
        It is not finite, or beyond all floats.
    """
    numbers = int | float | Fraction | Decimal | np.integer | np.floating
    if not isinstance(value, numbers) or isinstance(value, _NO_NUMBERS):
        raise TypeError(f"{name} must be a real number, not {value!r}")
    if isinstance(value, np.integer):
        value = int(value)
    try:
        near = float(value)
    except OverflowError:
        near = math.inf if value > 0 else -math.inf
    except ValueError:  # A Decimal may be a NaN that signals.
        near = math.nan
    if not math.isfinite(near):
        raise ValueError(f"{name} must be finite, not {near!r}")
    return near if near in (value, 0) else Fraction(*value.as_integer_ratio())


def flag(name: str, value: Any) -> bool:
    """``value``, called ``name`` in messages, as a bool; TypeError where it is none."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def choice(name: str, value: Any, legal: Sequence[str]) -> str:
    """``value``, called ``name`` in messages, as one of the words ``legal``; else a ValueError."""
    if value not in legal or not isinstance(value, str):
        raise ValueError(f"{name} must be {', '.join(legal[:-1])} or {legal[-1]}, not {value!r}")
    return value


def plain_real(value: float | Fraction) -> float | str:
    """The float that equals ``value``, or a string such as ``"1/10"`` where none does."""
    return float(value) if Fraction(float(value)) == value else str(value)


def exact_real(value: float | str) -> float | Fraction:
    """What ``plain_real`` was given."""
    return Fraction(value) if isinstance(value, str) else value
