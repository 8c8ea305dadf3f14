"""Checks of what the components of EXAQ are made from."""

from exaq import Exaq
from exaq.float_format import FloatFormat


def check_exaq(kernel: Exaq) -> Exaq:
    """``kernel``, which must be parameters of EXAQ that are settled for a stream format.

    Raises
    ------
    TypeError
        It is something else, or was not settled.
    """
    if not isinstance(kernel, Exaq) or kernel.unsettled:
        raise TypeError(f"kernel must be an exaq.Exaq of a SoftmaxConfig, not {kernel!r}")
    return kernel


def check_loaded(kernel: Exaq) -> Exaq:
    """As ``check_exaq``; ValueError where the kernel's unit has no contexts."""
    if not check_exaq(kernel).format.contexts:
        raise ValueError("contexts must be at least 1, not 0: nothing can be loaded otherwise")
    return kernel


def check_floats(kernel: Exaq) -> tuple[Exaq, FloatFormat]:
    """As ``check_exaq``, with the logits' format; ValueError where that is of integers."""
    floats = check_exaq(kernel).format.float_format
    if floats is None:
        raise ValueError("logit_format must be bf16 or fp16, not integer")
    return kernel, floats
