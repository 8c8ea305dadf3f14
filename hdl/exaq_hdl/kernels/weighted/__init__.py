"""Kernels of two passes: weights, their sum, an item made of it once a row, probabilities.

    row beats --> weigher --+--> store --------------> emitter --> probabilities
                     ^      |                            ^
    maximum ---------+      +--> weight sum --> queue --> finisher (the row's item)

A kernel supplies a ``Datapath``: what its lanes compute in either pass, and the finisher. The
golden model is ``exaq.kernels.weighted``. To add a kernel:

    class MyDatapath(Datapath):
        weigh_latency, emit_latency = 1, 2
        def finisher(self): ...
        def weigh(self, steps, distance): ...
        def emit(self, steps, stored, row): ...

    @hardware_of(MyKernel)
    class MyUnit(WeightedUnit):
        datapath_type = MyDatapath
"""

from exaq_hdl.kernels.weighted.datapath import Datapath
from exaq_hdl.kernels.weighted.steps import RowItem, Steps
from exaq_hdl.kernels.weighted.weighted_unit import WeightedUnit

__all__ = ["Datapath", "RowItem", "Steps", "WeightedUnit"]
