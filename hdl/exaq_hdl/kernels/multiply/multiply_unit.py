"""The hardware of the kernel ``multiply``."""

from amaranth.hdl import Mux, Value

from exaq.kernels.multiply import Multiply
from exaq_hdl.kernels.kernel_unit import hardware_of
from exaq_hdl.kernels.multiply.exponentials import exponential_of
from exaq_hdl.kernels.weighted.datapath import Datapath
from exaq_hdl.kernels.weighted.reciprocal import Reciprocal
from exaq_hdl.kernels.weighted.steps import RowItem, Steps
from exaq_hdl.kernels.weighted.weighted_unit import WeightedUnit
from exaq_hdl.parts.arithmetic import half_up
from exaq_hdl.parts.component import Component


class MultiplyDatapath(Datapath):
    """An exponential a lane, stored as it is; a reciprocal a row; a product a lane.

    Every product stands between two registers.
    """

    emit_latency = 3

    def __init__(self, kernel: Multiply):
        super().__init__(kernel)
        self._exponential = exponential_of(kernel)
        self.weigh_latency = self._exponential.latency

    def finisher(self) -> Component:
        kernel = self.kernel
        return Reciprocal(
            sum_bits=kernel.sum_bits, bits=kernel.reciprocal_bits, least=kernel.least_sum
        )

    def weigh(self, steps: Steps, distance: Value) -> tuple[Value, Value]:
        reach = self.kernel.reach_bits
        weight = self._exponential.of(steps, distance[:reach])
        if reach < len(distance):
            far = steps.carry(0, distance[reach:].any(), "far", self.weigh_latency)
            weight = Mux(far, 0, weight)
        return weight, weight

    def emit(self, steps: Steps, stored: Value, row: RowItem) -> Value:
        kernel = self.kernel
        exponential = steps.step(0, stored, "exponential")
        product = steps.step(1, exponential * row.at(1, "mantissa"), "product")
        # A row's exponentials are at most its sum: the quotient is at most 1, and little more with
        # the bits that were cut off.
        quotient = product[kernel.exp_bits :] >> row.at(2, "exponent")
        return half_up(steps.step(2, quotient, "quotient"), kernel.format.prob_bits)


@hardware_of(Multiply)
class MultiplyUnit(WeightedUnit):
    """Exponentials, their sum, its reciprocal, products."""

    datapath_type = MultiplyDatapath
