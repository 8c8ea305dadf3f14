"""docs/accuracy.md: made of the reports, so that no figure in it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from exaq_eval.experiments import EXPERIMENTS, Experiment
from exaq_eval.plots import draw
from exaq_eval.report import Report, increase, load, markdown, stem, table, title

# Reports of experiments are files of this prefix and the experiment's name.
_EXPERIMENT = "experiment-"

Result = dict[str, Any]

#: Figures that a search for clip and levels alone, without free thresholds, gave in an earlier
#: study: per head, for each width (cosine mean, min) of MiniLM, and nats that the small decoder's
#: loss rises by.
TO_BEAT: dict[str, dict[int, tuple[float, ...]]] = {
    "minilm": {2: (0.9928, 0.9860), 3: (0.9988, 0.9977)},
    "decoder": {2: (0.11,), 3: (0.039,)},
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
or as KL divergence (kl). All four are the same hardware with other tables. Tables are one set for
each layer, or one for each head. How they are found: [calibration](calibration.md)."""


def pictures(reports: Path) -> list[str]:
    """Names, without suffix, of the pictures that ``make`` draws; raises as it does."""
    evaluations, experiments = _read(reports)
    drawn = [experiment for experiment, _ in experiments if has_plot(experiment)]
    return [stem(report) for report in evaluations] + [experiment_stem(each) for each in drawn]


def has_plot(experiment: Experiment) -> bool:
    """Whether the experiment draws a picture at all."""
    return type(experiment).plot is not Experiment.plot


def make(reports: Path, picture: Callable[[str], Path]) -> str:
    """The page, its pictures drawn besides.

    Parameters
    ----------
    reports
        Folder of the reports: of evaluations, and ``experiment-NAME.json``.
    picture
        Path to draw the picture of a name at; see ``pictures``.

    Raises
    ------
    ValueError
        The folder holds no report of an evaluation, or a file that is none.
    """
    evaluations, experiments = _read(reports)
    for report in evaluations:
        draw(report, picture(stem(report)))
    for experiment, result in experiments:
        if has_plot(experiment):
            experiment.plot(result, picture(experiment_stem(experiment)))
    return text(evaluations, experiments)


def text(evaluations: list[Report], experiments: list[tuple[Experiment, Result]]) -> str:
    """The page, of reports in their order."""
    parts = [_HEAD, "## In short", "\n".join(_in_short(evaluations))]
    parts += ["## Figures to beat", *_to_beat(evaluations), "## Rules", _RULES]
    for report in evaluations:
        parts.append(f"## {title(report)}")
        parts.append(markdown(report, _image(stem(report), title(report))).rstrip())
        parts.append(f"Made by `{report['command']} --reports reports/accuracy`.")
    parts += [_section(experiment, result) for experiment, result in experiments]
    return "\n\n".join(parts) + "\n"


def _read(reports: Path) -> tuple[list[Report], list[tuple[Experiment, Result]]]:
    """All reports of a folder: evaluations in their order, and experiments in theirs."""
    evaluations = [
        load(path)
        for path in sorted(reports.glob("*.json"))
        if not path.name.startswith(_EXPERIMENT)
    ]
    if not evaluations:
        raise ValueError(f"{reports} holds no report of an evaluation")
    experiments = []
    for experiment in EXPERIMENTS.values():
        path = reports / f"{experiment_stem(experiment)}.json"
        if path.is_file():
            experiments.append((experiment, json.loads(path.read_text(encoding="utf-8"))))
    return sorted(evaluations, key=_place), experiments


def experiment_stem(experiment: Experiment) -> str:
    """Name of the files of an experiment, without suffix."""
    return f"{_EXPERIMENT}{experiment.name}"


def _section(experiment: Experiment, result: Result) -> str:
    """The experiment's section with its picture, where it has one, before the command."""
    section = experiment.markdown(result).rstrip()
    if not has_plot(experiment):
        return section
    before, _, command = section.rpartition("\n\n")
    return f"{before}\n\n{_image(experiment_stem(experiment), experiment.title)}\n\n{command}"


def _image(name: str, text: str) -> str:
    return f"![{text}](accuracy/{name}.png)"


def _place(report: Report) -> tuple[int, str, int]:
    """MiniLM, the decoder, then others by name; wide logits first."""
    name, names = report["model"]["name"], list(TO_BEAT)
    known = names.index(name) if name in names else len(names)
    return known, name, -report["logits"]["logit_width"]


def _in_short(evaluations: list[Report]) -> Iterator[str]:
    seen = set()
    for report in evaluations:
        if report["model"]["name"] in seen:
            yield f"- **{title(report)}**: {_narrow(report)}"
            continue
        seen.add(report["model"]["name"])
        for bits in _widths(report):
            yield f"- **{title(report)}, {bits} bits**: {_cost(report, bits)}"
    report = evaluations[0]
    if best := _best(report, 2):
        figures = best["attention"]
        yield (
            f"- **Ties**: 2 bits have four values in a row, so several keys often share the "
            f"largest. With {best['name']} on {report['model']['name']} the likeliest key is "
            f"found in {figures['top1']:.0%} of rows when ties draw lots: do not take an arg-max "
            f"of these probabilities. Every row adds up to between "
            f"{figures['row_sum']['min']:.4f} and {figures['row_sum']['max']:.4f}."
        )


