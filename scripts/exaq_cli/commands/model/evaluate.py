"""``exaq evaluate``: what softmax of few bits costs on a model, and the studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from exaq.tables import PAPER_BITS
from exaq_cli.errors import UserError
from exaq_cli.files import load_tables
from exaq_cli.workers import scheduler_option
from exaq_eval.settings import (
    BITS,
    CLIPPED,
    DEFAULT_BITS,
    DEFAULT_OBJECTIVES,
    GRANULARITIES,
    OBJECTIVES,
    RULES,
    LogitFormat,
)

#: Models that are built in, and those of them that are evaluated where none is named: small ones.
BUILT_IN = ("minilm", "decoder", "smollm2")
DEFAULT = BUILT_IN[:2]

_PATH = click.Path(path_type=Path)
_DEFAULT = LogitFormat()


def _scale(ctx: click.Context, parameter: click.Parameter, text: str | None) -> float | str | None:
    if text in (None, "auto"):
        return text
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither a number nor auto") from None


@click.command(name="evaluate")
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.option(
    "--rule",
    "rules",
    multiple=True,
    type=click.Choice(RULES[1:]),
    help="Rules of calibration; dynamic: none, each call is clipped by its own logits; "
    "repeatable.  [default: all]",
)
@click.option(
    "--bits",
    multiple=True,
    type=click.Choice([str(bits) for bits in BITS]),
    help=f"Widths of a code; repeatable.  [default: {', '.join(map(str, DEFAULT_BITS))}]",
)
@click.option(
    "--per",
    multiple=True,
    type=click.Choice(GRANULARITIES),
    help="What gets tables of its own; repeatable.  [default: both]",
)
@click.option(
    "--minimise",
    multiple=True,
    type=click.Choice(OBJECTIVES),
    help="Error that the rule optimal minimises: of the probabilities (mse, kl), of the "
    "attention's output, of its block's output behind the projection, or of the loss to first "
    "order (decoders only); with -levels by clip and exponentials alone, not by free thresholds; "
    "with -sequential on what the layers before give with their tables; tuned: those of block, or "
    "for a decoder mse, moved along the gradient of the model's output; repeatable.  "
    f"[default: {', '.join(DEFAULT_OBJECTIVES)}]",
)
@click.option(
    "--tables",
    "files",
    metavar="FILE",
    multiple=True,
    type=_PATH,
    help="Tables from a file, instead of calibrating; repeatable.",
)
@click.option(
    "--logit-width",
    type=int,
    help=f"Width of a logit, a signed integer.  [default: {_DEFAULT.logit_width}]",
)
@click.option(
    "--logit-scale",
    callback=_scale,
    help="Real value of one logit step; auto: the power of two that changes the softmax least.  "
    f"[default: {_DEFAULT.logit_scale}]",
)
@click.option(
    "--exp-frac",
    type=int,
    help=f"Fraction bits of a tabulated exponential.  [default: {_DEFAULT.exp_frac}]",
)
@click.option(
    "--prob-bits",
    type=int,
    help=f"Width of a probability.  [default: {_DEFAULT.prob_bits}]",
)
@click.option(
    "--texts",
    type=click.IntRange(2),
    help="Evaluate on so many texts only, for a first look.  [default: encoders, 60 docstrings; "
    "decoders, 64 windows, and from 50 M weights on 16]",
)
@click.option(
    "--tokens",
    type=click.IntRange(1),
    help="Length of a decoder's windows.  [default: 256, and from 50 M weights on 512]",
)
@click.option(
    "--calibration-texts",
    type=click.IntRange(1),
    help="Calibrate on so many texts.  "
    "[default: encoders, 12 per layer and 36 per head; decoders, 16 windows, and from 50 M weights "
    "on 4]",
)
@click.option(
    "--partial",
    is_flag=True,
    help="Take models of which some attention layers keep a float softmax of their own.",
)
@click.option(
    "--out",
    metavar="DIR",
    type=_PATH,
    help="Folder for what is written; made if missing.  "
    "[default: build/evaluate; with --docs: docs]",
)
@click.option(
    "--reports",
    metavar="DIR",
    type=_PATH,
    help="Put the JSON into this folder too, joined with the settings that an earlier run of the "
    "same model and format put there; with --docs: read it from there.  "
    "[default with --docs: reports/accuracy]",
)
@click.option(
    "--study",
    "--experiment",
    "studies",
    metavar="NAME",
    multiple=True,
    help="Run a study of a question of the paper instead; repeatable. An unknown name lists them.",
)
@click.option("--quick", is_flag=True, help="Studies at sizes that take seconds.")
@click.option(
    "--docs",
    is_flag=True,
    help="Make accuracy.md, what kernels.md has measured, and their pictures, from reports.",
)
@scheduler_option(
    "Measure settings at the same time",
    " A model's folder must be at the same path for every worker. Each has as many threads as this "
    "process: OMP_NUM_THREADS=1 in front of the command makes it one.",
)
def command(
    models: tuple[str, ...],
    rules: tuple[str, ...],
    bits: tuple[str, ...],
    per: tuple[str, ...],
    minimise: tuple[str, ...],
    files: tuple[Path, ...],
    logit_width: int | None,
    logit_scale: float | str | None,
    exp_frac: int | None,
    prob_bits: int | None,
    texts: int | None,
    tokens: int | None,
    calibration_texts: int | None,
    partial: bool,
    out: Path | None,
    reports: Path | None,
    studies: tuple[str, ...],
    quick: bool,
    docs: bool,
    scheduler: str | None,
) -> None:
    """Measure what softmax of few bits costs on a model.

    MODEL is minilm (an encoder), decoder (a small one that scripts/train_tiny_decoder.py trains),
    smollm2 (a language model of 135 M weights), or the folder of a Transformers model; none:
    minilm and decoder, which are small. Tables are calibrated on the
    model's attention logits by each rule, width and granularity, and the model runs its task with
    each: embeddings of texts, or prediction of the next token. Written for each model: figures as
    JSON, the same as Markdown, a picture, and the tables. What is finished is kept beside them,
    so a run that was interrupted goes on where it stopped.

    \b
    exaq evaluate minilm
    exaq evaluate decoder --bits 2 --rule optimal --per head
    exaq evaluate minilm --logit-width 8 --logit-scale auto
    exaq evaluate my_model --bits 2 --rule paper
    exaq evaluate my_model --tables tables.json
    exaq evaluate --study clip
    exaq evaluate --docs
    """
    from exaq_cli.commands.model import evaluate_models

    calibrating: dict[str, Any] = {
        "--rule": rules,
        "--bits": bits,
        "--per": per,
        "--minimise": minimise,
        "--calibration-texts": calibration_texts,
    }
    formats: dict[str, Any] = {
        "--logit-width": logit_width,
        "--logit-scale": logit_scale,
        "--exp-frac": exp_frac,
    }
    of_models = formats | calibrating | {"--prob-bits": prob_bits, "--texts": texts}
    of_models |= {"--tokens": tokens}
    of_models |= {"--partial": partial, "--tables": files, "MODEL": models}
    of_models |= {"--scheduler": scheduler}
    if docs:
        _refuse("--docs", of_models | {"--study": studies, "--quick": quick})
        evaluate_models.make_docs(out or Path("docs"), reports or Path("reports/accuracy"))
        return
    folder = out or Path("build/evaluate")
    if studies:
        _refuse("--study", of_models)
        evaluate_models.run_studies(studies, quick, folder, reports)
        return
    if quick:
        raise UserError("--quick is for studies; for a first look at a model give --texts")
    if files:
        _refuse("--tables", calibrating)
    for model in models:
        if model not in BUILT_IN and not Path(model).is_dir():
            raise UserError(f"{model} is none of {', '.join(BUILT_IN)}, and no folder")
    wide = [each for each in bits if int(each) not in PAPER_BITS]
    for rule in CLIPPED:
        if rule in rules and wide:
            raise UserError(f"the rule {rule} is for 2 to 4 bits, not for {wide[0]}")
    given = {str(path): load_tables(path) for path in files}
    choice = evaluate_models.Choice(
        rules=rules or RULES,
        bits=tuple(map(int, bits)) or DEFAULT_BITS,
        per=per or GRANULARITIES,
        minimise=minimise or DEFAULT_OBJECTIVES,
        calibration_texts=calibration_texts,
        given=given,
        logit_format=evaluate_models.settle_format(given, formats, prob_bits),
        choose_scale=logit_scale == "auto",
    )
    chosen = evaluate_models.Texts(count=texts, tokens=tokens, partial=partial)
    evaluate_models.run_models(models or DEFAULT, chosen, choice, folder, reports, scheduler)


def _refuse(option: str, others: dict[str, Any]) -> None:
    """Refuse ``option`` beside any of ``others``, by name, that was given."""
    for name, value in others.items():
        if value not in (None, (), False):
            raise UserError(f"{option} takes no {name}")
