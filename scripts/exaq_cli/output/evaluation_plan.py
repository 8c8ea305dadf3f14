"""What ``exaq evaluate`` is going to do with a model, and for how long, before it does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from exaq_cli.output.progress import duration
from exaq_eval.settings import Setting

if TYPE_CHECKING:
    from exaq_eval.estimate import Estimate
    from exaq_eval.parts import Parts
    from exaq_eval.remote import Remote
    from exaq_eval.tasks import Task


def foretell(
    task: Task,
    settings: Sequence[Setting],
    parts: Parts,
    remote: Remote | None,
    console: Console,
    foreseen: Estimate,
) -> None:
    """Print it to ``console``, above any bar: a line each, with the model's name in front.

    Lines are about model, texts and settings; about what an earlier run has left, if anything; and
    about the steps to do and the time that they take.
    """
    for line in (_plan(task, settings), *_reused(settings, parts), _foreseen(foreseen, remote)):
        console.print(f"{task.name}: {line}", markup=False, highlight=False, soft_wrap=True)


def _plan(task: Task, settings: Sequence[Setting]) -> str:
    """What will be measured: model, texts and settings."""
    from exaq.torch import attention_layers

    weights = sum(weight.numel() for weight in task.model.parameters())
    made = sum(bool(setting.texts) for setting in settings)
    most = max((setting.texts for setting in settings), default=0)
    tables = f", {made} of them with tables from {most} texts or less" if made else ""
    return (
        f"{type(task.model).__name__}, {weights:,} weights, "
        f"{len(attention_layers(task.model))} attention layers; {len(task.texts)} texts, "
        f"{task.tokens:,} tokens; {len(settings)} settings{tables}"
    )


def _foreseen(foreseen: Estimate, remote: Remote | None) -> str:
    """What there is to do, and about how long it takes."""
    steps = [
        (foreseen.recorded, "texts to record"),
        (foreseen.calibrated, "calibrations"),
        (foreseen.run, "texts to run"),
        (foreseen.compared, "texts to compare attention on"),
    ]
    words = ", ".join(f"{count:,} {what}" for count, what in steps if count) or "nothing to do"
    where = "" if remote is None else " of one process"
    return f"{words}: about {duration(max(foreseen.seconds, 1))}{where}"


def _reused(settings: Sequence[Setting], parts: Parts) -> Iterator[str]:
    """A line that says what an earlier run has left, if anything."""
    found = [parts.of(setting) for setting in settings]
    tables = sum(part.tables() is not None for part in found)
    run = sum(0 if (rows := part.output()) is None else len(rows) for part in found)
    compared = sum(part.attention().get("texts", 0) for part in found)
    steps = (("settings calibrated", tables), ("texts run", run), ("compared", compared))
    words = ", ".join(f"{what}: {count:,}" for what, count in steps if count)
    if words:
        yield f"goes on where an earlier run stopped; {words}"
