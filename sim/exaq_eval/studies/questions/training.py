"""Training: what of the cost of few bits comes back where weights or tables learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import exaq
from exaq_eval.progress import Progress, silent
from exaq_eval.reports.figures import rounded
from exaq_eval.settings import LogitFormat
from exaq_eval.studies.questions import training_text
from exaq_eval.studies.study import Study, StudyError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from exaq import TableFile
    from exaq_eval.models import EvaluationModel
    from exaq_eval.studies.subjects.trained import Trained

#: What learns in a fine-tuning, by name: weights, tables.
TUNINGS: dict[str, tuple[bool, bool]] = {
    "weights": (True, False),
    "tables": (False, True),
    "both": (True, True),
}


@dataclass(frozen=True, kw_only=True)
class Training(Study):
    """The built-in decoder, trained further and trained anew, with a softmax of few bits.

    Parameters
    ----------
    bits
        Width of a code.
    steps, scratch_steps
        Optimizer steps of a fine-tuning, and of a training from the beginning.
    windows
        Of held-out text, to measure losses on.
    calibrated
        Windows of training text that the first tables are calibrated on.
    rate, table_rate
        Learning rates of a fine-tuning: of weights, and of tables. From the beginning weights
        learn as fast as in the decoder's own training.
    seed
        Of the choice of windows to train on.
    """

    name: ClassVar[str] = "training"
    title: ClassVar[str] = "Training with few bits"
    question: ClassVar[str] = (
        "How much of what few bits cost a model does training bring back, of its weights, of its "
        "tables, or of both?"
    )

    bits: int = 2
    steps: int = 200
    scratch_steps: int = 150
    windows: int = 64
    calibrated: int = 16
    rate: float = 2e-4
    table_rate: float = 0.03
    seed: int = 1

    @classmethod
    def quick(cls) -> Self:
        return cls(steps=2, scratch_steps=2, windows=2, calibrated=1)

    def run(self, progress: Progress = silent) -> dict[str, Any]:
        # First of all: its message names the extra where PyTorch is missing.
        import_module("exaq.torch")
        from exaq_eval.models import ModelError
        from exaq_eval.studies.subjects import trained

        try:
            subject = self.subject()
        except ModelError as error:
            raise StudyError(str(error)) from error
        held_out = subject.windows(self.windows)
        text = subject.tokenizer(subject.calibration[0])
        progress(0, 1, "calibrating")
        tables = self._calibrate(subject)

        done, total = 0, (1 + len(TUNINGS)) * self.steps + 3 * self.scratch_steps

        def told(now: str) -> Callable[[int, int, float], None]:
            return lambda step, steps, loss: progress(done + step, total, now)

        def fitted(model: PreTrainedModel, what: str, steps: int, **rates: Any) -> Trained:
            nonlocal done
            found = trained.train(
                model,
                text,
                held_out,
                steps=steps,
                seed=self.seed,
                prob_bits=LogitFormat().prob_bits,
                progress=told(what),
                **rates,
            )
            done += steps
            return found

        exact = trained.losses(subject.model, held_out)
        rows = [_row("float", exact, exact)]
        exaq.torch.set_tables(subject.model, tables, prob_bits=LogitFormat().prob_bits)
        rows.append(_row("calibrated", trained.losses(subject.model, held_out), exact))
        exaq.torch.set_tables(subject.model, None)

        base = fitted(trained.copy(subject.model), "float, tuned", self.steps, rate=self.rate)
        tuned = [_row("float", base.losses, exact, base.losses) | base.described()]
        for name, (weights, learns) in TUNINGS.items():
            found = fitted(
                trained.copy(subject.model),
                f"{self.bits} bits, {name}",
                self.steps,
                tables=tables,
                rate=self.rate if weights else None,
                table_rate=self.table_rate if learns else None,
            )
            tuned.append(_row(name, found.losses, exact, base.losses) | found.described())
        return rounded(
            {
                "model": {
                    "name": subject.name,
                    "weights": sum(each.numel() for each in subject.model.parameters()),
                    "context": subject.max_tokens,
                },
                "bits": self.bits,
                "steps": self.steps,
                "batch": trained.BATCH,
                "rates": {"weights": self.rate, "tables": self.table_rate},
                "threads": trained.threads(),
                "held_out": {"windows": self.windows, "tokens": int(held_out[:, 1:].numel())},
                "calibrated": self.calibrated,
                "rows": rows,
                "tuned": tuned,
                "scratch_steps": self.scratch_steps,
                "scratch": list(self._scratch(subject, fitted)),
            }
        )

    def subject(self) -> EvaluationModel:
        """The model that is trained; ModelError where it is missing."""
        from exaq_eval.models import tiny_decoder

        return tiny_decoder()

    def _calibrate(self, subject: EvaluationModel) -> TableFile:
        import torch

        with exaq.torch.record(subject.model) as recording, torch.no_grad():
            for window in subject.windows(self.calibrated, calibration=True):
                subject.model(input_ids=window[None, :-1], use_cache=False)
        form = LogitFormat()
        return exaq.calibrate(
            recording.layers,
            bits=self.bits,
            per="head",
            logit_width=form.logit_width,
            logit_scale=form.logit_scale,
            exp_frac=form.exp_frac,
        )

    def _scratch(
        self, subject: EvaluationModel, fitted: Callable[..., Trained]
    ) -> Iterator[dict[str, Any]]:
        """Trainings from the beginning, float first; the others begin with the default clip."""
        from exaq_eval.models import character_decoder
        from exaq_eval.studies.subjects import trained

        form = LogitFormat()
        start = exaq.SoftmaxConfig(
            bits=self.bits,
            logit_width=form.logit_width,
            logit_scale=form.logit_scale,
            exp_frac=form.exp_frac,
            prob_bits=form.prob_bits,
        )
        exact = None
        for name, tables, learns in (
            ("float", None, False),
            ("fixed tables", start, False),
            ("tables that learn", start, True),
        ):
            found = fitted(
                trained.anew(subject.model),
                f"from the beginning, {name}",
                self.scratch_steps,
                tables=tables,
                rate=character_decoder.RATE,
                table_rate=self.table_rate if learns else None,
            )
            exact = found.losses if exact is None else exact
            yield _row(name, found.losses, exact) | found.described()

    def body(self, result: dict[str, Any]) -> list[str]:
        return training_text.body(result)

    def plot(self, result: dict[str, Any], path: Path) -> Path:
        return training_text.plot(result, path)


def _row(name: str, losses: Any, exact: Any, tuned: Any = None) -> dict[str, Any]:
    """A model's loss, and how much it is above that of the float model, and of the tuned one."""
    from exaq_eval.measures.scores import loss_scores

    found = loss_scores(exact, losses)
    row = {
        "name": name,
        "loss": found["loss"],
        "increase": found["increase"],
        "increase_error": found["increase_error"],
    }
    if tuned is not None:
        beside = loss_scores(tuned, losses)
        row |= {"beside": beside["increase"], "beside_error": beside["increase_error"]}
    return row
