"""Units of BAPS for tests of their blocks, and what moves between the blocks."""

import random
from fractions import Fraction
from math import floor

from baps_oracle import LN_2, Baps

from exaq import SoftmaxConfig

STEPS = (1, 2, 4, 8)
#: A step of a logit that is an octave; no float is it.
OCTAVE = floor(LN_2 * 10**40) / Fraction(10**40)


def codes_config(**changes) -> SoftmaxConfig:
    lanes = changes.get("lanes", 4)
    settings = {"max_row": 16 * lanes, "output": "codes", "row_results": "sum"} | changes
    return SoftmaxConfig(kernel="baps", **settings)


def lowest(config: SoftmaxConfig) -> int:
    """The octave that t and references are counted from inside the unit."""
    unit = Baps(config)
    least = unit.t(-(2 ** (config.logit_width - 1)))
    return floor(Fraction(least, 16 * unit.step)) * unit.step


def highest_step(config: SoftmaxConfig) -> int:
    """t of the highest logit, counted from there."""
    return Baps(config).t(2 ** (config.logit_width - 1) - 1) - 16 * lowest(config)


def flags(
    config: SoftmaxConfig, rng: random.Random, *, last: int, live: int | None = None
) -> dict[str, int]:
    """What goes with a beat; where ``live`` says nothing of its lanes, it is by chance.

    Where elements can be masked, ``tail`` has nothing to do with what is live.
    """
    every = (1 << config.lanes) - 1
    live = rng.choice([every, rng.getrandbits(config.lanes)]) if live is None else live
    found = {"last": last, "error": rng.getrandbits(1), "tail": live}
    partial = config.masking or config.window or config.mask_value != "none"
    return found | ({"live": live, "tail": rng.getrandbits(config.lanes)} if partial else {})


def lives(beat: dict) -> int:
    """The live lanes of a beat with ``flags``."""
    return beat.get("live", beat["tail"])
