"""2^-f of a fraction f by linear pieces, in a lane."""

from collections.abc import Sequence

from amaranth.hdl import Value

from exaq_hdl.kernels.weighted.steps import Steps
from exaq_hdl.parts.arithmetic import less

#: Places from f to what its pieces give.
PIECES_LATENCY = 3


def falling_pieces(
    steps: Steps, place: int, pieces: tuple[Sequence[int], Sequence[int]], bits: int, f: Value
) -> Value:
    """2^-f of ``bits`` fraction bits, ``PIECES_LATENCY`` places behind ``place``.

    ``pieces`` are where each begins and how much it falls, as ``exaq.kernels.pieces`` has them; the
    highest bits of f choose one.
    """
    starts, falls = pieces
    rest = len(f) - (len(starts) - 1).bit_length()
    start = steps.look_up(place, starts, bits, f[rest:], "start_table")
    fall = steps.look_up(place, falls, max(falls).bit_length(), f[rest:], "fall_table")
    part = steps.step(place, f[:rest], "part")
    product = steps.step(place + 1, fall * part, "fallen")
    start = steps.step(place + 1, start, "start")
    return steps.step(place + 2, less(start, product[rest:]), "value")
