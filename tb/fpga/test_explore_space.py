"""Which units the search tries, what it refuses, and which of them it calls the best."""

from __future__ import annotations

from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from exaq import KERNELS, SoftmaxConfig, softmax
from exaq_explore import Space, pareto
from exaq_explore.pareto import FIGURES
from exaq_explore.search import _of_few_lanes
from exaq_explore.space import DEFAULTS, KERNEL_DEFAULTS


def names(**given: Any) -> list[str]:
    return [unit.name for unit in Space(**given).units()]


def test_every_kernel_is_tried_in_every_variant() -> None:
    """A kernel that is new is tried as it is; one whose settings are words, with each word."""
    space = Space(choices={"lanes": (4,)})
    found = {kernel: [u for u in space.units() if u.kernel == kernel] for kernel in KERNELS}
    # Kernels of tests elsewhere are known too, once these have been imported.
    assert all(found[kernel] for kernel in KERNEL_DEFAULTS)
    assert {unit.settings["bits"] for unit in found["exaq"]} == {2, 3, 4, 5, 6}
    assert len(found["baps"]) == 4
    assert len(found["multiply"]) == 6
    assert len(found["shift"]) == len(found["lut"]) == 2
    assert space.left_out() == {}


def test_settings_that_say_nothing_are_left_out() -> None:
    codes = Space(
        kernels=("baps",), choices={"output": ("codes",), "prob_bits": (8, 16), "lanes": (4,)}
    )
    assert [unit.settings for unit in codes.units()] == [
        {"code_format": kind, "lanes": 4, "logit_width": 8, "output": "codes"}
        | {"row_results": "sum", "max_row": 1024}
        for kind in ("e5m3", "hif8")
    ]
    floats = Space(
        kernels=("baps",), choices={"probability_format": ("float",), "prob_bits": (12,)}
    )
    assert {unit.settings["prob_bits"] for unit in floats.units()} == {8}


def test_units_are_what_their_settings_say() -> None:
    (unit,) = Space(
        kernels=("multiply",),
        choices={"lanes": (2,), "exponential": ("pwl4",), "exp_bits": (12,), "logit_width": (10,)},
        max_row=96,
    ).units()
    assert unit.name == "multiply, exponential pwl4, lanes 2, exp bits 12"
    assert unit.config(logit_scale=0.5) == SoftmaxConfig(
        kernel="multiply",
        exponential="pwl4",
        exp_bits=12,
        lanes=2,
        logit_width=10,
        logit_scale=0.5,
        max_row=96,
    )


def test_what_cannot_be_made_is_told() -> None:
    space = Space(kernels=("shift",), choices={"output": ("probabilities", "codes")})
    assert len(space.units()) == 4
    assert set(space.left_out().values()) == {
        "the kernel shift has no codes: output must be probabilities"
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kernels": ("fast",)}, "unknown kernel 'fast'"),
        ({"choices": {"speed": (1,)}}, "unknown setting 'speed'"),
        ({"choices": {"clip": (-1,)}}, "clip cannot be varied: tables are calibrated"),
        ({"choices": {"sink": (0,)}}, "sink cannot be varied"),
        ({"choices": {"max_row": (64,)}}, "max_row has an option of its own"),
        ({"choices": {"lanes": ()}}, "lanes has no values"),
        (
            {"kernels": ("lut",), "choices": {"bits": (2,)}},
            "bits is a setting of exaq, which is not chosen",
        ),
    ],
)
def test_refusals(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Space(**given)


@pytest.mark.parametrize("kernel", [k for k in KERNEL_DEFAULTS if KERNELS[k].passes == 2])
def test_lanes_of_kernels_with_two_passes_change_no_bit(kernel: str) -> None:
    """The search measures their errors once for all lanes."""
    logits = np.random.default_rng(3).integers(-128, 128, (40, 96))
    for unit in Space(kernels=(kernel,), choices={"lanes": (1, 4, 16)}).units():
        config = unit.config()
        few = SoftmaxConfig.from_dict(_of_few_lanes(config))
        assert few.lanes == 4
        assert (softmax(logits, config) == softmax(logits, few)).all()


def test_lanes_of_kernels_with_one_pass_count() -> None:
    (unit,) = Space(
        kernels=("baps",),
        choices={"lanes": (16,), "code_format": ("hif8",), "probability_format": ("linear",)},
    ).units()
    assert _of_few_lanes(unit.config()) == unit.config().to_dict()


def test_defaults_are_settings() -> None:
    for kernel, values in KERNEL_DEFAULTS.items():
        assert set(values) <= set(KERNELS[kernel].setting_names())
        assert not set(values) & set(DEFAULTS)


@hypothesis.given(st.lists(st.tuples(*[st.integers(0, 3)] * len(FIGURES)), max_size=12))
def test_pareto_is_what_no_other_one_beats(points: list[tuple[int, ...]]) -> None:
    figures = [dict(zip(FIGURES, point, strict=True)) for point in points]
    signs = [-1 if name == "rate" else 1 for name in FIGURES]
    costs = [np.multiply(point, signs) for point in points]
    expected = [
        k
        for k, own in enumerate(costs)
        if not any((other <= own).all() and (other != own).any() for other in costs)
    ]
    assert pareto(figures) == expected
