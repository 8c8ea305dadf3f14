"""What BAPS's codes add to a sum."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value

from exaq import Baps
from exaq.kernels.baps_golden import MANTISSA_BITS
from exaq_hdl.kernels.baps.baps_layouts import check_baps, coded_beat
from exaq_hdl.kernels.online.online_layouts import summed_row
from exaq_hdl.kernels.online.shifting_sum import Weights


class CodeWeights(Weights):
    """What codes stand for, rounded down to ``sum_frac`` fraction bits each.

    Parameters
    ----------
    kernel
        BAPS's parameters.
    """

    latency = 2

    def __init__(self, kernel: Baps):
        self.kernel = check_baps(kernel)
        self.beat, self.row = coded_beat(kernel), summed_row(kernel)

    def of(self, m: Module, beat: Any) -> list[Value]:
        lanes = range(self.kernel.format.lanes)
        return [self._weight(m, beat.codes[lane], f"lane{lane}") for lane in lanes]

    def _weight(self, m: Module, code: Value, name: str) -> Signal:
        """What a code adds to a sum, rounded down, two cycles later; code 0 is shifted out.

        It is shifted by up to three places in the first cycle, and by fours in the second, where
        each bit comes from one of two places.
        """
        below = ~code[MANTISSA_BITS:]
        near = Signal(7, name=f"{name}_near", reset_less=True)
        frac = self.kernel.sum_frac
        fours = Signal(frac // 4 + 1, name=f"{name}_fours", reset_less=True)
        weight = Signal(frac + 1, name=f"{name}_weight", reset_less=True)
        m.d.sync += near.eq(Cat(Const(0, 3), code[:MANTISSA_BITS], 1) >> below[:2])
        m.d.sync += [bit.eq(below[2:] == k) for k, bit in enumerate(fours)]
        for place, bit in enumerate(weight):
            # Bit k of ``near`` is bit k + frac - 6 of the weight where it moves no further.
            sources = [
                near[k] & four
                for steps, four in enumerate(fours)
                if 0 <= (k := place - (frac - 6) + 4 * steps) < len(near)
            ]
            m.d.sync += bit.eq(Cat(sources).any())
        return weight