def _cost(report: Report, bits: int) -> str:
    best, paper = _best(report, bits), _find(report, "paper", bits, "layer")
    naive = _find(report, "naive", bits, "layer")
    named = [("at best", best), ("the paper's rule", paper), ("no clip (naive)", naive)]
    if report["model"]["kind"] == "encoder":
        words = (
            f"mean cosine {setting['task']['cosine_mean']:.4f}, worst text "
            f"{setting['task']['cosine_min']:.4f}"
            for _, setting in named
            if setting
        )
    else:
        words = (
            f"loss {setting['task']['increase']:+.3f} nats, perplexity "
            f"{setting['task']['perplexity']:.2f} for {_exact(report)['perplexity']:.2f}"
            for _, setting in named
            if setting
        )
    which = [
        f"{name} ({setting['name'].split(' ', 1)[1]})" if setting is best else f"{name}, per layer"
        for name, setting in named
        if setting
    ]
    verdict = _verdict(report, best) if best else ""
    return "; ".join(f"{a}: {b}" for a, b in zip(which, words, strict=True)) + f". {verdict}"


def _verdict(report: Report, best: dict[str, Any]) -> str:
    if report["model"]["kind"] == "encoder":
        worst = best["task"]["cosine_min"]
        return "Good." if worst > 0.99 else "Usable." if worst > 0.95 else "Lossy."
    ratio = best["task"]["perplexity"] / _exact(report)["perplexity"] - 1
    word = "Good" if ratio < 0.01 else "Mild" if ratio < 0.05 else "Lossy"
    return f"{word}: perplexity {ratio:+.1%}."


def _narrow(report: Report) -> str:
    parts = []
    for bits in _widths(report):
        if best := _best(report, bits):
            task = best["task"]
            parts.append(
                f"{bits} bits at best mean cosine {task['cosine_mean']:.4f}, worst text "
                f"{task['cosine_min']:.4f}"
                if report["model"]["kind"] == "encoder"
                else f"{bits} bits at best {task['increase']:+.3f} nats"
            )
    return "; ".join(parts) + f", in steps of {report['logits']['logit_scale']:g}."


def _to_beat(evaluations: list[Report]) -> Iterator[str]:
    yield (
        "An earlier search, for clip and levels but not for thresholds, gave the figures in the "
        "first column. It was run on other docstrings and another training of the decoder, so "
        "that the paper's rule, given beside it, is the yardstick that both have in common."
    )
    rows = []
    for report in evaluations:
        name = report["model"]["name"]
        if name not in TO_BEAT or report["logits"]["logit_width"] != 16:
            continue
        for bits, aim in TO_BEAT[name].items():
            for setting in report["settings"]:
                if setting["bits"] == bits and setting["per"] == "head":
                    rows.append(_aim(report, setting, aim))
    heads = ["softmax", "model", "to beat", "here", "beaten"]
    yield table(heads, rows)


def _aim(report: Report, setting: dict[str, Any], aim: tuple[float, ...]) -> list[str]:
    task = setting["task"]
    if report["model"]["kind"] == "encoder":
        here: tuple[float, ...] = (task["cosine_mean"], task["cosine_min"])
        beaten = all(a > b for a, b in zip(here, aim, strict=True))
        words = [" and ".join(f"{value:.4f}" for value in values) for values in (aim, here)]
    else:
        beaten = task["increase"] < aim[0]
        words = [f"{aim[0]:+.3f} nats", f"{increase(task)} nats"]
    return [setting["name"], report["model"]["name"], *words, "yes" if beaten else "no"]


def _best(report: Report, bits: int) -> dict[str, Any] | None:
    """The setting of that width with the best task figure; the first of equal ones."""
    settings = [setting for setting in report["settings"] if setting["bits"] == bits]
    if report["model"]["kind"] == "encoder":
        return max(settings, key=lambda setting: setting["task"]["cosine_mean"], default=None)
    return min(settings, key=lambda setting: setting["task"]["loss"], default=None)


def _find(report: Report, rule: str, bits: int, per: str) -> dict[str, Any] | None:
    for setting in report["settings"]:
        if (setting["rule"], setting["bits"], setting["per"]) == (rule, bits, per):
            found: dict[str, Any] = setting
            return found
    return None


def _exact(report: Report) -> dict[str, float]:
    task: dict[str, float] = report["settings"][0]["task"]
    return task


def _widths(report: Report) -> list[int]:
    return sorted({setting["bits"] for setting in report["settings"] if setting["bits"]})
