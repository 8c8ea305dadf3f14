"""Contexts: configurations that hold several tables, and rows that each choose one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import exaq
from exaq import SoftmaxConfig, Tables

A, B, C = (
    Tables(thresholds=thresholds, exp_rom=exp_rom)
    for thresholds, exp_rom in (
        ((-40, -20, -5), (3, 90, 2000, 8192)),
        ((-9, -9, 0), (0, 0, 16383, 1)),
        ((-(2**40), -3, -1), (1, 2, 3, 4)),
    )
)
EIGHT = Tables(thresholds=tuple(range(-7, 0)), exp_rom=tuple(range(1, 9)))


def refuses(kind: type[Exception], message: str, call: Callable[[], object]) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        call()


def test_each_context_has_its_tables() -> None:
    config = SoftmaxConfig(contexts=3, context_tables=(A, B, C))
    assert (config.contexts, config.context_tables) == (3, (A, B, C))
    assert (config.tables, config.clip) == (A, None)
    listed: Any = [A, B, C]
    assert SoftmaxConfig(contexts=3, context_tables=listed) == config
    assert hash(SoftmaxConfig(contexts=3, context_tables=listed)) == hash(config)
    assert config != SoftmaxConfig(contexts=3, context_tables=(A, C, B))
    assert config != SoftmaxConfig(contexts=3, tables=A)


def test_tables_and_clip_are_those_of_every_context() -> None:
    assert SoftmaxConfig(contexts=2, tables=B).context_tables == (B, B)
    plain = SoftmaxConfig(clip=-3.0)
    assert SoftmaxConfig(contexts=2, clip=-3.0).context_tables == (plain.tables,) * 2
    assert SoftmaxConfig(contexts=1).context_tables == (SoftmaxConfig().tables,)
    assert (plain.contexts, plain.context_tables) == (0, ())
    assert SoftmaxConfig(contexts=0, context_tables=()) == SoftmaxConfig()


@pytest.mark.parametrize(
    ("contexts", "context_bits"),
    [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (16, 4), (17, 5), (1023, 10), (1024, 10)],
)
def test_width_of_a_context_number(contexts: int, context_bits: int) -> None:
    config = SoftmaxConfig(contexts=contexts)
    assert config.context_bits == context_bits
    # A bank for each context and one more: numbers 0 to contexts.
    assert contexts < 2**config.bank_bits <= max(2 * contexts, 1)


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"contexts": -1}, ValueError, "contexts must be in 0..1024, not -1"),
        ({"contexts": 1025}, ValueError, "contexts must be in 0..1024, not 1025"),
        ({"contexts": True}, TypeError, "contexts must be an integer, not True"),
        ({"contexts": 2.0}, TypeError, "contexts must be an integer, not 2.0"),
        (
            {"contexts": 3, "context_tables": (A, B)},
            ValueError,
            "context_tables must hold tables for each of 3 contexts, not 2",
        ),
        (
            {"contexts": 3, "context_tables": ()},
            ValueError,
            "context_tables must hold tables for each of 3 contexts, not 0",
        ),
        (
            {"context_tables": (A,)},
            ValueError,
            "context_tables must hold tables for each of 0 contexts, not 1",
        ),
        (
            {"contexts": 2, "context_tables": (A, B), "tables": A},
            ValueError,
            "give tables or context_tables, not both",
        ),
        (
            {"contexts": 2, "context_tables": (A, B), "clip": -3.0},
            ValueError,
            "give clip or context_tables, not both",
        ),
        (
            {"contexts": 2, "context_tables": (A, EIGHT)},
            ValueError,
            "tables for 3 bits do not fit a configuration of 2 bits",
        ),
        (
            {"contexts": 2, "context_tables": (C, B), "exp_frac": 12},
            ValueError,
            "exp_rom values must be below 8192 with exp_frac 12, but the largest is 16383",
        ),
        (
            {"contexts": 2, "context_tables": (A, 3)},
            TypeError,
            "tables must be an exaq.Tables, not 3",
        ),
        (
            {"contexts": 1, "context_tables": ([1, 2],)},
            TypeError,
            "tables must be an exaq.Tables, not [1, 2]",
        ),
    ],
)
def test_a_configuration_refuses(
    changes: dict[str, Any], kind: type[Exception], message: str
) -> None:
    refuses(kind, message, lambda: SoftmaxConfig(**changes))


@pytest.mark.parametrize(
    "config",
    [
        SoftmaxConfig(contexts=3, context_tables=(A, B, C)),
        SoftmaxConfig(contexts=3, context_tables=(A, A, A), lanes=8, masking=False),
        SoftmaxConfig(contexts=1, context_tables=(B,)),
        SoftmaxConfig(contexts=2, tables=C),
        SoftmaxConfig(contexts=5, clip=-3.0),
        SoftmaxConfig(contexts=2),
    ],
)
def test_a_configuration_survives_json(config: SoftmaxConfig) -> None:
    written = json.loads(json.dumps(config.to_dict()))
    assert len(written["context_tables"]) == written["contexts"] == config.contexts
    assert written["tables"] == written["context_tables"][0]
    again = SoftmaxConfig.from_dict(written)
    assert again == config
    assert again.to_dict() == config.to_dict()


def test_without_contexts_nothing_is_said_of_them() -> None:
    assert not {"contexts", "context_tables"} & set(SoftmaxConfig().to_dict())


def test_from_dict_refuses_what_to_dict_did_not_write() -> None:
    plain = SoftmaxConfig().to_dict()
    written = SoftmaxConfig(contexts=2, context_tables=(A, B)).to_dict()
    fields = "a configuration has exactly the fields of to_dict; see "
    for values, message in (
        (plain | {"contexts": 2}, f"{fields}context_tables"),
        (plain | {"contexts": 0, "context_tables": []}, f"{fields}context_tables"),
        (
            written | {"contexts": 3},
            "context_tables must hold tables for each of 3 contexts, not 2",
        ),
        (
            written | {"tables": B.to_dict()},
            "tables do not follow from the configuration's other fields",
        ),
        (
            SoftmaxConfig(contexts=2, clip=-3.0).to_dict() | {"context_tables": [A.to_dict()] * 2},
            "context_tables do not follow from the configuration's other fields",
        ),
        (
            written | {"context_tables": []},
            "context_tables must hold tables for each of 2 contexts, not 0",
        ),
        (
            plain | {"contexts": 0},
            "contexts do not follow from the configuration's other fields",
        ),
    ):
        refuses(ValueError, message, lambda values=values: SoftmaxConfig.from_dict(values))  # type: ignore[misc]


def test_replace() -> None:
    config = SoftmaxConfig(contexts=2, context_tables=(A, B))
    assert config.replace(lanes=8) == SoftmaxConfig(contexts=2, context_tables=(A, B), lanes=8)
    assert config.replace(tables=C) == SoftmaxConfig(contexts=2, tables=C)
    assert config.replace(clip=-3.0) == SoftmaxConfig(contexts=2, clip=-3.0)
    assert config.replace(contexts=3, context_tables=(C, B, A)).context_tables == (C, B, A)
    assert config.replace(contexts=0, tables=A) == SoftmaxConfig(tables=A)
    refuses(
        ValueError,
        "context_tables must hold tables for each of 3 contexts, not 2",
        lambda: config.replace(contexts=3),
    )
    same = SoftmaxConfig(contexts=2, tables=B)
    assert same.replace(contexts=4).context_tables == (B,) * 4
    assert same.replace(contexts=0) == SoftmaxConfig(tables=B)
    clipped = SoftmaxConfig(clip=-3.0)
    assert clipped.replace(contexts=2) == SoftmaxConfig(clip=-3.0, contexts=2)
    deeper = clipped.replace(contexts=2).replace(exp_frac=9)
    assert deeper.context_tables == (SoftmaxConfig(clip=-3.0, exp_frac=9).tables,) * 2


def test_words_of_a_load() -> None:
    config = SoftmaxConfig(contexts=3)
    assert config.load_words(2, A) == [2, -40, -20, -5, 3, 90, 2000, 8192]
    assert config.load_words(0, C) == [0, -256, -3, -1, 1, 2, 3, 4]
    at_the_edge = Tables(thresholds=(-257, -256, -255), exp_rom=(1, 2, 3, 4))
    assert config.load_words(1, at_the_edge)[:4] == [1, -256, -256, -255]
    logits = np.arange(-128, 128)[:, None] + np.array([0, 0])
    logits[:, 1] = 127
    exact = SoftmaxConfig(tables=at_the_edge)
    raised = SoftmaxConfig(tables=Tables(thresholds=(-256, -256, -255), exp_rom=(1, 2, 3, 4)))
    np.testing.assert_array_equal(exaq.quantize(logits, exact), exaq.quantize(logits, raised))


@pytest.mark.parametrize(
    ("contexts", "context", "tables", "kind", "message"),
    [
        (0, 0, A, ValueError, "a configuration without contexts takes no tables at run time"),
        (3, 3, A, ValueError, "context must be in 0..2, not 3"),
        (3, -1, A, ValueError, "context must be in 0..2, not -1"),
        (3, True, A, TypeError, "context must be an integer, not True"),
        (3, 1.0, A, TypeError, "context must be an integer, not 1.0"),
        (3, 1, EIGHT, ValueError, "tables for 3 bits do not fit a configuration of 2 bits"),
        (3, 1, "A", TypeError, "tables must be an exaq.Tables, not 'A'"),
    ],
)
def test_words_of_a_load_refused(
    contexts: int, context: Any, tables: Any, kind: type[Exception], message: str
) -> None:
    config = SoftmaxConfig(contexts=contexts)
    refuses(kind, message, lambda: config.load_words(context, tables))


def by_oracle(
    row: Callable[..., list[int]],
    logits: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    contexts: NDArray[Any],
    sets: tuple[Tables, ...],
    **settings: Any,
) -> list[list[int]]:
    """Row by row, each with a configuration of its own that has only the row's tables."""
    ends = mask if mask is None else mask.reshape(-1, logits.shape[-1]).tolist()
    return [
        row(values, None if ends is None else ends[k], SoftmaxConfig(tables=sets[c], **settings))
        for k, (values, c) in enumerate(
            zip(logits.reshape(-1, logits.shape[-1]).tolist(), contexts.tolist(), strict=True)
        )
    ]


