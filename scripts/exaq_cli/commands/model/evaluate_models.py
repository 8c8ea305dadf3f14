"""What ``exaq evaluate`` does: models, studies, and the page of documentation."""

from __future__ import annotations

import dataclasses
import json
import shlex
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from rich.console import Console

from exaq import TableFile
from exaq_cli.commands.model.evaluate import BUILT_IN
from exaq_cli.errors import UserError, user_errors
from exaq_cli.files import made_folder, replacing
from exaq_cli.output import evaluation_plan
from exaq_cli.output.progress import staged
from exaq_cli.workers import executor_of
from exaq_eval.settings import LogitFormat, Setting, grid

if TYPE_CHECKING:
    from exaq_eval.remote import Remote
    from exaq_eval.tasks import Task

_CONSOLE = Console(stderr=True)
# Options that say where things go and where they run, not what is measured.
_PLACES = {"out", "reports", "scheduler"}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What to evaluate a model with.

    Members
    -------
    rules, bits, per, minimise
        As for ``exaq_eval.settings.grid``.
    calibration_texts
        Instead of the task's own numbers of texts.
    given
        Tables from files, by path; then nothing is calibrated.
    logit_format
        Format of the logits.
    choose_scale
        Whether the scale is the best one for the model instead of the format's.
    """

    rules: Sequence[str]
    bits: Sequence[int]
    per: Sequence[str]
    minimise: Sequence[str]
    calibration_texts: int | None
    given: dict[str, TableFile]
    logit_format: LogitFormat
    choose_scale: bool

    def settings(self, task: Task) -> list[Setting]:
        """The settings for a task, float first."""
        if self.given:
            files = [
                Setting(rule="file", bits=tables.bits, title=path)
                for path, tables in self.given.items()
            ]
            return [Setting(rule="float"), *files]
        counts = dict(task.calibration_counts)
        if self.calibration_texts is not None:
            counts = dict.fromkeys(counts, self.calibration_texts)
        for part, count in counts.items():
            if part in self.per and count > len(task.calibration):
                raise UserError(
                    f"{task.name} has {len(task.calibration)} texts to calibrate on, not {count}"
                )
        lossy = [each for each in self.minimise if each.startswith("loss")]
        if lossy and task.kind == "encoder":
            raise UserError(f"{task.name} is an encoder and has no loss to minimise: {lossy[0]}")
        return list(
            grid(
                rules=self.rules, bits=self.bits, per=self.per, minimise=self.minimise, texts=counts
            )
        )


def settle_format(
    given: dict[str, TableFile], options: dict[str, Any], prob_bits: int | None
) -> LogitFormat:
    """The format that the options ask for, or that of the given tables, which must agree."""
    wanted = {
        option.removeprefix("--").replace("-", "_"): value
        for option, value in options.items()
        if value is not None and value != "auto"
    }
    for path, tables in given.items():
        if options["--logit-scale"] == "auto":
            raise UserError("--tables takes no --logit-scale auto: the tables have their scale")
        for name in ("logit_width", "logit_scale", "exp_frac"):
            own = getattr(tables, name)
            if wanted.setdefault(name, own) != own:
                raise UserError(f"{path} is for {name} {own}, not {wanted[name]}")
    if prob_bits is not None:
        wanted["prob_bits"] = prob_bits
    with user_errors():
        return LogitFormat(**wanted)


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What is taken of each model's texts, and of which models.

    Members
    -------
    count, tokens, partial
        ``texts``, ``tokens`` and ``partial`` of ``exaq_eval.tasks.load``.
    """

    count: int | None
    tokens: int | None
    partial: bool


def run_models(
    names: Sequence[str],
    texts: Texts,
    choice: Choice,
    folder: Path,
    reports: Path | None,
    scheduler: str | None = None,
) -> None:
    """Evaluate each model, print its task figures and write its files."""
    with executor_of(scheduler) as executor:
        for name in names:
            task = _load(name, texts)
            settings = choice.settings(task)
            remote = None if executor is None else _remote(executor, name, texts)
            with _partial_unwarned():
                _run_model(name, task, settings, choice, folder, reports, remote)


