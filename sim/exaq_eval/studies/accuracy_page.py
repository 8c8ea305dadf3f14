"""docs/accuracy.md: made of the reports, so that no figure in it is typed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from exaq_eval.reports.figures import table
from exaq_eval.reports.picture import draw
from exaq_eval.reports.report import Report, load, markdown, stem, title
from exaq_eval.studies import STUDIES, Study

# Reports of studies are files of this prefix and the study's name.
_STUDY = "study-"

Result = dict[str, Any]
Setting = dict[str, Any]


#: Mean largest probability of a row from which a model does not tell tables apart.
NEARLY_ONE_HOT = 0.75

#: Models whose sections come first, in this order.
_FIRST = ("minilm", "decoder", "smollm2")

_HEAD = """\
# Accuracy: what 2 to 6 bits of softmax cost a model

The unit gives every attention row only 4 to 64 different probabilities, because each logit
becomes a code of 2 to 6 bits. This page says what that costs: first what others measured of
EXAQ, then what this project's golden model costs models that run here, then what each width costs
and brings, and studies that answer the questions of EXAQ's paper.

Every figure of this project's is from a report in `reports/accuracy`, this page is made of these
reports by `exaq evaluate --docs`, and each section names the command that measures it again."""

_PUBLISHED = """\
[arXiv 2511.21513](https://arxiv.org/abs/2511.21513) v1 (IntAttention), tables 3 and 4, measures
EXAQ on language and vision models **without calibration**: the code behind these tables
(`ArtifactEvaluation/pysimulation/EXAQ.py` of WanliZhong/IntAttention) makes a new quantiser in each
call, so each call is clipped by the linear fit to its own standard deviation, while EXAQ's authors
average clips over calibration calls and keep them. The mean accuracy is that of six tasks.

| model, task | float | EXAQ 2 bits, not calibrated | EXAQ 3 bits, not calibrated |
| --- | --: | --: | --: |
| LLaMA-3.2-1B: WikiText perplexity; mean accuracy | 12.66; 59.76 | 17.75; 54.21 | 13.76; 58.33 |
| OPT-1.3B: the same | 16.41; 54.00 | 38.78; 53.50 | 17.25; 53.98 |
| Qwen3-1.7B: the same | 23.01; 59.49 | 34.43; 55.58 | 29.01; 58.77 |
| DeiT-B: ImageNet top-1 | 81.80 | 81.55 | 81.77 |
| ViT-L: ImageNet top-1 | 85.63 | 85.22 | 85.43 |
| CaiT-L: ImageNet top-1 | 86.09 | 85.87 | 86.00 |

So used, language models of a billion parameters lose much at 2 bits and between little and some at
3; vision models lose little. Thresholds and exponentials are free numbers at no cost in hardware,
and the sections below show that choosing them on the model's own logits is worth a bit and more."""

# The first row of the table above: perplexity in float, and with so many bits.
_QUOTED_MODEL, _QUOTED_FLOAT, _QUOTED = "LLaMA-3.2-1B", 12.66, {2: 17.75, 3: 13.76}

_RULES = """\
The *clip* C is a distance below a row's maximum: logits that lie lower are treated as if they lay
at C. The rules differ in how they choose it. **naive** clips at the mean of the smallest logits, so
nothing is cut off. **paper** is EXAQ's linear fit of the clip to the logits' standard deviation.
**dynamic** is the same fit without calibration, as in the table above: each call of a layer has a
clip of its own, of its own logits, so it has no tables that a unit could hold.
**optimal** needs no clip: it chooses the thresholds between the codes and the level that each code
stands for so that they minimise the error of the softmax's output on calibration logits, as mean
squared error (mse) or as KL divergence (kl); with mse-levels only clip and levels are chosen so,
and the thresholds stay half-way between the clip's own levels.

All rules run on the same hardware with other tables. There is one set of tables for each layer, or
one for each head. [Calibration](calibration.md) says how they are found."""

_COLUMNS = """\
Each setting is measured twice: by what it does to the model's task, and by what it does to the rows
of its attention.

| column | meaning |
| --- | --- |
| calibrated on | the texts, or windows of text, that the tables come from |
| cosine mean, min | cosine of a text's embedding with the float model's: mean, and worst text |
| held-out texts | the same for the texts that the tables were not calibrated on |
| nearest kept | share of texts whose nearest other text is that of the float model |
| Spearman | rank correlation of the cosines of all pairs of texts with the float model's |
| loss | mean of -ln(probability of the right next token), in nats |
| increase | rise of the loss over the float model's, with its standard error |
| perplexity | e to the power of the loss |
| KL | Kullback-Leibler divergence of a row from a float softmax, in nats |
| squared error | sum over a row of squared differences from a float softmax |
| top-1 | chance that a row's likeliest key stays the likeliest; keys that tie draw lots |
| row sum | what the probabilities of a row add up to; their rounding keeps it from 1 |"""


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
        Folder of the reports: of evaluations, and ``study-NAME.json``. Those of ``exaq bench``
        are in the folder above it.
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
    parts = [_HEAD, "## What others measured", _PUBLISHED, *_uncalibrated(evaluations)]
    parts += ["## Rules", _RULES]
    parts += ["## What the columns mean", _COLUMNS]
    parts += ["## In short", *_in_short(evaluations)]
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
        load(path)
        for path in sorted(reports.glob("*.json"))
        # A name with a dot in front is of a report that another command is about to write.
        if not path.name.startswith((_STUDY, "."))
    ]
    if not evaluations:
        raise ValueError(f"{reports} holds no report of an evaluation")
    studies = []
    for study in STUDIES.values():
        if study.page != "accuracy":
            continue
        path = reports / f"{study_stem(study)}.json"
        if path.is_file():
            result = json.loads(path.read_text(encoding="utf-8"))
            studies.append((study, study.joined(result, reports.parent)))
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


