"""A PLL for a clock: which settings come nearest."""

import functools
from fractions import Fraction
from typing import Any

from exaq_fpga.boards.frequency import megahertz
from exaq_fpga.gateware.clock.pll_ecp5 import Ecp5Pll
from exaq_fpga.gateware.clock.pll_gowin import GowinPll
from exaq_fpga.gateware.clock.pll_ice40 import Ice40Pll

#: The PLL of each family.
PLLS: dict[str, Any] = {"ice40": Ice40Pll, "ecp5": Ecp5Pll, "gowin": GowinPll}
#: Largest part by which a PLL's clock may miss the one asked for.
TOLERANCE = Fraction(1, 100)


def nearest_pll(family: str, reference: int, clock: int) -> Any:
    """The PLL of ``family`` that makes the nearest to ``clock`` out of ``reference``, in Hz.

    Of several as near, that with the fastest phase comparison, which locks best, and of those
    that with its oscillator nearest to the middle of its range.

    Raises
    ------
    ValueError
        None comes within ``TOLERANCE``; the message tells the range and the nearest ones.
    """
    settings = _settings(family, reference)
    best = min(settings, key=lambda p: (abs(p.frequency - clock), -p.comparison, p.strain))
    if abs(best.frequency - clock) <= TOLERANCE * clock:
        return best
    made = sorted({pll.frequency for pll in settings})
    near = [max((f for f in made if f < clock), default=None)]
    near.append(min((f for f in made if f > clock), default=None))
    raise ValueError(
        f"no PLL setting makes {megahertz(clock)} MHz out of {megahertz(reference)} MHz; nearest: "
        + " and ".join(f"{megahertz(f)} MHz" for f in near if f is not None)
        + f"; legal: {megahertz(reference)} MHz itself and {megahertz(made[0])} to "
        f"{megahertz(made[-1])} MHz"
    )


@functools.cache
def _settings(family: str, reference: int) -> tuple[Any, ...]:
    return tuple(PLLS[family].settings(reference))
