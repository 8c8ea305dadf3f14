"""Stream format and kernel: two objects of a configuration, and kernels that join."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import exaq
from exaq import KERNELS, Exaq, Kernel, SoftmaxConfig, StreamFormat
from exaq.kernels.weighted import Weighted
from exaq.rows import Rows
from exaq_cosim.loading import loaded


def refuses(kind: type[Exception], message: str, call: Callable[[], object]) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        call()


@pytest.fixture
def counting() -> Iterator[type[Kernel]]:
    """A kernel that gives each live element its place in the row, from ``first`` on."""

    @dataclass(frozen=True, kw_only=True)
    class Counting(Kernel):
        name = "counting"

        first: int = 1
        last: int | None = None

        def _settle(self, format: StreamFormat) -> None:
            super()._settle(format)
            if self.last is None:
                self._set("last", self.first + format.max_row - 1)

        def compute(self, rows: Rows) -> NDArray[np.unsignedinteger[Any]]:
            places = np.arange(rows.logits.shape[-1], dtype=np.uint16) + self.first
            live = rows.taking_part
            found = np.broadcast_to(places, rows.logits.shape)
            return found.copy() if live is None else np.where(live, found, 0).astype(np.uint16)

    yield Counting
    del KERNELS["counting"]


def test_settings_and_objects_make_the_same() -> None:
    flat = SoftmaxConfig(lanes=8, max_row=256, bits=3, clip=-5)
    objects = SoftmaxConfig(format=StreamFormat(lanes=8, max_row=256), kernel=Exaq(bits=3, clip=-5))
    assert flat == objects
    assert hash(flat) == hash(objects)
    assert SoftmaxConfig(lanes=8, max_row=256, kernel=Exaq(bits=3, clip=-5)) == flat
    assert SoftmaxConfig(format=flat.format, kernel=flat.kernel) == flat
    assert flat.format is flat.kernel.format


def test_every_setting_is_an_attribute() -> None:
    config = SoftmaxConfig(lanes=8, bits=3, contexts=2)
    for part in (config.format, config.kernel):
        names = [name for name in vars(part) if not name.startswith("_")]
        assert len(names) > 5
        for name in names:
            assert getattr(config, name) == getattr(part, name), name
    assert (config.beats, config.levels, config.sum_bits) == (128, 8, 24)
    refuses(AttributeError, "a configuration has no 'colour'", lambda: config.colour)


def test_replacing_settles_anew_what_was_left_open() -> None:
    config = SoftmaxConfig(lanes=8, max_row=1024)
    other = config.replace(lanes=1, bits=3)
    assert other == SoftmaxConfig(lanes=1, max_row=1024, bits=3)
    assert config.replace(kernel=Exaq(bits=4)) == SoftmaxConfig(lanes=8, bits=4)
    assert config.replace(format=StreamFormat(lanes=2)) == SoftmaxConfig(lanes=2)
    fixed = SoftmaxConfig(full_rate_row=64, group=2)
    assert (fixed.replace(bits=3).full_rate_row, fixed.replace(lanes=8).group) == (64, 2)


def test_a_kernel_of_another_configuration_is_settled_anew() -> None:
    narrow = SoftmaxConfig(lanes=1, logit_scale=0.5)
    wide = SoftmaxConfig(lanes=8, logit_scale=0.25, kernel=narrow.kernel)
    assert wide == SoftmaxConfig(lanes=8, logit_scale=0.25)
    assert narrow.kernel.format.lanes == 1


def test_configurations_are_copied_and_pickled() -> None:
    config = SoftmaxConfig(lanes=8, contexts=2)
    for again in (copy.copy(config), copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert again == config
        assert again.replace(lanes=4) == config.replace(lanes=4)


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        (
            {"colour": 1},
            TypeError,
            "unknown setting 'colour'; legal are lanes, logit_width, logit_scale, max_row, "
            "prob_bits, masking, full_rate_row, contexts, output, row_results, sink, window, "
            "mask_value, logit_format, bits, clip, exp_frac, group, tables, "
            "context_tables, p_table",
        ),
        ({"format": StreamFormat(), "lanes": 4}, TypeError, "give lanes or format, not both"),
        (
            {"kernel": Exaq(), "bits": 3},
            TypeError,
            "give bits or a kernel's parameters, not both",
        ),
        (
            {"kernel": "taylor"},
            ValueError,
            f"unknown kernel 'taylor'; there are {', '.join(KERNELS)}",
        ),
        ({"format": 3}, TypeError, "format must be an exaq.StreamFormat, not 3"),
        ({"kernel": 3}, TypeError, "kernel must be a kernel of exaq.kernels or its name, not 3"),
    ],
)
def test_what_is_no_configuration(
    settings: dict[str, Any], kind: type[Exception], message: str
) -> None:
    refuses(kind, message, lambda: SoftmaxConfig(**settings))


def test_a_format_alone_is_not_settled() -> None:
    refuses(
        ValueError,
        "full_rate_row is not settled: take the format of a SoftmaxConfig",
        lambda: StreamFormat().full_rate_beats,
    )
    assert Exaq().unsettled
    assert not SoftmaxConfig().kernel.unsettled


def test_a_kernel_joins(counting: Any) -> None:
    config = SoftmaxConfig(kernel="counting", first=5, lanes=2, max_row=8)
    assert config.kernel == counting(first=5).settle(config.format)
    assert config.last == 12
    assert config.replace(max_row=16).last == 20
    assert exaq.softmax([[1, 2, 3]], config, lengths=[2]).tolist() == [[5, 6, 0]]
    written = config.to_dict()
    assert written["kernel"] == "counting"
    assert "bits" not in written
    assert SoftmaxConfig.from_dict(written) == config
    refuses(TypeError, "the kernel counting has no codes", lambda: exaq.quantize([[1]], config))


def test_a_kernel_without_tables_takes_no_contexts(counting: Any) -> None:
    refuses(
        ValueError,
        "the kernel counting has no tables: contexts must be 0, not 2",
        lambda: SoftmaxConfig(kernel="counting", contexts=2),
    )
    config = SoftmaxConfig(kernel="counting")
    tables = SoftmaxConfig().tables
    assert loaded(config, []) is config
    refuses(
        ValueError,
        "the kernel counting takes no tables at run time",
        lambda: loaded(config, [(0, tables)]),
    )


def test_a_unit_streams_no_rows_of_one_beat(counting: Any) -> None:
    assert SoftmaxConfig(kernel="counting", lanes=4).full_rate_row == 8
    refuses(
        ValueError,
        "full_rate_row must be at least 2 * lanes (8), not 4",
        lambda: SoftmaxConfig(kernel="counting", lanes=4, full_rate_row=4),
    )


@pytest.mark.parametrize("name", [name for name in KERNELS if "sink" not in KERNELS[name].takes])
def test_sinks_of_single_rows_are_refused_too(name: str) -> None:
    config = SoftmaxConfig(kernel=name)
    refuses(
        ValueError,
        f"the kernel {name} takes no sinks",
        lambda: exaq.softmax([[1, 2]], config, sink=3),
    )


def test_names_of_kernels_and_settings_are_told_apart(counting: Any) -> None:
    def second() -> None:
        class Other(counting):
            name = "counting"

    refuses(ValueError, "there is a kernel 'counting' already", second)

    @dataclass(frozen=True, kw_only=True)
    class Clashing(counting):
        name = "clashing"

        lanes: int = 3

    try:
        refuses(
            TypeError,
            "the kernel has a setting 'lanes', which is one of the stream format",
            lambda: SoftmaxConfig(kernel="clashing"),
        )
    finally:
        del KERNELS["clashing"]


def test_old_files_are_read() -> None:
    """As they were written before a configuration was two objects."""
    written = {
        "bits": 2, "lanes": 4, "logit_width": 8, "logit_scale": 0.0625, "clip": -5.17,
        "max_row": 1024, "prob_bits": 16, "exp_frac": 13, "group": 4, "masking": True,
        "full_rate_row": 128,
        "tables": {"thresholds": [-68, -41, -13], "exp_rom": [47, 261, 1462, 8192]},
    }  # fmt: skip
    config = SoftmaxConfig.from_dict(written)
    assert config == SoftmaxConfig()
    assert config.to_dict() == written


def test_a_sum_is_at_least_the_greatest_weight() -> None:
    """That of the maximum itself, unless a kernel says otherwise, as the one that multiplies does:
    it has a power of two below it.
    """
    usual: Any = Weighted.__dict__["least_sum"]
    for name in ("lut", "multiply"):
        kernel: Any = SoftmaxConfig(kernel=name).kernel
        _, weights = kernel.weigh(np.arange(256))
        greatest = int(weights[0])
        assert greatest == weights.max() == usual.fget(kernel)
        least = 1 << greatest.bit_length() - 1 if name == "multiply" else greatest
        assert kernel.least_sum == least