def _place(report: Report) -> tuple[int, str, int, int]:
    """Built-in models, then others by name; wide logits first, and usual windows."""
    name = report["model"]["name"]
    known = _FIRST.index(name) if name in _FIRST else len(_FIRST)
    return known, name, -report["logits"]["logit_width"], report["task"].get("window", 0)


def _uncalibrated(evaluations: list[Report]) -> Iterator[str]:
    """What EXAQ without calibration costs a language model here, beside what others measured."""
    rows = []
    for report in evaluations:
        rises = {
            setting["bits"]: setting["task"]["increase"]
            for setting in report["settings"]
            if setting["rule"] == "dynamic"
        }
        if rises and report["model"]["kind"] == "decoder":
            rows.append([f"{title(report)}, here", *(_nats(rises.get(bits)) for bits in _QUOTED)])
    if not rows:
        return
    quoted = [math.log(perplexity / _QUOTED_FLOAT) for perplexity in _QUOTED.values()]
    rows.insert(0, [f"{_QUOTED_MODEL}, quoted", *map(_nats, quoted)])
    yield (
        "The same use of EXAQ as the rule dynamic below, on language models that run here; figures "
        "are rises of the loss in nats, of the quoted ones the logarithm of the ratio of the "
        "perplexities. Models, texts and lengths of context differ, so only the order of magnitude "
        "can be compared."
    )
    yield table(["model", *(f"{bits} bits, not calibrated" for bits in _QUOTED)], rows)


def _nats(rise: float | None) -> str:
    return "" if rise is None else f"{rise:+.3f}"


def _in_short(evaluations: list[Report]) -> Iterator[str]:
    heads = ["model", "bits", "naive, per layer", "paper, per layer", "best", "by", "verdict"]
    dynamic = any(s["rule"] == "dynamic" for report in evaluations for s in report["settings"])
    if dynamic:
        heads.insert(2, "not calibrated")
    rows = []
    for report in evaluations:
        for bits in _widths(report):
            best = _best(report, bits)
            others = [_find(report, rule, bits, "layer") for rule in ("naive", "paper")]
            if dynamic:
                others.insert(0, _find(report, "dynamic", bits, None))
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
        'The column "best" shows that setting of the sections below which does best by the figure '
        "shown. For an encoder the figure is the mean cosine of its embeddings with those of the "
        "float model, with the worst text in brackets; the verdict is good where the worst text is "
        "above 0.99, usable where it is above 0.95, else lossy. For a decoder it is the rise of "
        "the loss in nats, with that of the perplexity in brackets; the verdict is good where "
        "perplexity rises by less than 1 %, mild where it rises by less than 5 %, else lossy."
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
        f"In the float attention of {name} the likeliest key of a row has a probability of "
        f"{attention['largest_probability']:.2f} on average, and a row an entropy of "
        f"{attention['entropy']:.2f} nats."
    )
    if not _one_hot(report):
        return measured
    return (
        f"{measured} **That is nearly one-hot, so {name} is no test of few bits**: a table need "
        "only keep one key apart from the rest, which most do. Its small losses are a property of "
        "this training and say nothing about decoders whose attention spreads. For such, others "
        "[report a real cost](#what-others-measured)."
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
        f"Few bits make ties: at {bits[0]} bits a row has {2 ** bits[0]} different probabilities, "
        "so several keys share the largest one, and the largest probability does not tell which "
        f"logit was the largest. With {best['name']} on {report['model']['name']} a key drawn from "
        f"those that tie is the right one in {figures['top1']:.0%} of rows. The probabilities of a "
        f"row add up to between {sums['min']:.4f} and {sums['max']:.4f}: they miss 1 only by the "
        "rounding of each."
    )


def _best(report: Report, bits: int) -> Setting:
    """The calibrated setting of that width with the best task figure; the first of equal ones."""
    settings = [s for s in report["settings"] if s["bits"] == bits and s["calibration_texts"]]
    if report["model"]["kind"] == "encoder":
        return max(settings, key=lambda setting: float(setting["task"]["cosine_mean"]))
    return min(settings, key=lambda setting: float(setting["task"]["loss"]))


def _find(
    report: Report, rule: str, bits: int, per: str | None, minimise: str | None = None
) -> Setting | None:
    wanted = {"rule": rule, "bits": bits, "per": per, "minimise": minimise}
    for setting in report["settings"]:
        if all(setting[name] == value for name, value in wanted.items()):
            found: Setting = setting
            return found
    return None


def _widths(report: Report) -> list[int]:
    """Widths that have calibrated settings."""
    return sorted({s["bits"] for s in report["settings"] if s["calibration_texts"]})
