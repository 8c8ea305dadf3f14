"""Configurations and tables: derived values, round trips, and every refusal, word for word."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from rational import position

import exaq

FREE = exaq.Tables(thresholds=(-9, -5, -1), exp_rom=(1, 20, 300, 8192))


def refuses(kind: type[Exception], message: str, call: Callable[[], object]) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"masking": 1}, TypeError, "masking must be True or False, not 1"),
        ({"bits": 1}, ValueError, "bits must be in 2..6, not 1"),
        ({"bits": 7}, ValueError, "bits must be in 2..6, not 7"),
        ({"bits": 2.0}, TypeError, "bits must be an integer, not 2.0"),
        ({"bits": True}, TypeError, "bits must be an integer, not True"),
        ({"lanes": 0}, ValueError, "lanes must be in 1..64, not 0"),
        ({"lanes": 65}, ValueError, "lanes must be in 1..64, not 65"),
        ({"lanes": "4"}, TypeError, "lanes must be an integer, not '4'"),
        ({"logit_width": 3}, ValueError, "logit_width must be in 4..24, not 3"),
        ({"logit_width": 25}, ValueError, "logit_width must be in 4..24, not 25"),
        ({"max_row": 0}, ValueError, "max_row must be in 1..65536, not 0"),
        ({"max_row": 65540}, ValueError, "max_row must be in 1..65536, not 65540"),
        ({"prob_bits": 3}, ValueError, "prob_bits must be in 4..24, not 3"),
        ({"prob_bits": 25}, ValueError, "prob_bits must be in 4..24, not 25"),
        ({"exp_frac": 3}, ValueError, "exp_frac must be in 4..24, not 3"),
        ({"exp_frac": 25}, ValueError, "exp_frac must be in 4..24, not 25"),
        ({"logit_scale": 0.0}, ValueError, "logit_scale must be positive, not 0.0"),
        ({"logit_scale": -0.5}, ValueError, "logit_scale must be positive, not -0.5"),
        ({"logit_scale": math.nan}, ValueError, "logit_scale must be finite, not nan"),
        ({"logit_scale": math.inf}, ValueError, "logit_scale must be finite, not inf"),
        ({"logit_scale": "1"}, TypeError, "logit_scale must be a real number, not '1'"),
        ({"clip": 0.0}, ValueError, "clip must be negative, not 0.0"),
        ({"clip": 2}, ValueError, "clip must be negative, not 2.0"),
        ({"clip": -math.inf}, ValueError, "clip must be finite, not -inf"),
        ({"clip": False}, TypeError, "clip must be a real number, not False"),
        ({"group": 0}, ValueError, "group must be in 1..12, not 0"),
        ({"group": 13}, ValueError, "group must be in 1..12, not 13"),
        ({"group": 1.5}, TypeError, "group must be an integer, not 1.5"),
        (
            {"p_table": "ram"},
            ValueError,
            "p_table must be one of auto, registers, distributed, block, not 'ram'",
        ),
        (
            {"p_table": None},
            ValueError,
            "p_table must be one of auto, registers, distributed, block, not None",
        ),
        (
            {"lanes": 6, "group": 4, "max_row": 96},
            ValueError,
            "lanes must be a multiple of group, but 6 is none of 4",
        ),
        (
            {"bits": 4, "group": 4},
            ValueError,
            "a LUT_sum of group 4 at 4 bits has 65536 entries; at most 4096 are legal",
        ),
        (
            {"max_row": 1022},
            ValueError,
            "max_row must be a multiple of lanes (4), not 1022; 1020 or 1024 would be",
        ),
        (
            {"max_row": 3},
            ValueError,
            "max_row must be a multiple of lanes (4), not 3; 4 would be",
        ),
        ({"clip": -1.0, "tables": FREE}, ValueError, "give clip or tables, not both"),
        ({"tables": (1, 2)}, TypeError, "tables must be an exaq.Tables, not (1, 2)"),
        (
            {"bits": 3, "tables": FREE},
            ValueError,
            "tables for 2 bits do not fit a configuration of 3 bits",
        ),
        (
            {"exp_frac": 12, "tables": FREE},
            ValueError,
            "exp_rom values must be below 8192 with exp_frac 12, but the largest is 8192",
        ),
        (
            {"full_rate_row": 31},
            ValueError,
            "full_rate_row must be at least 2 * 2**bits * lanes (32), not 31",
        ),
        ({"full_rate_row": 64.0}, TypeError, "full_rate_row must be an integer, not 64.0"),
    ],
)
def test_a_configuration_refuses(
    changes: dict[str, Any], kind: type[Exception], message: str
) -> None:
    refuses(kind, message, lambda: exaq.SoftmaxConfig(**changes))


def test_another_format_of_logits_takes_its_own_width_and_scale() -> None:
    config = exaq.SoftmaxConfig.preset("4bit-x4-int16", logit_format="bf16")
    assert config == exaq.SoftmaxConfig.preset("4bit-x4-bf16")
    kept = exaq.SoftmaxConfig.preset("4bit-x4-int16", logit_format="integer")
    assert kept == exaq.SoftmaxConfig.preset("4bit-x4-int16")
    back = exaq.SoftmaxConfig.preset("4bit-x4-bf16", logit_format="integer")
    assert back == exaq.SoftmaxConfig.preset("4bit-x4")


def test_an_unknown_preset_is_refused() -> None:
    refuses(
        ValueError,
        f"unknown preset '2bit'; there are {', '.join(exaq.PRESETS)}",
        lambda: exaq.SoftmaxConfig.preset("2bit"),
    )


@pytest.mark.parametrize(
    ("thresholds", "exp_rom", "kind", "message"),
    [
        ((-1, 0), (1, 2, 3), ValueError, "exp_rom must hold 4, 8, 16, 32 or 64 values, not 3"),
        (
            (-1, 0),
            (1, 2, 3, 4),
            ValueError,
            "thresholds must hold one value less than exp_rom (3), not 2",
        ),
        (
            (-1, -3, -2),
            (1, 2, 3, 4),
            ValueError,
            "thresholds must not descend, but are [-1, -3, -2]",
        ),
        (
            (-3, -2, 1),
            (1, 2, 3, 4),
            ValueError,
            "thresholds must not be above 0, but are [-3, -2, 1]",
        ),
        (
            (-3, -2, -1),
            (-1, 2, 3, 4),
            ValueError,
            "exp_rom must not be negative and its last value at least 1, but is [-1, 2, 3, 4]",
        ),
        (
            (-3, -2, -1),
            (1, 2, 3, 0),
            ValueError,
            "exp_rom must not be negative and its last value at least 1, but is [1, 2, 3, 0]",
        ),
        (
            (-3.0, -2, -1),
            (1, 2, 3, 4),
            TypeError,
            "each of thresholds must be an integer, not -3.0",
        ),
        ((-3, -2, -1), (1, 2, 3, True), TypeError, "each of exp_rom must be an integer, not True"),
    ],
)
def test_tables_refuse(thresholds: Any, exp_rom: Any, kind: type[Exception], message: str) -> None:
    refuses(kind, message, lambda: exaq.Tables(thresholds=thresholds, exp_rom=exp_rom))


def test_table_makers_refuse() -> None:
    def from_clip(clip: float, scale: float) -> exaq.Tables:
        return exaq.Tables.from_clip(clip, bits=2, logit_scale=scale, exp_frac=13)

    def from_levels(thresholds: list[float], levels: list[float]) -> exaq.Tables:
        return exaq.Tables.from_levels(thresholds, levels, logit_scale=1, exp_frac=13)

    refuses(ValueError, "clip must be negative, not 0.5", lambda: from_clip(0.5, 1.0))
    refuses(ValueError, "logit_scale must be positive, not -1.0", lambda: from_clip(-1.0, -1.0))
    levels = [-3.0, -2.0, -1.0, 0.0]
    refuses(
        ValueError,
        "each of thresholds must be finite, not nan",
        lambda: from_levels([-2.0, math.nan, 0.0], levels),
    )
    refuses(
        ValueError,
        "each of levels must be finite, not -inf",
        lambda: from_levels([-2.0, -1.0, 0.0], [-math.inf, *levels[1:]]),
    )
    refuses(ValueError, "bits must be in 2..6, not 7", lambda: exaq.paper_clip(1.0, 7))
    refuses(ValueError, "sigma must be at least 0, not -0.5", lambda: exaq.paper_clip(-0.5, 2))
    for sigma in (math.nan, math.inf):
        refuses(
            ValueError,
            f"sigma must be finite, not {sigma!r}",
            lambda sigma=sigma: exaq.paper_clip(sigma, 2),  # type: ignore[misc]
        )


@pytest.mark.parametrize(
    ("bits", "at_1", "at_3"), [(2, -3.51, -6.83), (3, -3.81, -7.31), (4, -4.10, -7.76)]
)
def test_paper_clip(bits: int, at_1: float, at_3: float) -> None:
    assert exaq.paper_clip(1.0, bits) == pytest.approx(at_1, abs=1e-12)
    assert exaq.paper_clip(3.0, bits) == pytest.approx(at_3, abs=1e-12)


def test_published_tables() -> None:
    """C = -5.17 at 2 bits: exponentials .00568 .03185 .17847 1, thresholds -4.308 -2.585 -.862."""
    tables = exaq.Tables.from_clip(-5.17, bits=2, logit_scale=2.0**-10, exp_frac=12)
    assert tables.exp_rom == (23, 130, 731, 4096)
    assert tables.thresholds == (-4411, -2647, -882)


@pytest.mark.parametrize("exp_frac", [4, 13, 24])
@pytest.mark.parametrize("clip", [-0.1, -3.51, -5.17, -10.0])
@pytest.mark.parametrize("bits", range(2, 7))
def test_exp_rom_is_the_rounded_exponential_of_each_level(
    bits: int, clip: float, exp_frac: int
) -> None:
    tables = exaq.Tables.from_clip(clip, bits=bits, logit_scale=0.0625, exp_frac=exp_frac)
    levels = [clip * (2**bits - 1 - k) / (2**bits - 1) for k in range(2**bits)]
    for level, value in zip(levels, tables.exp_rom, strict=True):
        assert abs(value - math.exp(level) * 2**exp_frac) < 0.5 + 1e-6
    assert tables.exp_rom[-1] == 2**exp_frac
    assert exaq.clip_levels(clip, bits)[-1] == 0
    assert [float(level) for level in exaq.clip_levels(clip, bits)] == pytest.approx(levels)


@pytest.mark.parametrize("clip", [Fraction(-3), Fraction(-15, 4), -5.17])
@pytest.mark.parametrize("bits", range(2, 7))
def test_each_threshold_is_the_first_distance_beyond_the_middle(
    bits: int, clip: float | Fraction
) -> None:
    scale = Fraction(1, 16)
    tables = exaq.Tables.from_clip(clip, bits=bits, logit_scale=scale, exp_frac=13)
    for k, threshold in enumerate(tables.thresholds):
        middle = k + Fraction(1, 2)
        at = position(threshold, Fraction(clip), scale, bits)
        below = position(threshold - 1, Fraction(clip), scale, bits)
        if k % 2:
            assert below < middle <= at
        else:
            assert below <= middle < at


def test_tables_from_levels() -> None:
    tables = exaq.Tables.from_levels(
        [-2.0, -1.26, -0.1], [-9.0, -1.0, 0.0, 0.5], logit_scale=0.25, exp_frac=10
    )
    assert tables.thresholds == (-8, -5, 0)
    assert tables.exp_rom == (0, 377, 1024, 1688)
    assert tables.bits == 2


@pytest.mark.parametrize(("rom", "group"), [((1, 20, 300, 8192), 4), (tuple(range(1, 9)), 3)])
def test_sum_rom_holds_the_sum_of_every_combination(rom: tuple[int, ...], group: int) -> None:
    tables = exaq.Tables(thresholds=tuple(range(1 - len(rom), 0)), exp_rom=rom)
    entries = tables.sum_rom(group)
    assert entries.shape == (len(rom) ** group,)
    for codes in itertools.product(range(len(rom)), repeat=group):
        address = sum(code << (tables.bits * lane) for lane, code in enumerate(codes))
        assert entries[address] == sum(rom[code] for code in codes)


def test_derived_values() -> None:
    config = exaq.SoftmaxConfig()
    assert config.clip == exaq.paper_clip(2.0, 2)
    assert (config.group, config.full_rate_row, config.levels) == (4, 128, 4)
    assert (config.beats, config.full_rate_beats, config.groups) == (256, 32, 1)
    assert (config.exp_bits, config.group_sum_bits, config.sum_bits) == (14, 16, 24)
    assert (config.logit_bytes, config.prob_bytes, config.logit_range) == (1, 2, (-128, 127))
    wide = exaq.SoftmaxConfig(logit_width=17, prob_bits=17, lanes=3, max_row=1023, bits=4)
    assert (wide.group, wide.groups, wide.logit_bytes, wide.prob_bytes) == (1, 3, 3, 3)
    assert wide.logit_range == (-65536, 65535)
    assert exaq.SoftmaxConfig(bits=3).group == 2
    assert exaq.SoftmaxConfig(lanes=64, max_row=64).full_rate_row == 512
    assert exaq.SoftmaxConfig(full_rate_row=33).full_rate_beats == 9


@pytest.mark.parametrize("max_row", [1, 2, 3, 1023, 1024, 1025, 65535, 65536])
def test_the_widest_sums_fit_and_need_their_width(max_row: int) -> None:
    config = exaq.SoftmaxConfig(lanes=1, max_row=max_row)
    largest = (2**config.exp_bits - 1) * max_row
    assert largest.bit_length() <= config.sum_bits <= largest.bit_length() + 1


@pytest.mark.parametrize("group", range(1, 7))
def test_the_largest_group_sum_fits(group: int) -> None:
    config = exaq.SoftmaxConfig(lanes=group, group=group, max_row=group)
    largest = (2**config.exp_bits - 1) * group
    assert largest.bit_length() <= config.group_sum_bits <= largest.bit_length() + 1


@pytest.mark.parametrize("name", exaq.PRESETS)
def test_presets_are_what_their_names_say(name: str) -> None:
    config = exaq.SoftmaxConfig.preset(name)
    kernel = f"{config.bits}bit" if config.kernel.name == "exaq" else config.kernel.name
    assert name.removeprefix("index-").startswith(f"{kernel}-x{config.lanes}")
    assert exaq.SoftmaxConfig.preset(name, prob_bits=8).prob_bits == 8


@pytest.mark.parametrize(
    "config",
    [
        *(exaq.SoftmaxConfig.preset(name) for name in exaq.PRESETS),
        exaq.SoftmaxConfig(tables=FREE, masking=False, prob_bits=7),
        exaq.SoftmaxConfig(clip=-4, logit_scale=1, full_rate_row=77, group=2),
        exaq.SoftmaxConfig(clip=Fraction(-15, 4), logit_scale=Fraction(1, 32)),
    ],
)
def test_a_configuration_survives_json(config: exaq.SoftmaxConfig) -> None:
    written = json.loads(json.dumps(config.to_dict()))
    again = exaq.SoftmaxConfig.from_dict(written)
    assert again == config
    assert again.to_dict() == config.to_dict()


def test_replace_makes_tables_anew_or_keeps_free_ones() -> None:
    config = exaq.SoftmaxConfig(clip=-4.0)
    assert config.replace(prob_bits=8) == exaq.SoftmaxConfig(clip=-4.0, prob_bits=8)
    assert config.replace(exp_frac=10).tables == exaq.SoftmaxConfig(clip=-4.0, exp_frac=10).tables
    assert config.replace(clip=-2.0) == exaq.SoftmaxConfig(clip=-2.0)
    free = config.replace(tables=FREE)
    assert (free.clip, free.tables) == (None, FREE)
    assert free.replace(prob_bits=8).tables == FREE
    assert free.replace(clip=-4.0) == config


def test_configurations_and_tables_are_values() -> None:
    assert exaq.SoftmaxConfig() == exaq.SoftmaxConfig()
    assert hash(exaq.SoftmaxConfig()) == hash(exaq.SoftmaxConfig())
    assert exaq.SoftmaxConfig() != exaq.SoftmaxConfig(prob_bits=8)
    with pytest.raises(AttributeError, match=r"^cannot assign to field 'bits'$"):
        exaq.SoftmaxConfig().bits = 3  # type: ignore[attr-defined]
    numpy_made = exaq.Tables(
        thresholds=tuple(np.array([-9, -5, -1])), exp_rom=tuple(np.array([1, 20, 300, 8192]))
    )
    assert numpy_made == FREE
    assert {type(v) for v in (*numpy_made.thresholds, *numpy_made.exp_rom)} == {int}


def test_replace_settles_defaults_anew() -> None:
    config = exaq.SoftmaxConfig()
    assert config.replace(bits=3) == exaq.SoftmaxConfig(bits=3)
    assert config.replace(lanes=2) == exaq.SoftmaxConfig(lanes=2)
    assert config.replace(lanes=32) == exaq.SoftmaxConfig(lanes=32)
    assert exaq.SoftmaxConfig(group=2).replace(lanes=8).group == 2


def test_round_trip_keeps_fractions_that_no_float_equals() -> None:
    config = exaq.SoftmaxConfig(clip=Fraction(-3), logit_scale=Fraction(1, 10))
    written = json.loads(json.dumps(config.to_dict()))
    assert written["logit_scale"] == "1/10"
    assert exaq.SoftmaxConfig.from_dict(written) == config


def test_from_dict_refuses_what_to_dict_did_not_write() -> None:
    written = exaq.SoftmaxConfig().to_dict()
    tables = {"thresholds": [-9, -5, -1], "exp_rom": [1, 2, 3, 4]}
    refuses(
        ValueError,
        "a configuration has exactly the fields of to_dict; see colour",
        lambda: exaq.SoftmaxConfig.from_dict(written | {"colour": 1}),
    )
    refuses(
        ValueError,
        "tables do not follow from the configuration's other fields",
        lambda: exaq.SoftmaxConfig.from_dict(written | {"tables": tables}),
    )


def test_tables_refuse_levels_and_clips_beyond_reason() -> None:
    refuses(
        ValueError,
        "each of levels must be below ln 2, not 1000000000.0",
        lambda: exaq.Tables.from_levels([-3, -2, -1], [1e9, 0, 0, 0], logit_scale=1, exp_frac=13),
    )
    refuses(
        ValueError,
        "clip must be finite, not nan",
        lambda: exaq.Tables.from_clip(math.nan, bits=2, logit_scale=1, exp_frac=13),
    )


@pytest.mark.parametrize("bits", range(2, 7))
@pytest.mark.parametrize("prob_bits", [4, 8])
def test_longest_flat_row(bits: int, prob_bits: int) -> None:
    """Equal logits give a step each up to that length, and zeros from the next on."""
    config = exaq.SoftmaxConfig(bits=bits, lanes=1, prob_bits=prob_bits, max_row=1024)
    longest = config.longest_flat_row
    for logit in (-128, 0, 127):
        flat = np.full(longest + 1, logit)
        assert (exaq.softmax(flat[:-1], config) == 1).all()
        assert (exaq.softmax(flat, config) == 0).all()


def test_presets_give_something_for_every_flat_row() -> None:
    for name in exaq.PRESETS:
        config = exaq.SoftmaxConfig.preset(name)
        longest = config.kernel.longest_flat_row
        # Reciprocals of 8 bits do not reach as far.
        assert longest >= config.max_row or config.kernel.name == "lut", name
        flat = np.zeros(min(longest, config.max_row))
        assert exaq.softmax(exaq.round_logits(flat, config), config).min() > 0


def test_the_place_of_p_tables_is_written_where_it_is_not_the_default() -> None:
    """So files and build numbers from before there was a choice still hold."""
    plain = exaq.SoftmaxConfig()
    assert "p_table" not in plain.to_dict()
    assert exaq.SoftmaxConfig(p_table="auto") == plain
    chosen = exaq.SoftmaxConfig(p_table="block", bits=3)
    assert chosen.to_dict()["p_table"] == "block"
    assert exaq.SoftmaxConfig.from_dict(chosen.to_dict()) == chosen
    assert chosen.replace(bits=2).p_table_place == "block"
    assert chosen.build_crc != exaq.SoftmaxConfig(bits=3).build_crc
    with pytest.raises(ValueError, match="p_table do not follow"):
        exaq.SoftmaxConfig.from_dict(plain.to_dict() | {"p_table": "auto"})


def test_default_groups() -> None:
    """LUT_sum keeps to 1024 entries."""
    assert [exaq.SoftmaxConfig(bits=bits).group for bits in range(2, 7)] == [4, 2, 2, 2, 1]
