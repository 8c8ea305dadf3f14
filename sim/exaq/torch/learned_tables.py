"""Tables that learn: thresholds and exponentials of a model's softmax as parameters of PyTorch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from exaq.config import SoftmaxConfig
from exaq.scalars import real
from exaq.table_file import TableFile
from exaq.torch import tensor_softmax
from exaq.torch.learned_softmax import learned_softmax

#: Half a window around a threshold, in real logit units, unless said otherwise.
WINDOW = 0.25

# An exponential of 0 begins at this, which rounds to it, so that it can grow.
_NEARLY_NONE = 0.25


class LearnedTables(nn.Module):
    """The tables of a model's attention as parameters; ``exaq.torch.learn_tables`` makes them.

    What a layer computes is the unit's softmax with the integers of ``tables()``, bit for bit.
    Gradients pass the rounding to these integers as if it were not there.

    Members
    -------
    thresholds
        Parameter (sets, K - 1), float64: where codes begin, in real logit units relative to the
        row's maximum. In any order; the tables have them sorted, and none above 0.
    levels
        Parameter (sets, K - 1), float64: ln(E_k / E_(K-1)), for every exponential but the last.
        That one keeps its value, since only the ratios of exponentials count.
    file
        The tables they began as.
    window
        Half a window around a threshold, in logit steps.
    """

    thresholds: nn.Parameter
    levels: nn.Parameter
    _last: Tensor

    def __init__(self, file: TableFile, window: float = WINDOW, **changes: Any) -> None:
        """Begin as ``file``.

        Parameters
        ----------
        file
            Its sets get parameters, in their order.
        window
            Half a window around a threshold, in real logit units, above 0: elements within it say
            where the threshold should move. It is rounded to steps, at least one.
        changes
            Further fields of ``SoftmaxConfig``.
        """
        super().__init__()
        width = float(real("window", window))
        if width <= 0:
            raise ValueError(f"window must be above 0, not {width!r}")
        scale = float(file.logit_scale)
        self.file = file
        self.window = max(round(width / scale), 1)
        self._changes = changes
        each = [entry.tables for entry in file.sets]
        # In float64: so the first tables are the very integers of the file, however wide they are.
        rom = torch.tensor([tables.exp_rom for tables in each], dtype=torch.float64)
        logs = rom.clamp(min=_NEARLY_NONE).log()
        steps = [[*map(float, tables.thresholds)] for tables in each]
        self.register_buffer("_last", logs[:, -1:].clone())
        self.thresholds = nn.Parameter(torch.tensor(steps, dtype=torch.float64) * scale)
        self.levels = nn.Parameter(logs[:, :-1] - logs[:, -1:])
        self._integers: tuple[Tensor, Tensor] | None = None
        self._tables = file
        self._units: dict[tuple[int, int], tuple[SoftmaxConfig, list[int], bool]] = {}

    @torch.no_grad()
    def tables(self) -> TableFile:
        """The tables as they are now, in integers: a file of the sets of ``file``.

        Provenance says that they were learned, and from what.

        Raises
        ------
        ValueError
            A parameter is not finite.
        """
        real_steps, real_rom = self._tables_before_rounding()
        for name, values in (("thresholds", real_steps), ("levels", real_rom)):
            if not torch.isfinite(values).all():
                raise ValueError(f"learned {name} must be finite: the training has diverged")
        steps = real_steps.round().clamp(max=0).long().cpu()
        rom = real_rom.round().clamp(max=2 ** (self.file.exp_frac + 1) - 1).long().cpu()
        integers = steps, rom
        if self._integers is None or not all(map(torch.equal, self._integers, integers)):
            self._tables, self._integers, self._units = self._file(*integers), integers, {}
        return self._tables

    def unit(self, layer: int, heads: int) -> tuple[SoftmaxConfig, list[int], bool]:
        """A layer's configuration, the sets it goes by, and whether its contexts are the heads.

        Sets are places in ``file.sets``: that of each head, or the single one that all share.
        ValueError where there is no set for the layer.
        """
        tables = self.tables()
        if (layer, heads) not in self._units:
            names = [tables.of(layer, head).name for head in range(heads)]
            place = {entry.name: number for number, entry in enumerate(tables.sets)}
            by_head = len(set(names)) > 1
            if by_head:
                config = tables.config_of([*map(tables.find, names)], **self._changes)
            else:
                config, names = tables.config(names[0], **self._changes), names[:1]
            self._units[layer, heads] = config, [place[name] for name in names], by_head
        return self._units[layer, heads]

    def softmax(
        self, layer: int, scores: Tensor, mask: Tensor | None = None, sink: Tensor | None = None
    ) -> Tensor:
        """Probabilities of a layer's scores, with gradients to these, to sinks and to parameters.

        Parameters
        ----------
        layer
            Its number.
        scores
            Real scores (batch, heads, queries, keys).
        mask, sink
            As for ``exaq.torch.softmax``.

        Returns
        -------
        Tensor
            As ``exaq.torch.softmax`` of the layer's tables.
        """
        config, sets, by_head = self.unit(layer, scores.shape[1])
        heads = torch.arange(scores.shape[1], device=scores.device)[:, None] if by_head else None
        if not torch.is_grad_enabled():
            return tensor_softmax.softmax(scores, config, mask, heads, sink=sink)
        steps, rom = (each[sets] for each in self._tables_before_rounding())
        return learned_softmax(scores, config, mask, heads, sink, (steps, rom, self.window))

    def _tables_before_rounding(self) -> tuple[Tensor, Tensor]:
        """Thresholds in logit steps, ascending, and exponentials in steps of theirs."""
        steps = self.thresholds.sort(dim=-1).values / float(self.file.logit_scale)
        levels = torch.cat([self.levels, torch.zeros_like(self._last)], dim=-1)
        return steps, (levels + self._last).exp()

    def _file(self, steps: Tensor, rom: Tensor) -> TableFile:
        sets = [
            replace(
                entry,
                tables=replace(
                    entry.tables, thresholds=tuple(thresholds), exp_rom=tuple(exponentials)
                ),
                clip=None,
                statistics={},
            )
            for entry, thresholds, exponentials in zip(
                self.file.sets, steps.tolist(), rom.tolist(), strict=True
            )
        ]
        provenance = {"rule": "learned", "from": dict(self.file.provenance)}
        return replace(self.file, sets=tuple(sets), provenance=provenance)
