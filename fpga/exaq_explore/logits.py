"""The logits that a unit is to be right on: their step, tables for them, and a unit's error.

>>> logits = Gaussian(sigma=2.0, row=128)
>>> logits.scale(8)
0.125

Methods that take long are run by workers, far away perhaps: they take and give plain values.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import exaq
from exaq import SoftmaxConfig, TableFile, reference
from exaq_eval.studies.subjects.kernel_variants import fitting_step, given, of_probabilities

#: Elements of all Gaussian rows, about, and how many rows there are at least.
_ELEMENTS, _ROWS = 200_000, 64
#: A model's texts that scales and tables come from.
_CALIBRATION = 4
# A worker may have several threads, but one model, of which one at a time sets the softmax.
_ALONE = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Logits(ABC):
    """Logits of one kind.

    Members
    -------
    error_name, error_title
        The figure that is an error, as ``error`` has it, and what tables and plots call it.
    """

    kind: ClassVar[str]
    error_name: ClassVar[str]
    error_title: ClassVar[str]

    @abstractmethod
    def scale(self, logit_width: int) -> float:
        """The step, a power of two, that suits logits of so many bits."""

    @abstractmethod
    def tables(self, bits: int, logit_width: int, logit_scale: float) -> dict[str, Any]:
        """One set of tables for codes of ``bits``, calibrated: a ``TableFile`` as plain values."""

    @abstractmethod
    def error(self, config: dict[str, Any]) -> dict[str, float]:
        """How far the unit with that configuration is from float softmax: 0 under ``error_name``
        were none at all.
        """

    def to_dict(self) -> dict[str, Any]:
        """Plain values that tell what logits these are."""
        return {"kind": self.kind} | asdict(self)


@dataclass(frozen=True, kw_only=True)
class Gaussian(Logits):
    """Rows of normally distributed logits; the error is the divergence from float64 softmax.

    Parameters
    ----------
    sigma
        Their standard deviation, in real units.
    row
        Elements of a row.
    seed
        Of the rows that errors are measured on; tables are calibrated on others.
    """

    kind: ClassVar[str] = "gaussian"
    error_name: ClassVar[str] = "kl"
    error_title: ClassVar[str] = "KL in nats"

    sigma: float
    row: int
    seed: int = 1

    def scale(self, logit_width: int) -> float:
        """The least with which logits reach to five sigma on both sides."""
        return fitting_step(self.sigma, logit_width)

    def tables(self, bits: int, logit_width: int, logit_scale: float) -> dict[str, Any]:
        tables = exaq.calibrate(
            [self._rows(calibration=True)],
            bits=bits,
            logit_width=logit_width,
            logit_scale=logit_scale,
            minimise="kl",
            per="all",
        )
        return tables.to_dict()

    def error(self, config: dict[str, Any]) -> dict[str, float]:
        unit = SoftmaxConfig.from_dict(config)
        logits = self._rows()
        integers = exaq.logits_to_integers(logits, unit)
        return {"kl": given(integers, unit).kl(reference.softmax(logits))}

    def _rows(self, *, calibration: bool = False) -> NDArray[np.float64]:
        random = np.random.default_rng((self.seed, self.row, int(calibration)))
        return random.normal(0, self.sigma, (max(_ROWS, _ELEMENTS // self.row), self.row))


@dataclass(frozen=True, kw_only=True)
class Model(Logits):
    """The attention logits of an encoder; the error is how far embeddings turn.

    Parameters
    ----------
    name
        As ``exaq_eval.tasks.load`` takes it.
    texts
        Texts whose embeddings are compared; the first ones are those of calibration too.
    identity
        What tells one state of a model's folder from another; see ``of``.
    """

    kind: ClassVar[str] = "model"
    error_name: ClassVar[str] = "error"
    error_title: ClassVar[str] = "1 - cosine"

    name: str
    texts: int = 10
    identity: str = ""

    @classmethod
    def of(cls, name: str, texts: int = 10) -> Model:
        """The model, its folder as it is now.

        Raises
        ------
        exaq_eval.models.ModelError
            The model is missing or cannot be evaluated.
        ValueError
            It gives no embeddings.
        """
        digest = hashlib.sha256()
        folder = Path(name)
        for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
            state = path.stat()
            digest.update(
                f"{path.relative_to(folder)} {state.st_size} {state.st_mtime_ns}".encode()
            )
        model = cls(name=name, texts=texts, identity=digest.hexdigest()[:16])
        if model._loaded().task.kind != "encoder":
            raise ValueError(f"{name} gives no embeddings whose cosine could be measured")
        return model

    def scale(self, logit_width: int) -> float:
        from exaq_eval.scale import best_scale
        from exaq_eval.settings import LogitFormat

        form = LogitFormat(logit_width=logit_width)
        with _ALONE:
            task = self._loaded().task
            return best_scale(task, task.calibration[:_CALIBRATION], form)

    def tables(self, bits: int, logit_width: int, logit_scale: float) -> dict[str, Any]:
        with _ALONE:
            recorded = self._loaded().recorded
        tables = exaq.calibrate(
            recorded,
            bits=bits,
            logit_width=logit_width,
            logit_scale=logit_scale,
            per="all",
        )
        return tables.to_dict()

    def error(self, config: dict[str, Any]) -> dict[str, float]:
        from exaq.torch import set_tables

        unit = of_probabilities(SoftmaxConfig.from_dict(config))
        with _ALONE:
            loaded = self._loaded()
            longest = max(map(len, loaded.task.texts))
            if unit.max_row < longest:
                most = -(-longest // unit.lanes) * unit.lanes
                unit = unit.replace(max_row=most, full_rate_row=None)
            try:
                set_tables(loaded.task.model, unit)
                outputs = loaded.task.outputs()
            finally:
                set_tables(loaded.task.model, None)
        scores = loaded.task.scores(loaded.exact, outputs, 0)
        return {"error": 1 - scores["cosine_mean"], "cosine": scores["cosine_mean"]}

    def _loaded(self) -> _Loaded:
        return _load(self.name, self.texts, self.identity)


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    """A model's task, its embeddings as they are in float, and its logits by layers."""

    task: Any
    exact: NDArray[np.float64]
    recorded: list[Any]


@functools.lru_cache(maxsize=1)
def _load(name: str, texts: int, identity: str) -> _Loaded:
    """A process keeps the model it had last."""
    from exaq.torch import record
    from exaq_eval import tasks

    task = tasks.load(name, texts)
    with record(task.model) as recording:
        for text in task.calibration[:_CALIBRATION]:
            task.run(text)
    return _Loaded(task=task, exact=task.outputs(), recorded=list(recording.layers))


def tables_of(values: dict[str, Any]) -> exaq.Tables:
    """The one set of tables that ``Logits.tables`` gave."""
    (entry,) = TableFile.from_dict(values).sets
    return entry.tables
