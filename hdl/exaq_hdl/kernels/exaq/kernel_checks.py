"""Checks of what the components of EXAQ are made from."""

from exaq import Exaq
from exaq.float_format import FloatFormat
from exaq_hdl.checks import check_kernel


def check_exaq(kernel: Exaq) -> Exaq:
    """``kernel``, which must be parameters of EXAQ; as ``check_kernel``."""
    return check_kernel(kernel, Exaq, "exaq.Exaq")


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
