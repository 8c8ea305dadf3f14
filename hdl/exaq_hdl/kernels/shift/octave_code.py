"""From a distance to its code, by shifts and adds."""

from amaranth.hdl import Const, Mux, Value

from exaq.kernels.shift import Shift
from exaq_hdl.kernels.weighted.steps import Steps
from exaq_hdl.parts.arithmetic import tree_depth


class OctaveCode:
    """Octaves of a distance, rounded half up and saturated at the kernel's ``most_code``.

    The factor is an integer m over a power of two. m times the distance is a sum of the distance,
    shifted, with signs: one addend for each signed digit of m that is not 0, of which no two stand
    side by side. The half that rounds is one more. A register follows each level of the tree that
    adds them.

    Parameters
    ----------
    kernel
        Parameters of the kernel.

    Members
    -------
    latency : places from a distance to its code
    """

    def __init__(self, kernel: Shift):
        self._kernel = kernel
        self._farthest = 2**kernel.format.logit_width - 1
        factor = kernel.factor
        self._m, self._places = factor.numerator, factor.denominator.bit_length() - 1
        #: The code is the same for every distance from 1 on, or from 0 on.
        self._constant = kernel.reaches[-1] <= 1 or kernel.reaches[0] > self._farthest
        self._digits = [] if self._constant else signed_digits(self._m)
        self.latency = 1 + tree_depth(len(self._digits) + bool(self._places)) if self._digits else 0

    def of(self, steps: Steps, distance: Value) -> Value:
        """The code, in place ``latency``, of a distance in place 0."""
        most, bits = self._kernel.most_code, self._kernel.stored_bits
        if self._constant:
            reached = distance.any() & (self._kernel.reaches[-1] <= 1)
            return Mux(reached, most, 0)[:bits]
        # Pairs of whether the addend is subtracted, and the addend.
        addends: list[tuple[bool, Value]] = [
            (minus, distance << place) for minus, place in self._digits
        ]
        half = 2**self._places >> 1
        if half:
            addends.append((False, Const(half)))
        level = 0
        while len(addends) > 1:
            pairs = [addends[k : k + 2] for k in range(0, len(addends), 2)]
            addends = [
                (minus, steps.step(level, value, f"octaves{level}_{k}"))
                for k, (minus, value) in enumerate(_added(pair) for pair in pairs)
            ]
            level += 1
        # Not negative, and no more than the farthest distance makes it.
        width = (self._m * self._farthest + half).bit_length()
        whole = addends[0][1][:width][self._places :]
        return steps.step(level, Mux(whole >= most, most, whole)[:bits], "code")


def _added(pair: list[tuple[bool, Value]]) -> tuple[bool, Value]:
    """The sum of one or two addends, as one; subtracted only where both are."""
    if len(pair) == 1:
        return pair[0]
    (minus, first), (other_minus, second) = pair
    if minus == other_minus:
        return minus, first + second
    return False, second - first if minus else first - second


def signed_digits(number: int) -> list[tuple[bool, int]]:
    """Powers of two that add up to ``number``, above 0: each with whether it is subtracted.

    In ascending order, no two of neighbouring powers; there is no shorter sum.
    """
    digits = []
    place = 0
    while number:
        if number & 1:
            minus = number & 3 == 3
            digits.append((minus, place))
            number += 1 if minus else -1
        number >>= 1
        place += 1
    return digits
