"""docs/accuracy.md: made of the reports, so that no figure in it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exaq_eval.reports.picture import draw
from exaq_eval.reports.report import Report, load, markdown, stem, table, title
from exaq_eval.settings import OBJECTIVES
from exaq_eval.studies import STUDIES, Study

# Reports of studies are files of this prefix and the study's name.
_STUDY = "study-"

Result = dict[str, Any]
Setting = dict[str, Any]


@dataclass(frozen=True)
class Earlier:
    """Figures of an earlier search, for clip and levels but not for thresholds, per head.

    Of an encoder (cosine mean, min), of a decoder nats that the loss rises by; ``paper`` are those
    of the paper's rule per layer in the same study.
    """

    best: tuple[float, ...]
    paper: tuple[float, ...]


#: Mean largest probability of a row from which a model does not tell tables apart.
NEARLY_ONE_HOT = 0.75

#: Figures to beat, by model and width.
TO_BEAT: dict[str, dict[int, Earlier]] = {
    "minilm": {
        2: Earlier((0.9928, 0.9860), (0.9840, 0.9433)),
        3: Earlier((0.9988, 0.9977), (0.9955, 0.9910)),
    },
    "decoder": {2: Earlier((0.11,), (0.63,)), 3: Earlier((0.039,), (0.244,))},
}

_HEAD = """\
# Accuracy: what 2, 3 and 4 bits of softmax cost

Made by `exaq evaluate --docs` from the reports in [reports/accuracy](../reports/accuracy); every
figure below is from one of them, and each section names the command that measures it again.
Nothing here is typed by hand, and a test holds this page to the reports."""

_RULES = """\
**naive** clips at the mean of the smallest logits, so nothing is cut off. **paper** is EXAQ's
linear fit of the clip to the logits' standard deviation. **optimal** chooses thresholds and levels
that minimise the error of the softmax's output on calibration logits, as mean squared error (mse)
or as KL divergence (kl); with mse-levels only clip and levels are chosen so, and the thresholds
stay half-way between the clip's own levels. All are the same hardware with other tables. Tables are
one set for each layer, or one for each head. How they are found: [calibration](calibration.md)."""


def pictures(reports: Path) -> list[str]:
    """Names, without suffix, of the pictures that ``make`` draws; raises as it does."""
    evaluations, studies = _read(reports)
    drawn = [study for study, _ in studies if has_plot(study)]
    return [stem(report) for report in evaluations] + [study_stem(each) for each in drawn]


def has_plot(study: Study) -> bool:
    """Whether the study draws a picture at all."""
    return type(study).plot is not Study.plot


def make(reports: Path, picture: Callable[[str], Path]) -> str:
    """The page, its pictures drawn besides.

    Parameters
    ----------
    reports
        Folder of the reports: of evaluations, and ``study-NAME.json``.
    picture
        Path to draw the picture of a name at; see ``pictures``.

    Raises
    ------
    ValueError
        The folder holds no report of an evaluation, or a file that is none.
    """
    evaluations, studies = _read(reports)
    for report in evaluations:
        draw(report, picture(stem(report)))
    for study, result in studies:
        if has_plot(study):
            study.plot(result, picture(study_stem(study)))
    return text(evaluations, studies)


def text(evaluations: list[Report], studies: list[tuple[Study, Result]]) -> str:
    """The page, of reports in their order."""
    parts = [_HEAD, "## In short", *_in_short(evaluations)]
    parts += ["## Figures to beat", *_to_beat(evaluations), "## Rules", _RULES]
    for report in evaluations:
        parts.append(f"## {title(report)}")
        parts.append(markdown(report, _image(stem(report), title(report))).rstrip())
        commands = " and ".join(f"`{each}`" for each in report["commands"])
        parts.append(f"Made by {commands}, with `--reports reports/accuracy`.")
    parts += [_section(study, result) for study, result in studies]
    return "\n\n".join(parts) + "\n"


def _read(reports: Path) -> tuple[list[Report], list[tuple[Study, Result]]]:
    """All reports of a folder: evaluations in their order, and studies in theirs."""
    evaluations = [
        load(path) for path in sorted(reports.glob("*.json")) if not path.name.startswith(_STUDY)
    ]
    if not evaluations:
        raise ValueError(f"{reports} holds no report of an evaluation")
    studies = []
    for study in STUDIES.values():
        path = reports / f"{study_stem(study)}.json"
        if path.is_file():
            studies.append((study, json.loads(path.read_text(encoding="utf-8"))))
    return sorted(evaluations, key=_place), studies


def study_stem(study: Study) -> str:
    """Name of the files of a study, without suffix."""
    return f"{_STUDY}{study.name}"


def _section(study: Study, result: Result) -> str:
    """The study's section with its picture, where it has one, before the command."""
    section = study.markdown(result).rstrip()
    if not has_plot(study):
        return section
    before, _, command = section.rpartition("\n\n")
    return f"{before}\n\n{_image(study_stem(study), study.title)}\n\n{command}"


