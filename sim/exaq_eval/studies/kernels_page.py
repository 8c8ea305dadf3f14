"""What docs/kernels.md has measured: made of reports, between two marks of the page."""

from __future__ import annotations

import json
from pathlib import Path

from exaq_eval.studies import STUDIES
from exaq_eval.studies.accuracy_page import study_stem
from exaq_eval.studies.questions.kernels_text import caption

BEGIN, END = "<!-- kernels:begin -->", "<!-- kernels:end -->"
_STUDY = STUDIES["kernels"]


def report_of(reports: Path) -> Path:
    """The report that the page is made of, whether it is there or not."""
    return reports / f"{study_stem(_STUDY)}.json"


def fill(page: str, reports: Path, picture: Path) -> str:
    """``page`` with what was measured between its marks, the picture drawn at ``picture``.

    Parameters
    ----------
    page
        The text of kernels.md.
    reports
        Folder of the study's report. Those of ``exaq bench`` are in the folder above it.
    picture
        Path of the PNG.

    Raises
    ------
    ValueError
        The page has no marks, or a file is no report.
    """
    before, begin, rest = page.partition(f"{BEGIN}\n")
    _, end, behind = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"kernels.md has no place for figures: no {BEGIN} followed by {END}")
    result = json.loads(report_of(reports).read_text(encoding="utf-8"))
    result = _STUDY.joined(result, reports.parent)
    _STUDY.plot(result, picture)
    section, _, command = _STUDY.markdown(result).rstrip().rpartition("\n\n")
    parts = [section, "![Divergence over size, rate and latency](kernels.png)"]
    parts += [caption(result), command]
    return before + begin + "\n\n".join(parts) + "\n" + end + behind
