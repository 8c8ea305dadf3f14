"""Kernels: the numeric algorithms, each with its parameters and its golden model.

A kernel is a frozen dataclass of parameters that computes rows (``Kernel.compute``); the hardware
that gives the same bits belongs to it by ``exaq_hdl.kernels.hardware``. docs/extending.md adds one.

    >>> from exaq.kernels import KERNELS
    >>> KERNELS["exaq"].__name__
    'Exaq'
"""

from exaq.kernels.kernel import KERNELS, Kernel

from exaq.kernels.exaq import Exaq  # isort: skip, registers itself

__all__ = ["KERNELS", "Exaq", "Kernel"]
