"""One attention head in integers: dot products, EXAQ codes, sums of V by level. NumPy alone.

The golden model of the attention unit: its functions define the unit's bits. A row of q, integers
of 8 bits, meets keys of 4 or 8 bits in exact integer dot products. These are the logits of EXAQ as
they are, no rescaling between. Its codes say which of K exponentials each key's value counts with;
so values are added up code by code, and only a row's end multiplies and divides:

    o = round(sum of E_k * L_k / S),   L_k = sum of v over the live keys of code k

Beside it there is the head that others build, to compare with: ``kernel="multiply"`` multiplies
each value by its key's probability.

>>> import numpy as np
>>> from exaq import attention
>>> config = attention.AttentionConfig(head_size=16, keys="int8", max_row=8, logit_scale=2**-10)
>>> rng = np.random.default_rng(0)
>>> q, k, v = rng.integers(-127, 128, (3, 5, 16))
>>> attention.attend(q[:2], k, v, config).shape
(2, 16)
"""

from exaq.attention.attention_config import AttentionConfig
from exaq.attention.head import attend, level_sums, outputs, scores, weighted_sums
from exaq.attention.head_scales import HeadIntegers, HeadScales
from exaq.attention.key_formats import KEY_FORMATS, KeyFormat

__all__ = [
    "KEY_FORMATS",
    "AttentionConfig",
    "HeadIntegers",
    "HeadScales",
    "KeyFormat",
    "attend",
    "level_sums",
    "outputs",
    "scores",
    "weighted_sums",
]
