"""HiF8 (arXiv 2409.16626) of positive numbers: rounding to it, and its bits."""

from amaranth.hdl import Cat, Const, Mux, Value

from exaq.kernels.baps_golden import TOP


def rounded(below: Value, mantissa: Value, lift: int) -> tuple[Value, Value]:
    """(1 + mantissa/8) / 2**below as HiF8 has it, half away from zero, in the same form; ``TOP``
    octaves below 1 where it has 0.

    Parameters
    ----------
    below
        Octaves below 1, unsigned.
    mantissa
        Three bits.
    lift
        HiF8 is of 2**``lift`` times the number.
    """
    wide = Cat(mantissa, 1)
    # Of so many octaves the mantissa has three bits, then two, one, and none.
    ends = [lift + size for size in (4, 8, 16)]
    kept = [wide[:5], (wide + 1)[1:5] << 1, (wide + 2)[2:5] << 2, (wide + 4)[3:5] << 3]
    found = kept[3]
    for end, value in zip(reversed(ends), reversed(kept[:3]), strict=True):
        found = Mux(below < end, value, found)
    found = Cat(found, Const(0, 1))[:5]
    carry = found[4]
    # Half of the least number, at 23 octaves below 1, becomes that; what is below it 0.
    least = lift + 23
    up = carry | (below == least)
    result = Mux(below > least, TOP, below - up)
    return result[: max(len(below), TOP.bit_length())], Mux(up, 0, found[:3])


def bits(code: Value, lift: int) -> Value:
    """The eight bits of 2**``lift`` times what a code of ``e5m3``, rounded to HiF8, stands for."""
    exponent, mantissa = code[3:], code[:3]
    size = exponent - (TOP - lift)
    small = size < 0
    magnitude = Mux(small, -size, size)[:5]
    # From the shortest prefix on; each is what follows: sign of the exponent, its digits, mantissa.
    longest = Cat(mantissa[2:], magnitude[:3], small, Const(0b11, 2))
    long = Cat(mantissa[1:], magnitude[:2], small, Const(0b10, 2))
    middle = Cat(mantissa, magnitude[:1], small, Const(0b01, 2))
    short = Cat(mantissa, small, Const(0b001, 3))
    zero = Cat(mantissa, Const(0b0001, 4))
    power = size + 23
    found = Mux(
        magnitude >= 16,
        power[:3],
        Mux(
            magnitude >= 8,
            longest,
            Mux(
                magnitude >= 4, long, Mux(magnitude >= 2, middle, Mux(magnitude == 1, short, zero))
            ),
        ),
    )
    return Mux(code == 0, 0, found)[:8]
