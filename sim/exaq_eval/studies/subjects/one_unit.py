"""One attention unit for all heads of a model: its scale of scores, and its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from exaq.attention import AttentionConfig, HeadIntegers
from exaq_eval.studies.subjects.integer_heads import Array, HeadSetting, IntegerHeads


class OneUnit:
    """A unit whose constants serve all heads.

    A score of 1 is worth the same in every head: what it must be for the head whose q reaches
    farthest. Other heads' q are in the same steps, and use less of their range. All other scales,
    of the keys' channels and of values, stay with each head, outside the unit.

    Parameters
    ----------
    heads
        The model's heads.
    setting
        Their formats, with tables of ``"all"``.
    max_row, lanes
        As of ``AttentionConfig``.

    Members
    -------
    config
        The unit.
    reach
        The largest integer that q of each head can have in the calibration texts, least to most.
    """

    def __init__(
        self, heads: IntegerHeads, setting: HeadSetting, *, max_row: int, lanes: int
    ) -> None:
        self._heads = heads
        scales = {place: heads.scales(*place, setting) for place in heads.places}
        query = max(each.query for each in scales.values())
        self.reach = sorted(round(127 * each.query / query) for each in scales.values())
        self._scales = {place: replace(each, query=query) for place, each in scales.items()}
        place, first = next(iter(self._scales.items()))
        self.config = AttentionConfig(
            head_size=len(first.key),
            keys=setting.keys,
            value_width=setting.value_width,
            output_width=setting.output_width,
            max_row=max_row,
            lanes=lanes,
            bits=setting.bits,
            logit_scale=first.logit_scale,
            tables=heads.tables(*place, setting, first.logit_scale),
        )

    @contextmanager
    def using(self, compute: Callable[[HeadIntegers], Array]) -> Iterator[None]:
        """Let the unit compute the model's heads within a ``with`` block.

        ``compute`` gets the integers of a layer, (heads, tokens, size) each, and returns outputs.
        """

        def layer(number: int, q: Array, k: Array, v: Array, live: Array) -> Array:
            if not live.all():
                raise NotImplementedError("the unit has no masks but the causal one")
            scales = [self._scales[number, head] for head in range(len(q))]
            each = [one.integers(*parts) for one, *parts in zip(scales, q, k, v, strict=True)]
            found = compute(HeadIntegers(*(np.stack(parts) for parts in zip(*each, strict=True))))
            steps = np.array([one.value for one in scales]) / 2**self.config.output_frac
            return found * steps[:, None, None]

        with self._heads.computed_by(layer):
            yield