@st.composite
def table_sets(draw: st.DrawFn, bits: int, exp_frac: int) -> tuple[Tables, ...]:
    most = 2 ** (exp_frac + 1) - 1

    def one() -> Tables:
        far = draw(st.sampled_from([4, 40, 300, 70_000, 2**40]))
        steps = [draw(st.integers(-far, 0)) for _ in range(2**bits - 1)]
        rom = [draw(st.integers(0, most)) for _ in range(2**bits - 1)]
        return Tables(thresholds=tuple(sorted(steps)), exp_rom=(*rom, draw(st.integers(1, most))))

    return tuple(one() for _ in range(draw(st.integers(1, 5))))


@settings(max_examples=150)
@given(data=st.data())
def test_random_rows_equal_the_oracle(data: st.DataObject) -> None:
    bits, exp_frac = data.draw(st.integers(2, 6)), data.draw(st.integers(4, 24))
    sets = data.draw(table_sets(bits, exp_frac))
    shared: dict[str, Any] = {
        "bits": bits,
        "exp_frac": exp_frac,
        "logit_width": data.draw(st.sampled_from([4, 8, 9, 16, 24])),
        "prob_bits": data.draw(st.integers(4, 24)),
    }
    config = SoftmaxConfig(contexts=len(sets), context_tables=sets, **shared)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    low, high = config.logit_range
    spread = data.draw(st.sampled_from([2, 30, high - low + 1]), label="spread")
    logits = rng.integers(low, low + min(spread, high - low + 1), (3, 4, 9))
    mask = rng.random(logits.shape) < 0.6 if data.draw(st.booleans(), label="masked") else None
    contexts = rng.integers(0, len(sets), (3, 4)).astype(data.draw(st.sampled_from("bBhiq")))
    for function, row in (
        (exaq.quantize, oracle.code_row),
        (exaq.softmax, oracle.softmax_row),
    ):
        expected = by_oracle(row, logits, mask, contexts.reshape(-1), sets, **shared)
        got = function(logits, config, mask, contexts)
        assert got.shape == logits.shape
        assert got.reshape(-1, 9).tolist() == expected
        assert got.dtype == function(logits, config).dtype


