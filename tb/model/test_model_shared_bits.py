"""Bits of each set under a budget."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from test_model_calibration import logits
from test_model_tables import function

import exaq


def files(errors: Any) -> list[exaq.TableFile]:
    """Files of 2, 3, 4 bits with these errors, a list of three for each set."""
    made = []
    for bits in (2, 3, 4):
        file = exaq.calibrate([logits(0, (5, 6))], bits=bits)
        entry = file.sets[0]
        sets = [
            replace(entry, name=str(k), layer=k, statistics={"mse": each[bits - 2]})
            for k, each in enumerate(errors)
        ]
        made.append(replace(file, sets=tuple(sets)))
    return made


def widths(file: exaq.TableFile) -> dict[str, int]:
    return {e.name: bits for bits, unit in file.by_bits().items() for e in unit.sets}


@pytest.mark.parametrize("seed", range(8))
def test_no_other_choice_of_that_mean_is_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    errors = np.sort(rng.exponential(1, (5, 3)), axis=1)[:, ::-1].tolist()
    for average in (2, 2.2, 2.5, 3, 3.7, 4, 9):
        found = exaq.share_bits(files(errors), average)
        chosen = widths(found)
        used = sum(chosen.values())
        assert used <= average * 5
        assert found.provenance["average_bits"] == used / 5
        assert found.provenance["bits_by"] == "mse"
        total = sum(each[chosen[str(k)] - 2] for k, each in enumerate(errors))
        for other in itertools.product((2, 3, 4), repeat=5):
            if sum(other) <= used:
                assert sum(e[b - 2] for e, b in zip(errors, other, strict=True)) >= total - 1e-12
    assert set(chosen.values()) == {4}


def test_sets_are_those_of_their_width() -> None:
    given = files([[5, 1, 0.5], [1, 0.99, 0.98], [3, 3, 0]])
    found = exaq.share_bits(given, 3)
    assert found.bits == 4
    assert widths(found) == {"0": 3, "1": 2, "2": 4}
    by_bits = found.by_bits()
    assert list(by_bits) == [2, 3, 4]
    for bits, unit in by_bits.items():
        assert unit.bits == bits
        for entry in unit.sets:
            own = given[bits - 2].find(entry.name)
            assert function(entry.tables) == function(own.tables)
    assert exaq.TableFile.from_dict(found.to_dict()) == found
    # A file of one width is its own unit.
    assert list(given[0].by_bits()) == [2]


def test_more_bits_that_gain_nothing_are_not_taken() -> None:
    found = exaq.share_bits(files([[1, 1, 1], [0, 2, 3]]), 4)
    assert (found.bits, found.provenance["average_bits"]) == (2, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f, 1.9), "average_bits must be at least 2, not 1.9"),
        (lambda f: ([], 2), "files must be of different bits, not []"),
        (lambda f: ([f[0], f[0]], 2), "files must be of different bits, not [2, 2]"),
        (
            lambda f: ([f[0], replace(f[1], exp_frac=14)], 2),
            "files must be of one format, not (8, 0.0625, 13) and (8, 0.0625, 14)",
        ),
        (
            lambda f: ([f[0], replace(f[1], sets=f[1].sets[:1])], 2),
            "files must hold the same sets",
        ),
    ],
)
def test_what_does_not_fit_is_refused(change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        exaq.share_bits(*change(files([[3, 2, 1], [3, 2, 1]])))
    assert str(caught.value) == message


def test_an_error_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^set '0' has no error 'values'$"):
        exaq.share_bits(files([[3, 2, 1]]), 3, by="values")
