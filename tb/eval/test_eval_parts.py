"""What is kept of an evaluation: one that was cut short goes on, to the same report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import exaq
from exaq_eval import tasks
from exaq_eval.estimate import Estimate, estimate
from exaq_eval.evaluation import Evaluation, evaluate
from exaq_eval.measurement import is_whole
from exaq_eval.parts import NOWHERE, Part, Parts
from exaq_eval.progress import silent
from exaq_eval.recorded import Recorded
from exaq_eval.reports import report
from exaq_eval.settings import LogitFormat, Setting
from exaq_eval.tasks import Task

FORMAT = LogitFormat(logit_width=12, logit_scale=2.0**-5, exp_frac=10, prob_bits=12)
SETTINGS = [
    Setting(rule="float"),
    Setting(rule="paper", bits=2, per="layer", texts=2),
    Setting(rule="naive", bits=3, per="head", texts=1),
]
STATE = {"weights": "w", "texts": "t"}


@pytest.fixture(scope="module")
def task(decoder_folder: Path) -> Task:
    return tasks.load(str(decoder_folder), 3)


@pytest.fixture(scope="module")
def whole(task: Task) -> Evaluation:
    return evaluate(task, SETTINGS, FORMAT)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def parts_in(folder: Path | None, logit_format: LogitFormat = FORMAT) -> Parts:
    return Parts(folder, STATE, logit_format, {})


def assert_same(found: Evaluation, wanted: Evaluation) -> None:
    assert report.to_json(found.report) == report.to_json(wanted.report)
    assert found.tables == wanted.tables


class CutError(Exception):
    """An evaluation is cut short."""


def test_an_evaluation_cut_short_at_any_step_goes_on(
    task: Task, whole: Evaluation, tmp_path: Path
) -> None:
    """Each run is cut short a step later than the one before; the last one ends."""
    runs = 0
    seen: list[str] = []
    while True:
        runs += 1
        steps = 0

        def told(done: int, total: int, now: str, limit: int = 2 + runs) -> None:
            nonlocal steps
            if now == "trying the model" or done == total:
                return
            seen.append(now)
            steps += 1
            if steps > limit:
                raise CutError

        parts = parts_in(tmp_path)
        try:
            found = evaluate(task, SETTINGS, FORMAT, progress=told, parts=parts)
            break
        except CutError:
            assert runs < 40
    assert_same(found, whole)
    assert runs > 4
    # What was finished was not done again: 3 texts with each setting, each tried once more at most.
    for setting in SETTINGS:
        assert 3 <= seen.count(f"running {setting.name}") <= 3 + runs


def test_what_is_whole_is_not_computed_again(
    task: Task, whole: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = parts_in(tmp_path)
    evaluate(task, SETTINGS, FORMAT, parts=parts)
    assert all(is_whole(parts.of(each), each, task) for each in SETTINGS)
    assert estimate(task, SETTINGS, FORMAT, parts).seconds == 0
    told: list[str] = []
    found = evaluate(
        task, SETTINGS, FORMAT, parts=parts, progress=lambda *step: told.append(step[2])
    )
    assert set(told) == {"trying the model"}
    assert_same(found, whole)
    # A setting more: the others are taken as they are.
    more = [*SETTINGS, Setting(rule="paper", bits=4, per="layer", texts=1)]
    found = evaluate(task, more, FORMAT, parts=parts)
    assert_same(found, evaluate(task, more, FORMAT))


def test_parts_that_are_damaged_are_made_again(
    task: Task, whole: Evaluation, tmp_path: Path
) -> None:
    parts = parts_in(tmp_path)
    evaluate(task, SETTINGS, FORMAT, parts=parts)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3 * 2 + 2
    for path in files:
        path.write_bytes(path.read_bytes()[:-9])
    assert not any(is_whole(parts.of(each), each, task) for each in SETTINGS)
    assert_same(evaluate(task, SETTINGS, FORMAT, parts=parts), whole)


def test_parts_go_and_the_folder_with_the_last(task: Task, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    parts = parts_in(folder)
    evaluate(task, SETTINGS, FORMAT, parts=parts)
    parts.remove(SETTINGS[1:])
    assert {path.name.partition(".")[0] for path in folder.iterdir()} == {parts.of(SETTINGS[0]).key}
    parts.remove(SETTINGS)
    assert not folder.exists()


def test_parts_of_anything_else_have_other_keys(tmp_path: Path) -> None:
    setting = SETTINGS[1]
    tables = exaq.TableFile.of_config(
        exaq.SoftmaxConfig(clip=-4, logit_width=12, logit_scale=2.0**-5, exp_frac=10)
    )
    parts = [
        parts_in(tmp_path).of(setting),
        parts_in(tmp_path).of(Setting(rule="paper", bits=3, per="layer", texts=2)),
        parts_in(tmp_path).of(Setting(rule="naive", bits=2, per="layer", texts=2)),
        parts_in(tmp_path).of(Setting(rule="paper", bits=2, per="head", texts=2)),
        parts_in(tmp_path).of(Setting(rule="paper", bits=2, per="layer", texts=1)),
        parts_in(tmp_path, LogitFormat(logit_width=12, logit_scale=2.0**-5)).of(setting),
        Parts(tmp_path, STATE | {"weights": "v"}, FORMAT, {}).of(setting),
        Parts(tmp_path, STATE, FORMAT, {setting.name: tables}).of(setting),
    ]
    torch.set_num_threads(2)
    parts.append(parts_in(tmp_path).of(setting))
    assert len({part.key for part in parts}) == len(parts)
    torch.set_num_threads(1)
    assert parts_in(tmp_path).of(setting) == parts[0]


def test_without_a_folder_nothing_is_kept() -> None:
    for part in (NOWHERE, parts_in(None).of(SETTINGS[0])):
        part.keep_output(np.ones((1, 1)))
        part.keep_attention({"texts": 1})
        assert (part.tables(), part.output(), part.attention()) == (None, None, {})
        part.remove()


def test_what_a_part_holds_comes_back(tmp_path: Path) -> None:
    part = Part(tmp_path / "new", "k")
    rows = np.array([[0.1, -1e-300], [np.pi, 3.0]])
    part.keep_output(rows[:1])
    part.keep_output(rows)
    np.testing.assert_array_equal(part.output(), rows)
    state = {"texts": 2, "figures": [{"kl": 0.1 + 0.2, "least": float("inf")}]}
    part.keep_attention(state)
    assert part.attention() == state
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "k.output.npy",
        "k.attention.json",
    }


def test_estimate_counts_what_there_is_to_do(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever is timed takes a second, so that nothing depends on what else the machine does.
    monkeypatch.setattr("exaq_eval.estimate._seconds", lambda work: (work(), 1.0)[1])
    found = estimate(task, SETTINGS, FORMAT)
    assert found == Estimate(recorded=2, calibrated=2, run=9, compared=3, seconds=found.seconds)
    nothing = estimate(task, SETTINGS[:1], FORMAT)
    assert (nothing.recorded, nothing.calibrated, nothing.run) == (0, 0, 3)
    assert 0 < nothing.seconds < found.seconds


def test_estimate_is_told_before_anything_is_measured(task: Task) -> None:
    told: list[object] = []
    evaluate(
        task,
        SETTINGS[:1],
        FORMAT,
        foresee=told.append,
        progress=lambda done, total, now: told.append(now),
    )
    assert isinstance(told[1], Estimate)
    assert told[0] == told[2] == "trying the model"
    assert silent(0, 1, "") is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize("memory", [0, 7 * 4, 2**20])
def test_recorded_logits_are_the_same_in_memory_and_in_files(memory: int, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    recorded = Recorded(3, tmp_path, memory)
    expected: list[list[np.ndarray]] = [[], [], []]
    ends = []
    for text in range(3):
        # Layer 1 runs twice a text; layer 2 does not run.
        for layer in (0, 1, 1):
            logits = random.normal(size=(2, text + 1, text + 1)).astype(np.float32)
            logits[..., 0, -1] = -np.inf
            recorded.add(layer, logits)
            expected[layer].append(logits)
        recorded.end_text()
        ends.append([len(calls) for calls in expected])
    for texts in (1, 2, 3):
        for layer, calls in enumerate(recorded.layers(texts)):
            assert len(calls) == ends[texts - 1][layer]
            for found, wanted in zip(calls, expected[layer], strict=False):
                np.testing.assert_array_equal(found, wanted)
    assert len(list(tmp_path.iterdir())) == (0 if memory == 2**20 else 2)


def test_tables_do_not_depend_on_where_logits_are(
    task: Task, whole: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exaq_eval import recorded

    monkeypatch.setattr(recorded.Recorded.__init__, "__defaults__", (0,))
    found = evaluate(task, SETTINGS, FORMAT)
    assert [json.loads(each.to_json()) for each in found.tables.values()] == [
        json.loads(each.to_json()) for each in whole.tables.values()
    ]
