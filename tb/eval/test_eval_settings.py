"""Settings: which there are, in which order, and what they are called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exaq_eval.settings import LogitFormat, Setting, grid

TEXTS = {"layer": 12, "head": 36}


def test_all_settings_stand_once_in_order() -> None:
    names = [setting.name for setting in grid(texts=TEXTS)]
    rules = ("naive", "paper", "optimal (mse)", "optimal (mse-levels)", "optimal (kl)")
    assert names == [
        "float",
        *(
            name
            for bits in (2, 3, 4)
            for name in (
                f"{bits}-bit dynamic",
                *(f"{bits}-bit {rule}, per {part}" for part in ("layer", "head") for rule in rules),
            )
        ),
    ]


def test_a_choice_keeps_the_order_and_float() -> None:
    chosen = list(
        grid(rules=["optimal", "paper"], bits=[3, 2], per=["head"], minimise=["kl"], texts=TEXTS)
    )
    assert chosen == [
        Setting(rule="float"),
        Setting(rule="paper", bits=2, per="head", texts=36),
        Setting(rule="optimal", bits=2, per="head", minimise="kl", texts=36),
        Setting(rule="paper", bits=3, per="head", texts=36),
        Setting(rule="optimal", bits=3, per="head", minimise="kl", texts=36),
    ]
    assert list(grid(rules=["float"], texts=TEXTS)) == [Setting(rule="float")]


def test_the_papers_rule_is_left_out_where_it_has_no_clip() -> None:
    rules = [
        (s.bits, s.rule) for s in grid(bits=[4, 5, 6], per=["layer"], minimise=[], texts=TEXTS)
    ]
    assert rules == [
        (None, "float"),
        (4, "dynamic"),
        (4, "naive"),
        (4, "paper"),
        (5, "naive"),
        (6, "naive"),
    ]


def test_what_is_not_calibrated_has_neither_granularity_nor_texts() -> None:
    chosen = list(grid(rules=["dynamic"], bits=[4, 2], per=["layer", "head"], texts=TEXTS))
    assert chosen[1:] == [Setting(rule="dynamic", bits=2), Setting(rule="dynamic", bits=4)]
    assert chosen[1].name == "2-bit dynamic"
    assert chosen[1].slug == "2bit-dynamic"
    assert chosen[1].to_dict()["calibration_texts"] == 0
    assert list(grid(rules=["dynamic"], bits=[2], per=[], texts=TEXTS))[1:] == chosen[1:2]


def test_plain_values() -> None:
    setting = Setting(rule="optimal", bits=2, per="head", minimise="kl", texts=36)
    assert setting.to_dict() == {
        "name": "2-bit optimal (kl), per head",
        "rule": "optimal",
        "bits": 2,
        "per": "head",
        "minimise": "kl",
        "calibration_texts": 36,
    }
    assert Setting(rule="file", bits=3, title="t.json").name == "3-bit, t.json"


def test_format_is_checked_where_it_is_made() -> None:
    with pytest.raises(ValueError, match=r"^logit_width must be in 4\.\.24, not 3$"):
        LogitFormat(logit_width=3)
    with pytest.raises(ValueError, match=r"^logit_scale must be positive, not 0\.0$"):
        LogitFormat(logit_scale=0)
    numpy: dict[str, Any] = {"logit_width": np.int64(8), "logit_scale": np.float32(0.5)}
    narrow = LogitFormat(**numpy)
    assert narrow == LogitFormat(logit_width=8, logit_scale=0.5)
    assert (type(narrow.logit_width), type(narrow.logit_scale)) == (int, float)
    config = LogitFormat(logit_width=8, logit_scale=0.5, prob_bits=12).config(bits=3)
    assert (config.logit_width, config.logit_scale, config.prob_bits) == (8, 0.5, 12)
    assert (config.bits, config.exp_frac) == (3, 13)
