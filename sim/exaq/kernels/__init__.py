"""Kernels: the numeric algorithms, each with its parameters and its golden model.

A kernel is a frozen dataclass of parameters that computes rows (``Kernel.compute``); the hardware
that gives the same bits belongs to it by ``exaq_hdl.kernels.hardware_of``. docs/extending.md adds
one.

    >>> from exaq.kernels import KERNELS
    >>> KERNELS["exaq"].__name__
    'Exaq'
"""

from exaq.kernels.kernel import KERNELS, Kernel
from exaq.kernels.weighted import Weighted

# isort: off
# Each registers itself; EXAQ is the first one.
from exaq.kernels.exaq import Exaq
from exaq.kernels.baps import Baps
from exaq.kernels.multiply import Multiply
from exaq.kernels.softermax import Softermax
from exaq.kernels.shift import Shift
from exaq.kernels.lut import Lut

# isort: on

__all__ = ["KERNELS", "Baps", "Exaq", "Kernel", "Lut", "Multiply", "Shift", "Softermax", "Weighted"]
