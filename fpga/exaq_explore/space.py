"""Which units there are to choose from: kernels, and values of their settings.

>>> space = Space(kernels=("multiply",), choices={"lanes": (4,), "exponential": ("pwl4", "split")})
>>> [unit.name for unit in space.units()]
['multiply, exponential pwl4, lanes 4', 'multiply, exponential split, lanes 4']
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exaq import KERNELS, Exaq, SoftmaxConfig, StreamFormat
from exaq.kernels.baps import CODE_FORMATS
from exaq.kernels.lut import VARIANTS as LUTS
from exaq.kernels.multiply import EXPONENTIALS
from exaq.kernels.shift import VARIANTS as SHIFTS
from exaq.tables import MAX_BITS, MIN_BITS

_FORMAT = tuple(each.name for each in dataclasses.fields(StreamFormat) if each.init)
# What the logits decide, and what errors are not measured with.
_FIXED = {
    "logit_scale": "it follows from the logits",
    "clip": "tables are calibrated on the logits",
    "tables": "tables are calibrated on the logits",
    "context_tables": "tables are calibrated on the logits",
    "exp_frac": "tables are calibrated on the logits",
    "contexts": "one set of tables is calibrated",
    "sink": "the logits that are measured have none",
    "logit_format": "logits are integers",
    "masking": "it changes no probability of the rows that are measured",
    "window": "it changes no probability of the rows that are measured",
    "mask_value": "it changes no probability of the rows that are measured",
    "row_results": "it follows from output",
}
#: Values of every kernel's settings that are tried where none are chosen.
DEFAULTS: dict[str, tuple[Any, ...]] = {
    "lanes": (4, 16),
    "logit_width": (8,),
    "prob_bits": (16,),
    "output": ("probabilities",),
}
#: The same of a kernel's own settings.
KERNEL_DEFAULTS: dict[str, dict[str, tuple[Any, ...]]] = {
    "exaq": {"bits": tuple(range(MIN_BITS, MAX_BITS + 1))},
    "baps": {"probability_format": ("linear", "float"), "code_format": CODE_FORMATS},
    "multiply": {"exponential": EXPONENTIALS},
    "shift": {"variant": SHIFTS},
    "lut": {"variant": LUTS},
}
# Settings that a name leaves out where all units have the same.
_QUIET = ("logit_width", "prob_bits", "output")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Settings of a unit, but for those that follow from the logits.

    Members
    -------
    kernel
        Its name.
    settings
        Of the stream format and of the kernel; those that are not there have their defaults.
    name
        For people.
    """

    kernel: str
    settings: Mapping[str, Any]
    name: str

    def config(self, **logits: Any) -> SoftmaxConfig:
        """The configuration with the settings that follow from the logits."""
        return SoftmaxConfig(kernel=self.kernel, **self.settings, **logits)

    @property
    def logit_width(self) -> int:
        """Width of a logit."""
        return int(self.settings["logit_width"])

    @property
    def bits(self) -> int | None:
        """Width of a code where there are tables to calibrate; None: there are none."""
        return int(self.settings["bits"]) if self.kernel == Exaq.name else None


@dataclass(frozen=True, kw_only=True)
class Space:
    """All combinations of kernels and values of settings that a unit can have.

    Parameters
    ----------
    kernels
        Names.
    choices
        Values of settings, in place of ``DEFAULTS`` and ``KERNEL_DEFAULTS``; a kernel that does not
        have a setting goes without.
    max_row
        Longest row of every unit, in elements.

    Raises
    ------
    ValueError
        There is no such kernel or setting, a setting cannot be chosen, or no kernel has it.
    """

    kernels: Sequence[str] = tuple(KERNELS)
    choices: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    max_row: int = 1024

    def __post_init__(self) -> None:
        for kernel in self.kernels:
            if kernel not in KERNELS:
                raise ValueError(f"unknown kernel {kernel!r}; there are {', '.join(KERNELS)}")
        for name, values in self.choices.items():
            if why := _FIXED.get(name):
                raise ValueError(f"{name} cannot be varied: {why}")
            if name in {"kernel", "max_row"}:
                raise ValueError(f"{name} has an option of its own")
            owners = [k for k in KERNELS if name in (*_FORMAT, *KERNELS[k].setting_names())]
            if not owners:
                raise ValueError(f"unknown setting {name!r}")
            if not {*owners} & {*self.kernels}:
                raise ValueError(f"{name} is a setting of {', '.join(owners)}, which is not chosen")
            if not values:
                raise ValueError(f"{name} has no values")

    def units(self) -> list[Unit]:
        """Those that can be made, each once, in the order of kernels and values."""
        return self._made()[0]

    def left_out(self) -> dict[str, str]:
        """Names of those that cannot be made, and why."""
        return self._made()[1]

    def _made(self) -> tuple[list[Unit], dict[str, str]]:
        units: dict[str, Unit] = {}
        left_out: dict[str, str] = {}
        for kernel in self.kernels:
            for settings in self._combinations(kernel):
                name = self._name(kernel, settings)
                try:
                    SoftmaxConfig(kernel=kernel, **settings)
                except (TypeError, ValueError) as error:
                    left_out.setdefault(name, str(error))
                    continue
                units.setdefault(name, Unit(kernel=kernel, settings=settings, name=name))
        return list(units.values()), left_out

    def _combinations(self, kernel: str) -> list[dict[str, Any]]:
        own = KERNELS[kernel].setting_names()
        values: dict[str, Sequence[Any]] = {**KERNEL_DEFAULTS.get(kernel, {}), **DEFAULTS}
        values |= {n: v for n, v in self.choices.items() if n in (*_FORMAT, *own)}
        combinations = itertools.product(*values.values())
        return [
            self._completed(dict(zip(values, combination, strict=True)))
            for combination in combinations
        ]

    def _completed(self, settings: dict[str, Any]) -> dict[str, Any]:
        """With what follows, and without what then says nothing."""
        settings = settings | {"max_row": self.max_row}
        if settings["output"] == "codes":
            settings["row_results"] = "sum"
            settings.pop("prob_bits")
            settings.pop("probability_format", None)
        elif settings.get("probability_format") == "float":
            settings["prob_bits"] = 8
        return settings

    def _name(self, kernel: str, settings: Mapping[str, Any]) -> str:
        told = [kernel]
        for name, value in settings.items():
            one = len(self.choices.get(name, DEFAULTS.get(name, ()))) == 1
            if name not in ("max_row", "row_results") and not (one and name in _QUIET):
                told.append(f"{name} {value}".replace("_", " "))
        return ", ".join(told)
