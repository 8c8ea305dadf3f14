"""What exaq.calibrate refuses, word for word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_model_refusals import refuses

import exaq

ROWS = np.zeros((2, 3, 4))
REFUSALS: list[tuple[str, Any, dict[str, Any], type[Exception], str]] = [
    ("text", "abc", {}, TypeError, "layers must be a sequence or a mapping of arrays, not str"),
    ("number", 3, {}, TypeError, "layers must be a sequence or a mapping of arrays, not int"),
    ("no layers", [], {}, ValueError, "there are no layers to calibrate"),
    ("no layers by number", {}, {}, ValueError, "there are no layers to calibrate"),
    (
        "nothing but empty layers",
        [[], (), []],
        {},
        ValueError,
        "there are no logits to calibrate on: every layer is empty",
    ),
    (
        "nothing but empty layers by number",
        {3: [], 4: []},
        {"masks": {3: [], 4: None}},
        ValueError,
        "there are no logits to calibrate on: every layer is empty",
    ),
    (
        "a layer's name",
        {"first": ROWS},
        {},
        TypeError,
        "the number of a layer must be an integer, not 'first'",
    ),
    (
        "a negative layer",
        {0: ROWS, -1: ROWS},
        {},
        ValueError,
        "the number of a layer must be at least 0, not -1",
    ),
    (
        "a layer by number that is none",
        {7: ROWS, 4: [ROWS, ROWS * np.nan]},
        {},
        ValueError,
        "layer 4, call 1: live logits must be finite, not nan",
    ),
    (
        "scalar",
        [np.array(1.0)],
        {},
        ValueError,
        "layer 0: logits must have at least one axis, the row",
    ),
    (
        "short",
        [np.zeros((3, 0))],
        {},
        ValueError,
        "layer 0: a row must have at least 1 element, not 0",
    ),
    (
        "no rows",
        [np.zeros((0, 4))],
        {},
        ValueError,
        "layer 0: there is no live element to calibrate on",
    ),
    (
        "boolean",
        [np.zeros(3, bool)],
        {},
        TypeError,
        "layer 0: logits must be integers or real numbers, not bool",
    ),
    (
        "complex",
        [[ROWS, np.zeros(3, complex)]],
        {},
        TypeError,
        "layer 0, call 1: logits must be integers or real numbers, not complex128",
    ),
    (
        "nan",
        [[ROWS, ROWS + np.nan]],
        {},
        ValueError,
        "layer 0, call 1: live logits must be finite, not nan",
    ),
    ("infinity", [ROWS + np.inf], {}, ValueError, "layer 0: live logits must be finite, not inf"),
    (
        "all masked",
        [ROWS, ROWS - np.inf],
        {},
        ValueError,
        "layer 1: there is no live element to calibrate on",
    ),
    (
        "all masked together",
        [ROWS - np.inf],
        {"per": "all"},
        ValueError,
        "all layers together: there is no live element to calibrate on",
    ),
    (
        "a dead head",
        [np.stack([ROWS, ROWS - np.inf])],
        {"per": "head", "head_axis": 0},
        ValueError,
        "layer 0, head 1: there is no live element to calibrate on",
    ),
    (
        "wide",
        [np.array([[0, 128]])],
        {},
        ValueError,
        "layer 0: logits of 8 bits must be in -128..127, not 128",
    ),
    (
        "wide and unsigned",
        [np.array([2**63], np.uint64)],
        {},
        ValueError,
        f"layer 0: logits of 8 bits must be in -128..127, not {2**63}",
    ),
    (
        "low",
        [np.array([[0, -9]])],
        {"logit_width": 4},
        ValueError,
        "layer 0: logits of 4 bits must be in -8..7, not -9",
    ),
    (
        "masks of other layers",
        [ROWS, ROWS],
        {"masks": [None]},
        ValueError,
        "masks must be given for just the layers of logits; see layer 1",
    ),
    (
        "masks of layers without logits",
        {4: ROWS, 6: ROWS},
        {"masks": {4: None, 5: None, 6: None}},
        ValueError,
        "masks must be given for just the layers of logits; see layer 5",
    ),
    (
        "masks by place of layers by number",
        {4: ROWS, 6: ROWS},
        {"masks": [None, None]},
        ValueError,
        "masks must be given for just the layers of logits; see layer 0",
    ),
    (
        "masks that are none",
        [ROWS],
        {"masks": 3},
        TypeError,
        "masks must be a sequence or a mapping of arrays, not int",
    ),
    (
        "masks of other calls",
        [[ROWS, ROWS]],
        {"masks": [[None]]},
        ValueError,
        "layer 0: masks must be given for each of 2 calls, not 1",
    ),
    (
        "mask of numbers",
        [ROWS],
        {"masks": [np.ones(4)]},
        TypeError,
        "layer 0: mask must be boolean, not float64",
    ),
    (
        "mask of another shape",
        [[ROWS]],
        {"masks": [np.ones(5, bool)]},
        ValueError,
        "layer 0, call 0: mask of shape (5,) does not fit the shape (2, 3, 4)",
    ),
    (
        "rule",
        [ROWS],
        {"rule": "best"},
        ValueError,
        "rule must be paper, naive or optimal, not 'best'",
    ),
    (
        "objective",
        [ROWS],
        {"minimise": "mae"},
        ValueError,
        "minimise must be mse, kl or values, not 'mae'",
    ),
    (
        "stage",
        [ROWS],
        {"stage": "paper"},
        ValueError,
        "stage must be clip, levels or thresholds, not 'paper'",
    ),
    ("part", [ROWS], {"per": "row"}, ValueError, "per must be all, layer or head, not 'row'"),
    ("bits", [ROWS], {"bits": 7}, ValueError, "bits must be in 2..6, not 7"),
    *(
        (
            f"paper, {bits} bits",
            [ROWS],
            {"bits": bits, "rule": "paper"},
            ValueError,
            f"the rule paper is for 2 to 4 bits, not for {bits}; naive and optimal take all",
        )
        for bits in (5, 6)
    ),
    ("scale", [ROWS], {"logit_scale": 0}, ValueError, "logit_scale must be positive, not 0.0"),
    ("fraction", [ROWS], {"exp_frac": 25}, ValueError, "exp_frac must be in 4..24, not 25"),
    (
        "head axis beyond",
        [ROWS],
        {"per": "head", "head_axis": -4},
        ValueError,
        "layer 0: head_axis must be one of the axes before the row, not -4 of the shape (2, 3, 4)",
    ),
    (
        "head axis is the row",
        [ROWS],
        {"per": "head", "head_axis": 2},
        ValueError,
        "layer 0: head_axis must be one of the axes before the row, not 2 of the shape (2, 3, 4)",
    ),
    (
        "other heads",
        [[ROWS, np.zeros((5, 3, 4))]],
        {"per": "head"},
        ValueError,
        "layer 0, call 1 has 5 heads, but others 2",
    ),
]


@pytest.mark.parametrize(
    ("layers", "options", "kind", "message"),
    [case[1:] for case in REFUSALS],
    ids=[case[0] for case in REFUSALS],
)
def test_calibrate_refuses(
    layers: Any, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    refuses(kind, message, lambda: exaq.calibrate(layers, **options))


def test_options_are_checked_before_the_data() -> None:
    refuses(
        ValueError,
        "bits must be in 2..6, not 1",
        lambda: exaq.calibrate([np.full((2, 2), np.nan)], bits=1),
    )
