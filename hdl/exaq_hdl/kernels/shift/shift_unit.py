"""The hardware of the kernel ``shift``."""

from amaranth.hdl import Cat, Const, Value

from exaq.kernels.shift import Shift
from exaq_hdl.kernels.kernel_unit import hardware_of
from exaq_hdl.kernels.shift.log_reciprocal import LogReciprocal
from exaq_hdl.kernels.shift.octave_code import OctaveCode
from exaq_hdl.kernels.shift.serial_reciprocal import SerialReciprocal
from exaq_hdl.kernels.weighted.datapath import Datapath
from exaq_hdl.kernels.weighted.steps import RowItem, Steps
from exaq_hdl.kernels.weighted.weighted_unit import WeightedUnit
from exaq_hdl.parts.component import Component

# Bits of a code that the second of two shifts is by.
_FINE = 2


class ShiftDatapath(Datapath):
    """A code a lane, a power of two for its weight, and the row's reciprocal shifted by it."""

    emit_latency = 1

    def __init__(self, kernel: Shift):
        super().__init__(kernel)
        self._code = OctaveCode(kernel)
        self.weigh_latency = self._code.latency

    def finisher(self) -> Component:
        divides = self.kernel.variant == "ita"
        return SerialReciprocal(self.kernel) if divides else LogReciprocal(self.kernel)

    def weigh(self, steps: Steps, distance: Value) -> tuple[Value, Value]:
        code = self._code.of(steps, distance)
        octaves = self.kernel.octaves
        return code, Cat(code == octaves - place for place in range(octaves + 1))

    def emit(self, steps: Steps, stored: Value, row: RowItem) -> Value:
        coarse = row.at(0, "reciprocal") >> Cat(Const(0, _FINE), stored[_FINE:])
        fine = steps.step(0, stored[:_FINE], "fine")
        return steps.step(0, coarse, "coarse") >> fine


@hardware_of(Shift)
class ShiftUnit(WeightedUnit):
    """Codes, a sum of powers of two, its reciprocal, shifts."""

    datapath_type = ShiftDatapath