CONFIG = SoftmaxConfig(contexts=3, context_tables=(A, B, C), max_row=64)


def test_contexts_broadcast_over_rows() -> None:
    rng = np.random.default_rng(1)
    logits = rng.integers(-60, 60, (5, 3, 16))
    each = [exaq.softmax(logits, SoftmaxConfig(tables=t)) for t in (A, B, C)]
    assert len({p.tobytes() for p in each}) == 3
    for contexts, expected in (
        (None, each[0]),
        (2, each[2]),
        (np.array(1), each[1]),
        ([0, 1, 2], np.stack([each[c][:, c] for c in range(3)], axis=1)),
        ([[2], [2], [0], [1], [1]], np.stack([each[c][r] for r, c in enumerate([2, 2, 0, 1, 1])])),
    ):
        np.testing.assert_array_equal(exaq.softmax(logits, CONFIG, None, contexts), expected)
    single = exaq.softmax(logits[0, 0], CONFIG, contexts=1)
    np.testing.assert_array_equal(single, each[1][0, 0])


def test_more_rows_than_a_block_holds() -> None:
    rng = np.random.default_rng(2)
    config = CONFIG.replace(max_row=4096)
    logits = rng.integers(-60, 60, (200, 4096))
    mask = rng.random(logits.shape) < 0.9
    contexts = rng.integers(0, 3, 200)
    whole = exaq.softmax(logits, config, mask, contexts)
    codes = exaq.quantize(logits, config, mask, contexts)
    for row in range(200):
        alone = SoftmaxConfig(tables=(A, B, C)[contexts[row]], max_row=4096)
        np.testing.assert_array_equal(whole[row], exaq.softmax(logits[row], alone, mask[row]))
        np.testing.assert_array_equal(codes[row], exaq.quantize(logits[row], alone, mask[row]))


