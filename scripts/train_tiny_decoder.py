#!/usr/bin/env python3
"""Train the small decoder that evaluations use and keep it in the cache: about ten minutes."""

from __future__ import annotations

import sys

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from exaq_cli.errors import UserError
from exaq_cli.exit_codes import run_program


@click.command
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    help="Optimizer steps; fewer give a worse model sooner.  [default: those of a full training]",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1, max=2),
    default=1,
    show_default=True,
    help="Threads that compute.",
)
@click.option("--again", is_flag=True, help="Train even if the cache holds a decoder.")
def command(steps: int | None, threads: int, again: bool) -> None:
    """Train a character-level decoder on Python's standard library, into the cache.

    The cache is $EXAQ_CACHE, else exaq in $XDG_CACHE_HOME or ~/.cache.
    """
    try:
        import torch

        from exaq_eval.models import character_decoder as decoder
    except ImportError as error:
        raise UserError(str(error)) from error
    target = decoder.folder()
    console = Console()
    if (target / "model.safetensors").is_file() and not again:
        console.print(f"{target} holds a decoder already; --again trains it anew")
        return
    try:
        # Now rather than after ten minutes.
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {target}: {error.strerror}") from error
    torch.set_num_threads(threads)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps, loss {task.fields[loss]:.3f} nats"),
        TimeRemainingColumn(),
        console=console,
    ) as progress:
        task = progress.add_task("decoder", total=steps or decoder.STEPS, loss=float("nan"))
        mean: list[float] = []

        def advance(done: int, total: int, loss: float) -> None:
            mean.append(loss)
            del mean[:-50]
            progress.update(task, completed=done, loss=sum(mean) / len(mean))

        model, figures = decoder.train(steps or decoder.STEPS, advance)
    decoder.save(model, figures, target)
    console.print(
        f"validation loss {figures['validation_loss']:.3f} nats a character, "
        f"training {figures['training_loss']:.3f}, "
        f"{figures['processor_seconds'] / 60:.1f} minutes of processor time, in {target}"
    )


if __name__ == "__main__":
    run_program(command, "train_tiny_decoder", sys.argv[1:])
