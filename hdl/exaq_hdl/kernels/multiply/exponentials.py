"""What makes exponentials from distances, in a lane of the kernel ``multiply``."""

from abc import ABC, abstractmethod

from amaranth.hdl import Cat, Const, Mux, Value

from exaq.kernels.multiply import EXPONENT_FRAC, GUARD, Multiply
from exaq_hdl.kernels.weighted.falling_pieces import PIECES_LATENCY, falling_pieces
from exaq_hdl.kernels.weighted.steps import Steps
from exaq_hdl.parts.arithmetic import half_up, less

# Bits of the exponent to base 2 that the last of two shifts is by.
_FINE = 2


class Exponential(ABC):
    """e to the power of minus a distance, as the golden model rounds it; 1 is saturated.

    Parameters
    ----------
    kernel
        Parameters of the kernel.

    Members
    -------
    latency : places from a distance to its exponential
    """

    latency: int

    def __init__(self, kernel: Multiply):
        self._kernel = kernel

    @abstractmethod
    def of(self, steps: Steps, distance: Value) -> Value:
        """The exponential, in place ``latency``, of a distance of ``reach_bits`` in place 0."""


class Split(Exponential):
    """A lookup by the distance's high bits, one by its low bits, and their product."""

    latency = 2

    def of(self, steps: Steps, distance: Value) -> Value:
        kernel = self._kernel
        bits, low = kernel.table_bits, kernel.low_bits
        high_words, low_words = kernel.split_tables
        high_part = steps.look_up(0, high_words, bits, distance[low:], "high_table")
        low_part = steps.look_up(0, low_words, bits, distance[:low], "low_table")
        product = steps.step(1, high_part * low_part, "exponential")
        return half_up(product[2 * bits - kernel.exp_bits - 1 :], kernel.exp_bits)


class Base2(Exponential):
    """A multiplication to base 2, an approximation of 2^-f for the fraction f, and a shift."""

    #: Places from f to 2^-f.
    exp2_latency: int

    def __init__(self, kernel: Multiply):
        super().__init__(kernel)
        self.latency = 1 + self.exp2_latency + 1

    @abstractmethod
    def exp2(self, steps: Steps, place: int, f: Value) -> Value:
        """2^-f of ``table_bits`` fraction bits, ``exp2_latency`` places behind ``place``."""

    def of(self, steps: Steps, distance: Value) -> Value:
        kernel, point = self._kernel, self._kernel.factor_frac
        product = distance * Const(kernel.factor)
        # A small factor gives no integer part, and not even every bit of the fraction.
        product = Cat(product, Const(0, max(1, point + 1 - len(product))))
        exponent = steps.step(0, product, "exponent")
        value = self.exp2(steps, 1, exponent[point - EXPONENT_FRAC : point])
        place = 1 + self.exp2_latency
        whole = steps.carry(1, exponent[point:], "whole", place)
        # Rounding looks at one bit below the last one.
        value = value[GUARD - 1 : kernel.table_bits]
        value = steps.step(place, value >> Cat(Const(0, _FINE), whole[_FINE:]), "shifted")
        fine = steps.step(place, whole[:_FINE], "fine")
        return half_up(value >> fine, kernel.exp_bits)


class Taylor(Base2):
    """A Taylor polynomial round 1/2, by Horner's rule."""

    def __init__(self, kernel: Multiply):
        self.exp2_latency = 2 * (len(kernel.coefficients) - 1)
        super().__init__(kernel)

    def exp2(self, steps: Steps, place: int, f: Value) -> Value:
        *lower, last = self._kernel.coefficients
        value: Value = Const(last)
        for k, coefficient in reversed(list(enumerate(lower))):
            product = steps.step(place, value * f, f"product{k}")
            f = steps.carry(place, f, "fraction", place + 2)
            value = steps.step(
                place + 1, less(Const(coefficient), product[EXPONENT_FRAC:]), f"value{k}"
            )
            place += 2
        return value


class Pieces(Base2):
    """Linear pieces, each by where it begins and how much it falls."""

    exp2_latency = PIECES_LATENCY

    def exp2(self, steps: Steps, place: int, f: Value) -> Value:
        return falling_pieces(steps, place, self._kernel.pieces, self._kernel.table_bits, f)


class Schraudolph(Base2):
    """1 - f/2."""

    exp2_latency = 1

    def exp2(self, steps: Steps, place: int, f: Value) -> Value:
        bits = self._kernel.table_bits
        # 2^bits - x is 1 + ~x; x of 0 gives what saturates.
        x = (Cat(Const(0, bits), f) >> (EXPONENT_FRAC + 1))[: bits - 1]
        whole = less(Const(1 << bits), x)
        return steps.step(place, Mux(x.any(), whole, (1 << bits) - 1)[:bits], "value")


def exponential_of(kernel: Multiply) -> Exponential:
    """What makes the kernel's exponentials."""
    if kernel.exponential == "split":
        return Split(kernel)
    if kernel.exponential.startswith("taylor"):
        return Taylor(kernel)
    if kernel.exponential.startswith("pwl"):
        return Pieces(kernel)
    return Schraudolph(kernel)
