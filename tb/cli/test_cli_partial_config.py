"""What a command line says of a configuration, as an object: resolved, compared, refused."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from exaq import (
    KERNELS,
    PRESETS,
    ExaqWarning,
    SoftmaxConfig,
    TableFile,
    Tables,
    TableSet,
    paper_clip,
)
from exaq_cli.config.options import config_options
from exaq_cli.config.partial_config import SETTINGS, PartialConfig
from exaq_cli.errors import UserError

BOARD = SoftmaxConfig(lanes=2, max_row=128)
FIRST = Tables(thresholds=(-40, -20, -5), exp_rom=(3, 90, 2000, 4096))
SECOND = Tables(thresholds=(-30, -15, -4), exp_rom=(5, 99, 2500, 4096))
ONE = TableFile(
    bits=2,
    logit_width=8,
    logit_scale=0.25,
    exp_frac=12,
    sets=(TableSet(name="all", tables=FIRST),),
)
TWO = dataclasses.replace(ONE, sets=(*ONE.sets, TableSet(name="other", tables=SECOND)))


def parsed(*words: str) -> PartialConfig:
    """What a command gets of the options."""
    got: list[PartialConfig] = []

    @click.command
    @config_options
    def command(partial: PartialConfig) -> None:
        got.append(partial)

    done = CliRunner().invoke(command, words)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return got[0]


def test_settings_are_all_that_a_configuration_takes_but_tables() -> None:
    # Each differs from what a configuration leaves out.
    every = SoftmaxConfig(
        contexts=1, output="codes", sink=3, window=True, mask_value="lowest", p_table="block"
    )
    configuration = {*every.to_dict(), *SoftmaxConfig(logit_format="bf16").to_dict()}
    for name in KERNELS.keys() - {"exaq"}:
        configuration |= set(SoftmaxConfig(kernel=name).to_dict())
    assert configuration - set(SETTINGS) == {"tables", "context_tables"}
    assert set(SETTINGS) < configuration


def test_there_is_an_option_for_each_setting() -> None:
    command = click.command(config_options(lambda partial: None))
    names = {parameter.name for parameter in command.params}
    assert names == {*SETTINGS, "preset", "sigma", "tables", "tables_name"}


def test_nothing_given() -> None:
    nothing = parsed()
    assert nothing == PartialConfig()
    assert not nothing.given
    assert nothing.files == ()
    assert nothing.resolve() == SoftmaxConfig()
    assert nothing.resolve({"lanes": 2, "max_row": 128}) == BOARD
    assert nothing.differences(BOARD) == []


# Settings that no kernel has alone, or that are none of a kernel.
_FIRST = ("kernel", "variant", "output", "row_results")


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_is_given_by_its_option(name: str) -> None:
    config = SoftmaxConfig(contexts=3, sink=-7, window=True)
    others: dict[str, Any] = {}
    if name not in {*config.to_dict(), "mask_value", "logit_format", "p_table", *_FIRST}:
        # Of a kernel that is no default, the first that has it; 2d is what code_bits is for.
        kernel = next(kind.name for kind in KERNELS.values() if name in kind.setting_names())
        others = {"kernel": kernel, **({"variant": "2d"} if kernel == "lut" else {})}
        config = SoftmaxConfig(**others)
    if name == "variant":
        others, config = {"kernel": "shift"}, SoftmaxConfig(kernel="shift", variant="ita")
    value = "baps" if name == "kernel" else getattr(config, name)
    settings: dict[str, Any] = {**others, name: value}
    words = []
    for each, given in settings.items():
        words += [f"--{each.replace('_', '-')}", *([] if given is True else [str(given)])]
    partial = parsed(*words)
    assert partial.settings == settings
    assert partial.given
    assert partial.resolve() == SoftmaxConfig(**settings)


def test_options_that_say_no_or_nothing_are_given_too() -> None:
    assert parsed("--no-masking").settings == {"masking": False}
    assert parsed("--contexts", "0").given


def test_files_are_read_once_and_named(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    TWO.save(path)
    partial = parsed("--tables", str(path), "--tables-name", "other")
    path.unlink()
    assert partial == PartialConfig(tables=TWO, tables_name="other", files=(path,))
    assert partial.resolve().tables == SECOND


RESOLVED: dict[str, tuple[PartialConfig, dict[str, Any], SoftmaxConfig]] = {
    "settings on a base": (
        PartialConfig(settings={"lanes": 8}),
        {"lanes": 2, "max_row": 64, "bits": 3},
        SoftmaxConfig(lanes=8, max_row=64, bits=3),
    ),
    "a preset instead of the base": (
        PartialConfig(preset="2bit-x16", settings={"max_row": 256}),
        {"bits": 3, "prob_bits": 8},
        SoftmaxConfig.preset("2bit-x16", max_row=256),
    ),
    "sigma, at the base's bits": (
        PartialConfig(sigma=1.5),
        {"bits": 3},
        SoftmaxConfig(bits=3, clip=paper_clip(1.5, 3)),
    ),
    "one set of tables": (
        PartialConfig(tables=ONE),
        {"lanes": 2},
        SoftmaxConfig(lanes=2, logit_scale=0.25, exp_frac=12, tables=FIRST),
    ),
    "several sets": (
        PartialConfig(tables=TWO, settings={"contexts": 3}),
        {},
        SoftmaxConfig(
            logit_scale=0.25, exp_frac=12, contexts=3, context_tables=(FIRST, SECOND, FIRST)
        ),
    ),
    "one of several sets": (
        PartialConfig(tables=TWO, tables_name="other"),
        {},
        SoftmaxConfig(logit_scale=0.25, exp_frac=12, tables=SECOND),
    ),
}


@pytest.mark.parametrize("name", RESOLVED)
def test_resolved(name: str) -> None:
    partial, base, config = RESOLVED[name]
    assert partial.given
    assert partial.resolve(base) == config


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"sigma": 1.0, "settings": {"clip": -3.0}}, "give --sigma or --clip, not both"),
        ({"sigma": 1.0, "tables": ONE}, "give --sigma or --tables, not both"),
        (
            {"sigma": 1.0, "tables": ONE, "settings": {"clip": -3.0}},
            "give --sigma or --clip or --tables, not both",
        ),
        ({"tables_name": "all"}, "--tables-name needs --tables"),
    ],
)
def test_parts_that_contradict_each_other(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refused:
        PartialConfig(**parts)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("partial", "message"),
    [
        (
            PartialConfig(preset="big"),
            f"unknown preset 'big'; there are {', '.join(PRESETS)}",
        ),
        (PartialConfig(settings={"bits": 7}), "bits must be in 2..6, not 7"),
        (PartialConfig(sigma=-1.0), "sigma must be at least 0, not -1.0"),
        (
            PartialConfig(tables=ONE, settings={"bits": 3}),
            "the tables are for bits 2, not 3",
        ),
        (
            PartialConfig(tables=ONE, tables_name="x"),
            "there are no tables 'x'; there are all",
        ),
    ],
)
def test_what_no_unit_can_have(partial: PartialConfig, message: str) -> None:
    with pytest.raises(UserError) as refused:
        partial.resolve()
    assert str(refused.value) == message


def test_rows_that_come_out_as_zeros_are_warned_of_once() -> None:
    partial = PartialConfig(settings={"prob_bits": 8})
    message = (
        "^rows of more than 512 equal logits give zeros, because 8 bits round their probabilities "
        "down; rows may have 1024 elements$"
    )
    with pytest.warns(ExaqWarning, match=message):
        config = partial.resolve()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert partial.differences(config) == []


class TestDifferences:
    @pytest.mark.parametrize(
        ("partial", "found"),
        [
            (PartialConfig(settings={"bits": 3}), ["bits 2, not 3"]),
            # What follows from a setting was not asked for.
            (PartialConfig(settings={"lanes": 4}), ["lanes 2, not 4"]),
            (PartialConfig(settings={"contexts": 2}), ["contexts 0, not 2"]),
            (PartialConfig(sigma=2.0), []),
            (PartialConfig(sigma=3.0), ["clip -5.17, not -6.83"]),
            (PartialConfig(settings={"lanes": 2, "max_row": 128, "masking": True}), []),
            (
                PartialConfig(preset="2bit-x4", settings={"lanes": 2}),
                ["max_row 128, not 1024"],
            ),
            (
                PartialConfig(tables=ONE),
                [
                    "logit_scale 0.0625, not 0.25",
                    "exp_frac 13, not 12",
                    "other tables",
                ],
            ),
        ],
    )
    def test_of_what_was_asked_for(self, partial: PartialConfig, found: list[str]) -> None:
        assert partial.differences(BOARD) == found

    def test_sigma_is_meant_at_the_bits_that_are_there(self) -> None:
        there = SoftmaxConfig(bits=3, clip=paper_clip(1.5, 3))
        assert PartialConfig(sigma=1.5).differences(there) == []

    def test_sigma_is_refused_where_the_paper_has_no_clip(self) -> None:
        with pytest.raises(UserError, match=r"^the paper has a clip for 2 to 4 bits, not for 5: "):
            PartialConfig(sigma=1.5).differences(SoftmaxConfig(bits=5))

    def test_tables_in_contexts(self) -> None:
        there = TWO.config(max_row=128)
        asked = PartialConfig(tables=TWO)
        assert asked.differences(there) == []
        other = there.replace(context_tables=(FIRST, FIRST))
        assert asked.differences(other) == ["other tables"]
        assert asked.differences(other, load=True) == []

    def test_tables_to_be_loaded_may_have_contexts_to_spare(self) -> None:
        there = TWO.config(contexts=3)
        assert PartialConfig(tables=TWO).differences(there) == ["contexts 3, not 2", "other tables"]
        assert PartialConfig(tables=TWO).differences(there, load=True) == []
        asked = PartialConfig(tables=TWO, settings={"contexts": 4})
        assert asked.differences(there, load=True) == ["contexts 3, not 4"]

    def test_the_format_of_tables_to_be_loaded_counts(self) -> None:
        there = TWO.config().replace(logit_scale=0.5)
        assert PartialConfig(tables=TWO).differences(there, load=True) == [
            "logit_scale 0.5, not 0.25"
        ]


def test_place_of_p_tables() -> None:
    """A choice of the options; what a configuration leaves out is told apart from it."""
    asked = parsed("--p-table", "distributed")
    assert asked.resolve().p_table_place == "distributed"
    assert asked.differences(BOARD) == ["p_table auto, not distributed"]
    assert asked.differences(BOARD.replace(p_table="distributed")) == []
    assert parsed("--p-table", "auto").differences(BOARD) == []

    done = CliRunner().invoke(
        click.command(config_options(lambda partial: None)), ["--p-table", "x"]
    )
    assert done.exit_code == 2
    assert "'x' is not one of 'auto', 'registers', 'distributed', 'block'" in done.output