def _image(name: str, text: str) -> str:
    return f"![{text}](accuracy/{name}.png)"


def _place(report: Report) -> tuple[int, str, int]:
    """MiniLM, the decoder, then others by name; wide logits first."""
    name, names = report["model"]["name"], list(TO_BEAT)
    known = names.index(name) if name in names else len(names)
    return known, name, -report["logits"]["logit_width"]


def _in_short(evaluations: list[Report]) -> Iterator[str]:
    heads = ["model", "bits", "naive, per layer", "paper, per layer", "best", "by", "verdict"]
    rows = []
    for report in evaluations:
        for bits in _widths(report):
            best = _best(report, bits)
            others = [_find(report, rule, bits, "layer") for rule in ("naive", "paper")]
            cells = [title(report), str(bits), *(_cost(report, each) for each in others)]
            if any(s["bits"] == bits and s["rule"] == "optimal" for s in report["settings"]):
                which = best["name"].partition(" ")[2]
                cells += [f"**{_cost(report, best)}**", which, _verdict(report, best)]
            else:
                # The best of half the rules would pass for what the width can do.
                cells += ["not measured", "", ""]
            rows.append(cells)
    yield table(heads, rows)
    yield (
        "Best is the best setting of those below by this very figure. Encoders: mean cosine of "
        "embeddings with those of the float model, the worst text in "
        "brackets; good: the worst above 0.99, usable: above 0.95, else lossy. Decoders: what the "
        "loss rises by in nats, perplexity in brackets; good: perplexity up by less than 1 %, "
        "mild: by less than 5 %, else lossy."
    )
    yield from filter(None, map(_ties, evaluations[:1]))
    yield from map(_sharpness, _widest(evaluations))


def _widest(evaluations: list[Report]) -> Iterator[Report]:
    """The first report of each model, which is that of its widest logits."""
    seen = set()
    for report in evaluations:
        if report["model"]["name"] not in seen:
            seen.add(report["model"]["name"])
            yield report


def _sharpness(report: Report) -> str:
    name, attention = report["model"]["name"], report["float_attention"]
    measured = (
        f"The float attention of {name} gives the likeliest key of a row a probability of "
        f"{attention['largest_probability']:.2f} in the mean; the entropy is "
        f"{attention['entropy']:.2f} nats."
    )
    if not _one_hot(report):
        return measured
    return (
        f"{measured} **That is nearly one-hot, so {name} is no test of few bits**: a table need "
        "only keep one key apart from the rest, which most do. Its small losses are a property of "
        "this training and say nothing about decoders whose attention spreads. For such, others "
        "report a real cost: LLaMA-3.2-1B goes from perplexity 12.66 to 17.75 with EXAQ at 2 bits, "
        "to 13.76 at 3, without calibration: each call is clipped by its own sigma (IntAttention, "
        "arXiv 2511.21513, table 3)."
    )


def _one_hot(report: Report) -> bool:
    largest: float = report["float_attention"]["largest_probability"]
    return largest >= NEARLY_ONE_HOT


def _cost(report: Report, setting: Setting | None) -> str:
    if setting is None:
        return ""
    task = setting["task"]
    if report["model"]["kind"] == "encoder":
        return f"{task['cosine_mean']:.4f} ({task['cosine_min']:.4f})"
    return f"{task['increase']:+.3f} ({_more(report, setting):+.1%})"


def _verdict(report: Report, setting: Setting) -> str:
    if _one_hot(report):
        return "no test, see below"
    if report["model"]["kind"] == "encoder":
        worst = setting["task"]["cosine_min"]
        return "good" if worst > 0.99 else "usable" if worst > 0.95 else "lossy"
    more = _more(report, setting)
    return "good" if more < 0.01 else "mild" if more < 0.05 else "lossy"


def _more(report: Report, setting: Setting) -> float:
    """Perplexity over the float model's, less 1."""
    exact: float = report["settings"][0]["task"]["perplexity"]
    return float(setting["task"]["perplexity"] / exact - 1)


def _ties(report: Report) -> str:
    bits = _widths(report)[:1]
    if not bits:
        return ""
    best = _best(report, bits[0])
    figures = best["attention"]
    sums = figures["row_sum"]
    return (
        f"Few bits make ties: a row has {2 ** bits[0]} different probabilities at {bits[0]} bits, "
        f"so several keys share the largest one. With {best['name']} on {report['model']['name']} "
        f"a key drawn from those that tie is the right one in {figures['top1']:.0%} of rows: an "
        f"arg-max of these probabilities is no arg-max of the logits. Sums of rows lie between "
        f"{sums['min']:.4f} and {sums['max']:.4f}: they are 1 but for the rounding of each "
        "probability."
    )


