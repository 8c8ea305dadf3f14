"""What all studies share, and their committed reports."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from accuracy_reports import report

from exaq_eval.progress import Progress, silent
from exaq_eval.studies import STUDIES, Study
from exaq_eval.studies.panels import panels
from exaq_eval.studies.subjects.random_rows import (
    SHAPES,
    pooled_minimum,
    pooled_sigma,
    relative_error,
)


def test_there_are_the_studies_of_the_paper() -> None:
    assert list(STUDIES) == [
        "choice",
        "distribution",
        "clip",
        "shapes",
        "lut-size",
        "phases",
        "architectures",
        "widths",
        "training",
        "weights",
        "heads",
        "heads-unit",
        "kernels",
    ]
    assert all(each.name == name for name, each in STUDIES.items())


def test_a_list_of_them_costs_no_heavy_import() -> None:
    check = (
        "import sys, exaq_eval.studies;"
        "print(sorted({'torch', 'transformers', 'matplotlib', 'amaranth'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "[]\n"


@dataclass(frozen=True, kw_only=True)
class Sum(Study):
    name: ClassVar[str] = "sum"
    title: ClassVar[str] = "A sum"
    question: ClassVar[str] = "What is it?"

    def run(self, progress: Progress = silent) -> dict[str, Any]:
        return {"sum": 3}

    def body(self, result: dict[str, Any]) -> list[str]:
        return ["Added.", f"It is {result['sum']}."]


def test_markdown_has_title_question_body_and_command() -> None:
    assert Sum().markdown(Sum().run()) == (
        "## A sum\n\nWhat is it?\n\nAdded.\n\nIt is 3.\n\nMade by `exaq evaluate --study sum`.\n"
    )


def test_a_study_without_plot_draws_none(tmp_path: Path) -> None:
    assert Sum().plot({}, tmp_path / "x.png") is None
    assert not any(tmp_path.iterdir())


def test_the_same_figures_give_the_same_picture(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with panels(tmp_path / name, 1, 2) as ((left, _),):
            left.plot([1, 2], [3, 4])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_have_mean_0_and_deviation_1(shape: str) -> None:
    rows = SHAPES[shape](np.random.default_rng(0), (400, 1000))
    rest = rows[:, 1:]
    assert rest.mean() == pytest.approx(0, abs=0.01)
    assert rest.std() == pytest.approx(1, abs=0.01)
    if shape == "attention sink":
        assert rows[:, 0].mean() == pytest.approx(6, abs=0.2)


@pytest.mark.parametrize(
    ("shape", "moment", "expected"),
    # Kurtosis, and skewness, from the closed forms of these distributions.
    [("Gaussian", 4, 3), ("uniform", 4, 1.8), ("Laplace", 4, 6), ("exponential", 3, 2)],
)
def test_shapes_are_what_they_are_called(shape: str, moment: int, expected: float) -> None:
    rows = SHAPES[shape](np.random.default_rng(1), (1000, 1000))
    assert (rows**moment).mean() == pytest.approx(expected, rel=0.03)


def test_bimodal_has_nothing_in_the_middle() -> None:
    rows = SHAPES["bimodal"](np.random.default_rng(2), (100, 1000))
    assert (np.abs(rows) < 0.2).mean() < 0.005
    assert (rows > 0).mean() == pytest.approx(0.5, abs=0.01)


def test_sigma_and_minimum_are_of_distances_to_the_row_maximum() -> None:
    logits = np.array([[0.0, -1.0], [5.0, 2.0]])
    # Distances 0, -1, 0, -3: mean -1, squares of the rest 1, 0, 1, 4.
    assert pooled_sigma(logits) == pytest.approx(np.sqrt(6 / 3))
    assert pooled_minimum(logits) == -3


def test_relative_error_weighs_rows_alike() -> None:
    exact = np.array([[1.0, 0.0], [0.6, 0.8]])
    given = np.array([[0.5, 0.0], [0.6, 0.8]])
    assert relative_error(exact, given) == pytest.approx((0.25 + 0) / 2)


@pytest.mark.parametrize("name", STUDIES)
def test_reports_make_a_section_and_a_picture(name: str, tmp_path: Path) -> None:
    section = STUDIES[name].markdown(report(name))
    assert section.startswith(f"## {STUDIES[name].title}\n")
    assert "nan" not in section.split()
    assert "None" not in section
    path = tmp_path / "plot.png"
    assert STUDIES[name].plot(report(name), path) == path
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < 250_000
