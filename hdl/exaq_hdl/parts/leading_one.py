"""The highest bit of a number that is 1."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Mux, Value


def leading_one(bits: Value, payloads: Sequence[Value]) -> tuple[Value, Value]:
    """Place of the highest 1 in ``bits``, and the payload of that place.

    A balanced tree of multiplexers: as deep as the place has bits. Where no bit is 1 both are
    those of place 0.

    Parameters
    ----------
    bits
        The number.
    payloads
        A value for each of its bits, lowest first, all of one width.
    """
    if len(bits) != len(payloads):
        raise ValueError(f"{len(bits)} bits have so many payloads, not {len(payloads)}")
    _, place, payload = _tree(bits, payloads)
    return Cat(place) if place else Const(0, 1), payload


def _tree(bits: Value, payloads: Sequence[Value]) -> tuple[Value, list[Value], Value]:
    """Whether there is a 1, the bits of its place, lowest first, and its payload."""
    if len(bits) == 1:
        return bits[0], [], payloads[0]
    # The low half is a power of two long, so that its places have all the bits but one.
    middle = 1 << (len(bits) - 1).bit_length() - 1
    low, low_place, low_payload = _tree(bits[:middle], payloads[:middle])
    high, high_place, high_payload = _tree(bits[middle:], payloads[middle:])
    high_place += [Const(0, 1)] * (len(low_place) - len(high_place))
    pairs = zip(low_place, high_place, strict=True)
    place = [Mux(high, above, below) for below, above in pairs]
    return low | high, [*place, high], Mux(high, high_payload, low_payload)
