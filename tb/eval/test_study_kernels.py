"""The study of the kernels against plain Python, the page that it fills, and what the page says."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accuracy_reports import report

import exaq
from exaq.data import load_attention_sample
from exaq_cli.commands.model.evaluate_models import make_docs
from exaq_eval.reports.peers import PEERS, peer_table
from exaq_eval.reports.sizes import measured
from exaq_eval.studies import kernels_page
from exaq_eval.studies.questions.kernels import LANES, Kernels
from exaq_eval.studies.questions.kernels_text import body, caption, kl
from exaq_eval.studies.subjects.kernel_variants import (
    EXACT,
    VARIANTS,
    clip_of,
    fitting_step,
    given,
)
from exaq_fpga.flow.bench import summary

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/kernels.md").read_text(encoding="utf-8")
QUICK = Kernels.quick()
NAMES = [EXACT, *(variant.name for variant in VARIANTS)]


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return QUICK.run()


def rows() -> np.ndarray[Any, Any]:
    return np.random.default_rng((QUICK.seed, 2, 128)).normal(0, 2, (64, 128))


def softmax_row(row: list[float]) -> list[float]:
    total = sum(math.exp(x - max(row)) for x in row)
    return [math.exp(x - max(row)) / total for x in row]


def divergence(exact: list[float], found: list[float], least: float) -> float:
    raised = [value or least / 2 for value in found]
    total = sum(raised)
    return sum(p * math.log(p / (q / total)) for p, q in zip(exact, raised, strict=True))


def put_together(row: list[int], config: exaq.SoftmaxConfig) -> tuple[list[float], float]:
    """Codes of BAPS, an element after the other, and the least number beside 0."""
    (codes,), (references,) = (f([row], config) for f in (exaq.quantize, exaq.beat_references))
    results = exaq.row_results([row], config)
    assert isinstance(config.kernel, exaq.Baps)
    numbers = config.kernel.values(np.arange(256))
    one = Fraction(int(results.sum[0]), 2**config.sum_frac)
    found = []
    for place, code in enumerate(codes):
        octaves = int(references[place // config.lanes]) - int(results.maximum[0])
        found.append(float(Fraction(numbers[code]) * Fraction(2) ** octaves / one))
    return found, float(min(number for number in numbers if number > 0) / one)


@pytest.mark.parametrize("name", NAMES)
def test_divergences_are_those_of_plain_python(result: dict[str, Any], name: str) -> None:
    (case,) = (case for case in result["gaussian"] if case["softmax"] == name)
    logits, step = rows(), 1 / 8
    integers = np.rint(logits / step).clip(-128, 127).astype(int).tolist()
    found = []
    for row, whole in zip(logits.tolist(), integers, strict=True):
        if name == EXACT:
            other, least = softmax_row([x * step for x in whole]), 0.0
        else:
            (variant,) = (each for each in VARIANTS if each.name == name)
            clip = {} if variant.bits is None else {"clip": exaq.paper_clip(2, variant.bits)}
            config = variant.config(lanes=4, max_row=128, logit_scale=step, **clip)
            if config.output == "codes":
                other, least = put_together(whole, config)
            else:
                (whole_p,) = exaq.softmax([whole], config)
                other = exaq.probabilities_to_float(whole_p, config).tolist()
                floats = "probabilities" in name and "linear" not in name
                least = {"e5m3": 2.0**-30, "hif8": 2.0**-22}[name[6:10]] if floats else 2.0**-16
        found.append(divergence(softmax_row(row), other, least))
    assert case["kl"] == pytest.approx(np.mean(found), rel=1e-5)


@pytest.mark.parametrize(("sigma", "step"), [(1, 1 / 16), (2, 1 / 8), (3, 1 / 8), (4, 1 / 4)])
def test_step_is_the_least_that_fits(sigma: int, step: float) -> None:
    assert fitting_step(sigma) == step
    assert 127 * step >= 5 * sigma > 127 * step / 2


def test_shipped_rows_are_compared_where_they_are_live(result: dict[str, Any]) -> None:
    sample = load_attention_sample()
    live = np.broadcast_to(sample.mask, sample.logits.shape)
    kept = live.any(axis=-1)
    logits, live = sample.logits[kept][:: QUICK.shipped_every], live[kept][:: QUICK.shipped_every]
    config = exaq.SoftmaxConfig(kernel="multiply", max_row=128, logit_scale=sample.scale)
    worst = 0.0
    for row, mask in zip(logits, live, strict=True):
        numbers = row[mask].tolist()
        exact = softmax_row([x * sample.scale for x in numbers])
        found = exaq.probabilities_to_float(exaq.softmax([numbers], config), config)[0]
        worst = max(worst, np.abs(found - exact).max())
    cases = {case["softmax"]: case for case in result["shipped"]["cases"]}
    assert cases["multiply, split"]["largest_error"] == pytest.approx(worst, rel=1e-5)
    assert set(cases) == set(NAMES[1:])


@pytest.mark.parametrize("lanes", LANES)
def test_units_are_those_that_are_compared(lanes: int) -> None:
    """A preset differs from what is measured here in nothing that a bit depends on."""
    seen = set()
    for variant in VARIANTS:
        for unit in variant.units:
            preset = exaq.SoftmaxConfig.preset(unit.format(lanes))
            same = variant.config(lanes=lanes, max_row=1024)
            seen.add(unit)
            integers = np.random.default_rng(1).integers(-128, 128, (20, 100))
            if (preset.output, variant.kernel) == ("codes", "exaq"):
                assert preset.tables == same.tables
                continue
            assert np.array_equal(given(integers, preset).values, given(integers, same).values)
    assert seen == {
        *("2bit-x{}", "2bit-x{}-sums", "3bit-x{}", "4bit-x{}", "baps-x{}", "baps-x{}-float"),
        *("multiply-x{}", "softermax-x{}", "shift-x{}", "lut-x{}"),
    }


def test_report_is_of_the_kernels_as_they_are() -> None:
    small = Kernels(sigmas=(3,), lengths=(128,), shipped_every=64, texts=0, windows=0).run()[
        "gaussian"
    ]
    stored = {(c["softmax"], c["sigma"], c["row"]): c for c in report("kernels")["gaussian"]}
    assert len(stored) == len(NAMES) * 4 * 3
    for case in small:
        was = stored[case["softmax"], case["sigma"], case["row"]]
        assert case["kl"] == pytest.approx(was["kl"], rel=1e-4)


def test_markdown_has_dashes_for_units_without_a_report(
    result: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "accuracy").mkdir()
    bench = json.loads((ROOT / "reports/2bit-x4.ecp5-85.json").read_text(encoding="utf-8"))
    (tmp_path / "2bit-x4.ecp5-85.json").write_text(json.dumps(bench), encoding="utf-8")
    text = QUICK.markdown(QUICK.joined(result, tmp_path))
    assert "| baps, e5m3 codes | `baps-x4` | - | - | - | - | - | - | - | " in text
    figures = summary(bench)
    cells = (
        bench["size"]["lut4"],
        bench["size"]["bram"],
        bench["size"]["dsp"],
        f"{bench['mhz']['median']:.0f}",
        f"{figures['elements_per_second'] / 1e6:.0f}",
        f"{figures['elements_per_second_per_lut4'] / 1e3:.0f}",
        f"{figures['first_in_to_last_out']} cycles",
    )
    assert f"| `2bit-x4` | {' | '.join(map(str, cells))} | " in text
    path = tmp_path / "plot.png"
    assert QUICK.plot(QUICK.joined(result, tmp_path), path) == path
    assert path.read_bytes().startswith(b"\x89PNG")


def test_what_is_no_report_of_a_unit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lut-x4.ecp5-85.json"
    path.write_text('{"size": {}}', encoding="utf-8")
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))} is no report of a unit$"):
        measured(tmp_path, "lut-x4", "ecp5-85")


def test_page_is_that_of_the_reports(tmp_path: Path) -> None:
    cure = "`exaq evaluate --docs` makes it again"
    path = tmp_path / "a.png"
    assert kernels_page.fill(PAGE, ROOT / "reports/accuracy", path) == PAGE, cure
    assert (ROOT / "docs/kernels.png").is_file(), cure
    assert path.stat().st_size < 250_000


def test_docs_fill_the_page_where_there_is_one(tmp_path: Path) -> None:
    kept = tmp_path / "kept/accuracy"
    kept.mkdir(parents=True)
    for name in ("minilm-int8", "study-kernels"):
        text = (ROOT / f"reports/accuracy/{name}.json").read_text(encoding="utf-8")
        (kept / f"{name}.json").write_text(text, encoding="utf-8")
    docs = tmp_path / "docs"
    docs.mkdir()
    before = f"# Kernels\n\n{kernels_page.BEGIN}\nold\n{kernels_page.END}\n\n## More\n"
    (docs / "kernels.md").write_text(before, encoding="utf-8")
    make_docs(docs, kept)
    filled = (docs / "kernels.md").read_text(encoding="utf-8")
    assert filled == kernels_page.fill(before, kept, tmp_path / "again.png")
    assert "old" not in filled
    assert filled.endswith(f"{kernels_page.END}\n\n## More\n")
    assert (docs / "kernels.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    # What is about kernels alone is on their page alone.
    assert "study kernels" not in (docs / "accuracy.md").read_text(encoding="utf-8")


def test_page_without_a_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^kernels\.md has no place for figures: no <!-- kern"):
        kernels_page.fill("# Kernels\n", ROOT / "reports/accuracy", tmp_path / "a.png")


def test_other_units_are_those_of_the_page_of_performance() -> None:
    text = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    assert f"\n{peer_table()}\n" in text
    assert all(peer.thousands <= 47 for peer in PEERS)
    words = "Five other open\nsoftmax units were measured on the same bench, and the most of them"
    assert f"{words} reaches 47 thousand" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_page_in_short_is_what_was_measured() -> None:
    """What of it is about figures; what is not measured yet is not held against it."""
    joined = Kernels().joined(report("kernels"), ROOT / "reports")
    units = [unit for unit in joined["units"] if unit["measured"] is not None]
    by_preset = {unit["preset"]: unit["measured"] for unit in units}
    for kernel in ("baps", "shift", "lut"):
        for preset, found in by_preset.items():
            if preset.startswith(kernel) and preset != "lut-x4" and preset != "lut-x16":
                assert found.multipliers == 0, preset
    for lanes in LANES:
        here = {name: found for name, found in by_preset.items() if f"-x{lanes}" in name}
        best = max(here, key=lambda name: here[name].elements_per_second_per_lut4)
        assert best == f"2bit-x{lanes}-sums"
        if f"multiply-x{lanes}" in here:
            assert here[f"multiply-x{lanes}"].multipliers >= lanes
    for row in (128, 512, 2048):
        means = {name: kl(joined, name, row) for name in NAMES}
        for bits in (2, 3, 4):
            assert means["baps, e5m3 codes"] < means[f"exaq, {bits} bits"] / 5
        if row > 128:
            assert means["shift, e2softmax"] < means["exaq, 4 bits"]
    assert kl(joined, "multiply, split", 128) < 1.2 * kl(joined, EXACT, 128)
    assert kl(joined, "multiply, split", 512) < 2 * kl(joined, EXACT, 512)
    assert kl(joined, "baps, e5m3 codes", 2048, (4,)) < kl(joined, "multiply, split", 2048, (4,))
    errors = {case["softmax"]: case["largest_error"] for case in joined["shipped"]["cases"]}
    assert min(errors, key=errors.__getitem__) == "multiply, split"
    cosines = {case["softmax"]: case["cosine_mean"] for case in joined["model"]["rows"]}
    others = [cosines[name] for name in cosines if name.startswith(("shift", "lut"))]
    assert cosines["exaq, 4 bits"] > max(others)
    assert caption(joined) in PAGE
    assert all(part in PAGE for part in body(joined))


def test_clips_are_for_exaq_alone() -> None:
    for variant in VARIANTS:
        assert bool(clip_of(variant, 2)) == (variant.kernel == "exaq")
