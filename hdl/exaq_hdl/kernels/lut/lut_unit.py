"""The hardware of the kernel ``lut``."""

from amaranth.hdl import Cat, Const, Mux, Value

from exaq.kernels.lut import Lut
from exaq_hdl.kernels.kernel_unit import hardware_of
from exaq_hdl.kernels.lut.sum_lookup import SumLookup, padded
from exaq_hdl.kernels.weighted.datapath import Datapath
from exaq_hdl.kernels.weighted.steps import RowItem, Steps
from exaq_hdl.kernels.weighted.weighted_unit import WeightedUnit
from exaq_hdl.parts.component import Component


class LutDatapath(Datapath):
    """A lookup a lane for the exponential, one a row, and a product or a second lookup a lane."""

    weigh_latency = 3

    def __init__(self, kernel: Lut):
        super().__init__(kernel)
        self.emit_latency = 2 if kernel.variant == "rexp" else 1

    def finisher(self) -> Component:
        return SumLookup(self.kernel, memories=self.memories)

    def weigh(self, steps: Steps, distance: Value) -> tuple[Value, Value]:
        kernel: Lut = self.kernel
        exponentials, codes, bits = kernel.exponentials, kernel.codes, kernel.table_bits
        place: Value = (distance + (2**kernel.step >> 1))[kernel.step :]
        address_bits = max(1, (len(exponentials) - 1).bit_length())
        # Behind the table's end its last word is repeated, up to the address of all ones.
        beyond = place[address_bits:].any()
        address = place[:address_bits] | beyond.replicate(address_bits)
        address = steps.step(0, address, "place")
        words = exponentials
        if codes:
            words = tuple(e | code << bits for e, code in zip(exponentials, codes, strict=True))
        width = bits + (kernel.code_bits or 0)
        word = steps.look_up(1, padded(words, address_bits), width, address, "exponential_table")
        # Straight behind a block RAM, this register can be the one that it has.
        word = steps.step(2, word, "word")
        return (word[bits:] if codes else word), word[:bits]

    def emit(self, steps: Steps, stored: Value, row: RowItem) -> Value:
        kernel: Lut = self.kernel
        if kernel.variant == "2d":
            address = Cat(stored, row.at(0, "column"))
            # Whatever column a row has, an exponential of 0 gives 0.
            columns = padded(kernel.probabilities, kernel.column_bits)
            words = [word for column in columns for word in column]
            return steps.look_up(0, words, kernel.format.prob_bits, address, "probability_table")
        exponential = steps.step(0, stored, "exponential")
        product = steps.step(1, exponential * row.at(1, "reciprocal"), "product")
        return rounded(product, kernel.format.prob_bits)


def rounded(product: Value, bits: int) -> Value:
    """The ``bits`` highest bits, rounded half up and saturated; zeros follow where it has fewer."""
    cut = len(product) - bits
    if cut <= 0:
        return Cat(Const(0, -cut), product)
    found = (product[cut - 1 :] + 1)[1:]
    return Mux(found[bits], (1 << bits) - 1, found[:bits])


@hardware_of(Lut)
class LutUnit(WeightedUnit):
    """Exponentials from a table, their sum, its entry in a second table, probabilities."""

    datapath_type = LutDatapath
