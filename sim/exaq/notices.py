"""The warnings of this project, which the command line shows as one line each."""

import sys
import warnings

# Whose frames stand between a user's call and a warning.
_OURS = ("exaq", "torch", "contextlib")


class ExaqWarning(UserWarning):
    """Something was done, but perhaps not as it was meant."""


def warn_user(message: str, category: type[ExaqWarning]) -> None:
    """Warn at the line of the user's that called the package, however deep this is in it."""
    frame, level = sys._getframe(), 1
    while frame.f_back and frame.f_globals["__name__"].split(".")[0] in _OURS:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
