"""Kernels: the numeric algorithms, each with its parameters and its golden model.

A kernel is a frozen dataclass of parameters that computes rows (``Kernel.compute``); the hardware
that gives the same bits belongs to it by ``exaq_hdl.kernels.hardware``. docs/extending.md adds one.

    >>> from exaq.kernels import KERNELS
    >>> KERNELS["exaq"].__name__
    'Exaq'
"""

from exaq.kernels.kernel import KERNELS, Kernel

# isort: off
# Each registers itself; EXAQ is the first one.
from exaq.kernels.exaq import Exaq
from exaq.kernels.baps import Baps

# isort: on

__all__ = ["KERNELS", "Baps", "Exaq", "Kernel"]
