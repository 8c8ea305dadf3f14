"""The study of what to choose: its figures, and the sizes that stand beside them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accuracy_reports import report

import exaq
import exaq.torch
from exaq_eval import tasks
from exaq_eval.reports.sizes import COLUMNS, lut4
from exaq_eval.settings import LogitFormat
from exaq_eval.studies.questions.choice import INDEX, Choice, index_tables

BENCH = Path(__file__).resolve().parents[2] / "reports"


def kept(folder: Path, name: str, lanes: int, device: str, size: int) -> Path:
    """A report of ``exaq bench`` as far as sizes need it."""
    content = {"config": {"lanes": lanes}, "device": device, "size": {"lut4": size}}
    path = folder / f"{name}.{device}.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_sizes_are_those_of_the_reports_and_none_where_there_is_none(tmp_path: Path) -> None:
    assert lut4(tmp_path, "5bit") == [None, None, None]
    kept(tmp_path, "5bit-x16", 16, "ecp5-85", 4321)
    kept(tmp_path, "5bit-x4", 4, "ice40-hx8k", 1234)
    kept(tmp_path, "index-5bit-x4", 4, "ecp5-85", 99)
    assert lut4(tmp_path, "5bit") == [None, 4321, 1234]
    assert lut4(tmp_path, "index-5bit") == [99, None, None]


@pytest.mark.parametrize("content", ["{", "[]", '{"config": {"lanes": 4}}'])
def test_what_is_no_report_of_a_unit_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "5bit-x4.ecp5-85.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))} is no report of a unit$"):
        lut4(tmp_path, "5bit")


def test_a_report_of_another_unit_is_refused(tmp_path: Path) -> None:
    path = kept(tmp_path, "5bit-x4", 16, "ecp5-85", 1)
    message = f"{path} is of 16 lanes on ecp5-85"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        lut4(tmp_path, "5bit")


def rows_of(section: str) -> list[list[str]]:
    """Cells of the section's only table, without its first two lines."""
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in lines[2:]]


def test_the_page_has_the_figures_of_the_reports_and_dashes_for_the_rest() -> None:
    result = report("choice")
    shown = rows_of(Choice().markdown(Choice().joined(result, BENCH)))
    assert [row[0] for row in shown] == ["2 bits", "3 bits", "4 bits", "5 bits", INDEX, "6 bits"]
    (model,) = result["models"]
    for softmax, mean, worst, *sizes in shown:
        (row,) = (each for each in model["rows"] if each["softmax"] == softmax)
        assert (mean, worst) == (f"{row['cosine_mean']:.4f}", f"{row['cosine_min']:.4f}")
        code = f"{row['bits']}bit"
        code = f"index-{code}" if softmax == INDEX else code
        for size, (_, lanes, device) in zip(sizes, COLUMNS, strict=True):
            path = BENCH / f"{code}-x{lanes}.{device}.json"
            if path.is_file():
                assert size == str(json.loads(path.read_text())["size"]["lut4"])
            else:
                assert size == "-"
    assert any(size.isdigit() for row in shown for size in row[3:])
    alone = rows_of(Choice().markdown(result))
    assert alone == [row[:3] for row in shown]


UNITS = [
    (row["bits"], lanes, "index-" if row["softmax"] == INDEX else "")
    for row in report("choice")["models"][0]["rows"]
    for lanes in {lanes for _, lanes, _ in COLUMNS}
]


def test_the_page_says_what_the_units_are() -> None:
    """Widths, tables and the place of probabilities, which are not those of the measurement."""
    for bits, lanes, family in UNITS:
        name = f"{family}{bits}bit-x{lanes}"
        if family and name not in exaq.PRESETS:
            continue
        config = exaq.SoftmaxConfig.preset(name)
        assert (config.bits, config.lanes, config.contexts) == (bits, lanes, 0)
        assert (config.logit_width, config.logit_scale) == (8, 1 / 16)
        widths = (config.prob_bits, config.exp_bits, config.max_row)
        assert widths == ((8, 8, 512) if family else (16, 14, 1024))
        assert (config.p_table_place == "block") == (bits > 2)
    text = Choice().markdown(Choice().joined(report("choice"), BENCH))
    assert "logits have 8 bits in steps of 1/16" in text
    assert "have 8 bits and a row has 512 elements at most" in text
    assert "probabilities of 16 bits, exponentials of 14 and rows of 1024 elements" in text
    assert "`4bit-x4-int16` and `2bit-x4-c12`" in text
    wide, loaded = map(exaq.SoftmaxConfig.preset, ("4bit-x4-int16", "2bit-x4-c12"))
    assert wide.logit_width == LogitFormat().logit_width
    assert loaded.contexts > 1


@pytest.mark.parametrize(
    ("larger", "smaller"), [("4bit-x4-int16", "4bit-x4"), ("2bit-x4-c12", "2bit-x4")]
)
def test_wide_logits_and_loaded_tables_take_more_as_the_page_says(
    larger: str, smaller: str
) -> None:
    reports = (BENCH / f"{name}.ecp5-85.json" for name in (larger, smaller))
    more, less = (json.loads(path.read_text())["size"]["lut4"] for path in reports)
    assert more > less


def test_every_bit_brings_a_model_nearer_to_float() -> None:
    (model,) = report("choice")["models"]
    means = [row["cosine_mean"] for row in model["rows"] if row["softmax"] != INDEX]
    assert len(means) == 5
    assert means == sorted(means)


def test_figures_are_those_of_the_tables(encoder_folder: Path) -> None:
    study = Choice(widths=(2, 6), texts=((str(encoder_folder), 3),), calibrated=2)
    (model,) = study.run()["models"]
    assert [row["softmax"] for row in model["rows"]] == [INDEX, "2 bits", "6 bits"]

    task, form = tasks.load(str(encoder_folder), 3), LogitFormat()
    exact = [task.run(text)[0] for text in task.texts]
    with exaq.torch.record(task.model) as recording:
        for text in task.calibration[:2]:
            task.run(text)
    shared: dict[str, Any] = {"logit_width": 16, "logit_scale": 2.0**-8}
    given = [index_tables(form)]
    given += [
        exaq.calibrate(recording.layers, bits=bits, per="head", stage="clip", **shared)
        for bits in (2, 6)
    ]
    for row, tables in zip(model["rows"], given, strict=True):
        exaq.torch.set_tables(task.model, tables, prob_bits=16)
        found = [task.run(text)[0] for text in task.texts]
        cosines = [
            a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(exact, found, strict=True)
        ]
        assert row["cosine_mean"] == pytest.approx(np.mean(cosines), abs=2e-6)
        assert row["cosine_min"] == pytest.approx(min(cosines), abs=2e-6)
