"""What BAPS has divided by a row's sum: the mantissas that a code can have."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Value

from exaq.kernels.baps_golden import QUOTIENT_SHIFT
from exaq_hdl.kernels.division.reader import ExponentialReader, Ring


class MantissaReader(ExponentialReader):
    """Mantissa 8 to 15 of each level, shifted up by ``QUOTIENT_SHIFT`` places: wires."""

    prelude = 0

    def look_up(self, m: Module, divider: Any, ring: Ring) -> tuple[Value, Value]:
        return Cat(Const(0, QUOTIENT_SHIFT), ring.level, Const(1, 1)), Const(1)

    def pass_on(self, m: Module, normalizer: Any, divider: Any) -> None:
        pass