def _remote(executor: Executor, name: str, texts: Texts) -> Remote:
    from exaq_eval.remote import Remote

    # Workers have working folders of their own.
    path = name if name in BUILT_IN else str(Path(name).resolve())
    return Remote(
        executor=executor,
        name=path,
        texts=texts.count,
        partial=texts.partial,
        tokens=texts.tokens,
    )


@contextmanager
def _partial_unwarned() -> Iterator[None]:
    """No warnings of layers that keep a float softmax: the report says it."""
    from exaq.torch import PartialModelWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PartialModelWarning)
        yield


def _load(name: str, texts: Texts) -> Task:
    from exaq_eval import tasks
    from exaq_eval.models import ModelError

    with staged(name, console=_CONSOLE, transient=True) as told:
        told(0, 1, "reading the model and its texts")
        try:
            return tasks.load(name, texts.count, partial=texts.partial, tokens=texts.tokens)
        except ModelError as error:
            raise UserError(str(error)) from error


def _run_model(
    name: str,
    task: Task,
    settings: list[Setting],
    choice: Choice,
    folder: Path,
    reports: Path | None,
    remote: Remote | None,
) -> None:
    from exaq.torch import set_tables
    from exaq_eval.evaluation import evaluate
    from exaq_eval.models import ModelError
    from exaq_eval.parts import Parts
    from exaq_eval.remote import identity
    from exaq_eval.reports.picture import draw
    from exaq_eval.reports.report import file_stem, load, markdown, merge, to_json
    from exaq_eval.scale import best_scale

    given = {s.name: choice.given[s.title] for s in settings if s.rule == "file"}
    for tables in given.values():
        with user_errors():
            set_tables(task.model, tables)
    made = [setting for setting in settings if setting.texts]
    stem = file_stem(task.name, choice.logit_format.logit_width, task.describe().get("window"))
    targets = [made_folder(folder) / f"{stem}{suffix}" for suffix in (".json", ".md", ".png")]
    targets += [folder / f"{stem}.{setting.slug}.tables.json" for setting in made]
    kept = None if reports is None else made_folder(reports) / f"{stem}.json"
    before = None
    if kept is not None and kept.exists():
        with user_errors():
            before = load(kept)
    with replacing(*targets, *([kept] if kept else [])) as (json_file, text_file, picture, *others):
        logit_format = choice.logit_format
        with staged(task.name, console=_CONSOLE) as told:
            try:
                if choice.choose_scale:
                    few = task.calibration[: min(task.calibration_counts.values())]
                    scale = best_scale(task, few, logit_format, told)
                    logit_format = dataclasses.replace(logit_format, logit_scale=scale)
                parts = Parts(folder / f"{stem}.parts", identity(task), logit_format, given)
                foretell = partial(
                    evaluation_plan.foretell, task, settings, parts, remote, _CONSOLE
                )
                result = evaluate(
                    task,
                    settings,
                    logit_format,
                    given=given,
                    progress=told,
                    remote=remote,
                    parts=parts,
                    foresee=foretell,
                )
            except ModelError as error:
                raise UserError(str(error)) from error
        report = result.report | {"commands": [_command(name)]}
        json_file.write_text(to_json(report), encoding="utf-8")
        text_file.write_text(f"# {task.name}\n\n{markdown(report)}", encoding="utf-8")
        draw(report, picture)
        for setting, path in zip(made, others, strict=False):
            result.tables[setting.name].save(path)
        if kept:
            joined = merge(before, report) if before else report
            others[-1].write_text(to_json(joined), encoding="utf-8")
    parts.remove(settings)
    for line in _lines(report):
        click.echo(line)
    click.echo(f"Written: {targets[0]}, .md, .png" + (f", {len(made)} tables" if made else ""))