def test_no_rows() -> None:
    logits = np.zeros((0, 4, 8), int)
    for contexts in (None, 2, np.zeros((0, 4), int), np.zeros(4, int)):
        assert exaq.softmax(logits, CONFIG, contexts=contexts).shape == (0, 4, 8)
        assert exaq.quantize(logits, CONFIG, contexts=contexts).shape == (0, 4, 8)


@pytest.mark.parametrize("function", [exaq.softmax, exaq.quantize])
@pytest.mark.parametrize(
    ("contexts", "kind", "message"),
    [
        ([0, 3], ValueError, "contexts must be in 0..2, not 3"),
        ([-1, 0], ValueError, "contexts must be in 0..2, not -1"),
        (np.array([0, 200], np.uint8), ValueError, "contexts must be in 0..2, not 200"),
        ([0.0, 1.0], TypeError, "contexts must be integers, not float64"),
        ([True, False], TypeError, "contexts must be integers, not bool"),
        ([], TypeError, "contexts must be integers, not float64"),
        ([0, 1, 2], ValueError, "contexts of shape (3,) must broadcast to the rows' shape, (2,)"),
        (
            [[0], [1]],
            ValueError,
            "contexts of shape (2, 1) must broadcast to the rows' shape, (2,)",
        ),
    ],
)
def test_the_model_refuses(
    function: Callable[..., Any], contexts: Any, kind: type[Exception], message: str
) -> None:
    refuses(kind, message, lambda: function(np.zeros((2, 4), int), CONFIG, None, contexts))


def test_the_model_refuses_contexts_where_there_are_none() -> None:
    refuses(
        ValueError,
        "a configuration without contexts takes no contexts",
        lambda: exaq.softmax([0, 1], SoftmaxConfig(), contexts=0),
    )