def _to_beat(evaluations: list[Report]) -> Iterator[str]:
    yield (
        "An earlier search of ours, for clip and levels per head but not for thresholds, left "
        "these figures to beat: cosine mean and min, or nats. It ran on other docstrings and "
        "another training of the decoder; how hard these are for the paper's rule, per layer, "
        "says how far the two compare. Where the paper's rule here already beats the figure, "
        "beating it proves nothing about calibration, and no verdict is given."
    )
    heads = ["model", "softmax", "to beat", "here", "beaten", "paper's rule then", "here"]
    rows = []
    for report in evaluations:
        # The earlier study had real logits, which 16 bits come near to.
        if report["logits"]["logit_width"] == 16:
            for bits, earlier in TO_BEAT.get(report["model"]["name"], {}).items():
                paper = _find(report, "paper", bits, "layer")
                for objective in OBJECTIVES:
                    setting = _find(report, "optimal", bits, "head", objective)
                    if setting:
                        rows.append(_against(report, setting, paper, earlier))
    yield table(heads, rows)
    if rows:
        yield _chosen(rows)


def _chosen(rows: list[list[str]]) -> str:
    """How each objective does in all rows of the table, so that none is picked row by row."""
    verdicts: dict[str, list[str]] = {}
    for _, name, _, _, verdict, *_ in rows:
        verdicts.setdefault(name.partition("(")[2].partition(")")[0], []).append(verdict)
    counts = ", ".join(
        f"{objective} {each.count('yes')} of {len(each)}" for objective, each in verdicts.items()
    )
    figures = len({(model, aim) for model, _, aim, *_ in rows})
    words = f"Figures that each objective beats outright: {counts}."
    if any(each.count("yes") == figures for each in verdicts.values()):
        return words
    return (
        f"{words} **No single objective beats all {figures}.** The objective that does best in a "
        "row is known only after measuring it on these very texts, so a row that one objective "
        "beats and another does not is no promise for other texts. A worst text is a single one "
        "of them, and turns more easily than a mean."
    )


def _against(
    report: Report, setting: Setting, paper: Setting | None, earlier: Earlier
) -> list[str]:
    here = _scored(report, setting)
    beaten = _beats(report, here, earlier)
    verdict = "yes" if all(beaten) else "mean only" if beaten[0] else "no"
    if paper and all(_beats(report, _scored(report, paper), earlier)):
        verdict = "no test: so does the paper's rule"
    return [
        report["model"]["name"],
        setting["name"],
        _words(report, earlier.best),
        f"**{_words(report, here)}**",
        verdict,
        _words(report, earlier.paper),
        _words(report, _scored(report, paper)) if paper else "",
    ]


def _beats(report: Report, scores: tuple[float, ...], earlier: Earlier) -> list[bool]:
    """Whether each score is better than the earlier study's: a cosine higher, a loss lower."""
    sign = 1 if report["model"]["kind"] == "encoder" else -1
    return [sign * a > sign * b for a, b in zip(scores, earlier.best, strict=True)]


def _scored(report: Report, setting: Setting) -> tuple[float, ...]:
    task = setting["task"]
    if report["model"]["kind"] == "encoder":
        return task["cosine_mean"], task["cosine_min"]
    return (task["increase"],)


def _words(report: Report, scores: tuple[float, ...]) -> str:
    if report["model"]["kind"] == "encoder":
        return ", ".join(f"{score:.4f}" for score in scores)
    return f"{scores[0]:+.3f}"


def _best(report: Report, bits: int) -> Setting:
    """The calibrated setting of that width with the best task figure; the first of equal ones."""
    settings = [s for s in report["settings"] if s["bits"] == bits and s["rule"] != "file"]
    if report["model"]["kind"] == "encoder":
        return max(settings, key=lambda setting: float(setting["task"]["cosine_mean"]))
    return min(settings, key=lambda setting: float(setting["task"]["loss"]))


def _find(
    report: Report, rule: str, bits: int, per: str, minimise: str | None = None
) -> Setting | None:
    wanted = {"rule": rule, "bits": bits, "per": per, "minimise": minimise}
    for setting in report["settings"]:
        if all(setting[name] == value for name, value in wanted.items()):
            found: Setting = setting
            return found
    return None


def _widths(report: Report) -> list[int]:
    """Widths that have calibrated settings."""
    return sorted({s["bits"] for s in report["settings"] if s["bits"] and s["rule"] != "file"})