def run_studies(names: Sequence[str], quick: bool, folder: Path, reports: Path | None) -> None:
    """Run each study and write its figures, its section and its picture."""
    from exaq_eval.studies import STUDIES, StudyError
    from exaq_eval.studies.accuracy_page import has_plot, study_stem

    for name in names:
        if name not in STUDIES:
            raise UserError(f"unknown study {name!r}; there are {', '.join(STUDIES)}")
    for name in names:
        study = type(STUDIES[name]).quick() if quick else STUDIES[name]
        stem = study_stem(study)
        targets = [made_folder(folder) / f"{stem}.json", folder / f"{stem}.md"]
        targets += [made_folder(reports) / f"{stem}.json"] if reports is not None else []
        targets += [folder / f"{stem}.png"] if has_plot(study) else []
        with replacing(*targets) as (json_file, text_file, *others):
            with staged(name, console=_CONSOLE) as told:
                try:
                    result = study.run(told)
                except StudyError as error:
                    raise UserError(str(error)) from error
            text = json.dumps(result, indent=1, allow_nan=False) + "\n"
            text_file.write_text(study.markdown(result), encoding="utf-8")
            for path in (json_file, *others):
                if path.suffix == ".png":
                    study.plot(result, path)
                else:
                    path.write_text(text, encoding="utf-8")
        click.echo(study.markdown(result))
        click.echo(f"Written: {', '.join(map(str, targets))}")


def make_docs(folder: Path, reports: Path) -> None:
    """Write accuracy.md, and what kernels.md has measured where there is one, with pictures."""
    from exaq_eval.studies import accuracy_page, kernels_page

    if not reports.is_dir():
        raise UserError(f"cannot read {reports}: no such folder")
    pages = [folder / "accuracy.md"]
    with user_errors():
        stems = accuracy_page.pictures(reports)
    targets = [made_folder(folder / "accuracy") / f"{stem}.png" for stem in stems]
    kernels = folder / "kernels.md"
    if kernels.is_file() and kernels_page.report_of(reports).is_file():
        pages.append(kernels)
        targets += [kernels, kernels.with_suffix(".png")]
    with replacing(pages[0], *targets) as (text_file, *drawn):
        with user_errors():
            pictures = dict(zip(stems, drawn, strict=False))
            text = accuracy_page.make(reports, pictures.__getitem__)
            if len(pages) > 1:
                *_, filled, picture = drawn
                before = kernels.read_text(encoding="utf-8")
                filled.write_text(kernels_page.fill(before, reports, picture), encoding="utf-8")
        text_file.write_text(text, encoding="utf-8")
    drawings = len(targets) - len(pages) + 1
    click.echo(f"Written: {', '.join(map(str, pages))}, {drawings} pictures")


def _command(model: str) -> str:
    """The command line that measures this model alone again."""
    context = click.get_current_context()
    words = ["exaq", "evaluate", model]
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in _PLACES or not isinstance(parameter, click.Option):
            continue
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            value = context.params[name]
            for each in value if isinstance(value, tuple) else (value,):
                words += [parameter.opts[0], *([] if parameter.is_flag else [str(each)])]
    return shlex.join(words)


def _lines(report: dict[str, Any]) -> Iterator[str]:
    """Task figures and divergence of each setting, in columns."""
    wide = max(len(setting["name"]) for setting in report["settings"])
    for setting in report["settings"]:
        task = setting["task"]
        if report["model"]["kind"] == "encoder":
            figures = f"cosine {task['cosine_mean']:.4f}, least {task['cosine_min']:.4f}"
        else:
            figures = (
                f"loss {task['loss']:.4f} nats, {task['increase']:+.4f}; "
                f"perplexity {task['perplexity']:.3f}"
            )
        if "attention" in setting:
            figures += f"; KL {setting['attention']['kl']:.2e} nats a row"
        yield f"{setting['name']:{wide}}  {figures}"
