"""What a command line says of a configuration, be it everything, a few settings or nothing.

    asked = PartialConfig(preset="2bit-x4", settings={"max_row": 256})
    asked.resolve()                            a configuration: the preset with rows of 256
    asked.differences(board.config)            ["max_row 1024, not 256"]

It is made once, of the options (``exaq_cli.config.options``), and holds all that they said: the
commands ask it and never the options again.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exaq import (
    KERNELS,
    PRESETS,
    Exaq,
    ExaqWarning,
    Kernel,
    SoftmaxConfig,
    StreamFormat,
    TableFile,
    paper_clip,
)
from exaq.config import preset_settings
from exaq.scalars import plain_real
from exaq_cli.errors import UserError, user_errors

# What a configuration says of its tables; a command line has them of a file.
_TABLES = ("tables", "context_tables")
_KINDS: tuple[type[StreamFormat | Kernel], ...] = (StreamFormat, *KERNELS.values())
#: Names of the settings that a command line gives one by one: all that a stream format and the
#: kernels have, but tables. Which those are is known to the configuration alone.
SETTINGS = (
    "kernel",
    *dict.fromkeys(
        each.name
        for kind in _KINDS
        for each in dataclasses.fields(kind)
        if each.init and each.name not in _TABLES
    ),
)
_FORMAT = tuple(each.name for each in dataclasses.fields(StreamFormat) if each.init)
# What ``SoftmaxConfig.to_dict`` leaves out, as old files do.
_LEFT_OUT: dict[str, Any] = {
    "kernel": SoftmaxConfig().kernel.name,
    **StreamFormat.left_out(),
    **{name: value for kernel in KERNELS.values() for name, value in kernel.left_out().items()},
}


@dataclass(frozen=True, kw_only=True)
class PartialConfig:
    """Some settings of a configuration; the others are left to whatever it is resolved on.

    Parameters
    ----------
    preset
        Name of a preset, which names every setting; the rest changes it. None: no preset.
    settings
        Single settings by their names, of ``SETTINGS``.
    sigma
        Standard deviation of the logits below their row's maximum, in real units: the clip is the
        paper's fit for it.
    tables
        Tables, with the format of the logits that they are for. At most one of ``sigma``,
        ``tables`` and the setting ``clip`` may be given.
    tables_name
        Name of the one set of ``tables`` to take. None: all of them.
    files
        What was read to make it, so that a command does not write there.

    Raises
    ------
    UserError
        Two parts contradict each other; the message names the options that give them.
    """

    preset: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    sigma: float | None = None
    tables: TableFile | None = None
    tables_name: str | None = None
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        sources = {
            "--sigma": self.sigma,
            "--clip": self.settings.get("clip"),
            "--tables": self.tables,
        }
        given = [option for option, value in sources.items() if value is not None]
        if len(given) > 1:
            raise UserError(f"give {' or '.join(given)}, not both")
        if self.tables_name is not None and self.tables is None:
            raise UserError("--tables-name needs --tables")
        kernel = self.settings.get("kernel", Exaq.name)
        if self.preset in PRESETS:
            kernel = PRESETS[self.preset].get("kernel", Exaq.name)
        if "kernel" in self.settings and self.preset is not None:
            raise UserError("give --preset or --kernel, not both: a preset says what its kernel is")
        if given and kernel != Exaq.name:
            raise UserError(f"{given[0]} is for the kernel {Exaq.name}, not for {kernel}")

    @property
    def given(self) -> bool:
        """Whether anything was asked for."""
        return self != PartialConfig(files=self.files)

    def resolve(self, base: Mapping[str, Any] | None = None) -> SoftmaxConfig:
        """The configuration that was asked for.

        Parameters
        ----------
        base
            Settings that hold where nothing else is asked for, such as those of a board; those
            that it leaves out have the defaults of ``SoftmaxConfig``. A preset takes its place.

        Raises
        ------
        UserError
            A value or a combination that no unit can have.

        Warns
        -----
        ExaqWarning
            The longest rows can come out as nothing but zeros.
        """
        config = self._resolved(base or {})
        longest = config.kernel.longest_flat_row
        if config.gives_probabilities and config.max_row > longest:
            why = f", because {config.prob_bits} bits round their probabilities down"
            warnings.warn(
                f"rows of more than {longest} equal logits give zeros"
                f"{why if longest == config.format.longest_flat_row else ''}; rows may have "
                f"{config.max_row} elements",
                ExaqWarning,
                stacklevel=2,
            )
        return config

    def _resolved(self, base: Mapping[str, Any]) -> SoftmaxConfig:
        with user_errors():
            if self.settings.get("kernel", Exaq.name) != base.get("kernel", Exaq.name):
                # What a base says of its own kernel is nothing to another.
                base = {name: value for name, value in base.items() if name in _FORMAT}
            settings = {**base, **self.settings}
            if self.preset is not None:
                other = self.sigma is not None or self.tables is not None
                settings = preset_settings(self.preset, self.settings, other_tables=other)
            if self.tables is not None:
                return self.tables.config(self.tables_name, **settings)
            config = SoftmaxConfig(**settings)
            if self.sigma is None:
                return config
            return SoftmaxConfig(**settings, clip=paper_clip(self.sigma, config.bits))

    def differences(self, found: SoftmaxConfig, *, load: bool = False) -> list[str]:
        """How a configuration departs from what was asked for, in words; nothing else counts.

        A preset asks for every setting; tables ask for themselves, the format of their logits and
        the contexts that they need.

        Parameters
        ----------
        found
            The configuration of something that exists, such as a running board.
        load
            Whether the tables are yet to be brought there, so that others may be there now, in
            more contexts.

        Returns
        -------
        list[str]
            ``"NAME FOUND, not ASKED"`` for each setting, or ``"other tables"``; empty where all
            that was asked for is so.
        """
        asked = _LEFT_OUT | self._resolved({}).to_dict()
        if self.sigma is not None:
            with user_errors():
                asked["clip"] = plain_real(paper_clip(self.sigma, found.bits))
        names = set(asked) if self.preset is not None else self._named() & set(asked)
        if "context_tables" in asked:
            # They tell the tables as well.
            names.discard("tables")
        if load:
            names -= {*_TABLES, "clip"}
            if "contexts" not in self.settings:
                names.discard("contexts")
        there = _LEFT_OUT | found.to_dict()
        return [
            "other tables" if name in _TABLES else f"{name} {there.get(name, 'none')}, not {value}"
            for name, value in asked.items()
            if name in names and there.get(name) != value
        ]

    def _named(self) -> set[str]:
        """Names of what was asked for without a preset, settings and tables."""
        names = set(self.settings)
        if self.sigma is not None:
            names.add("clip")
        if self.tables is not None:
            names |= {name for name in self.tables.to_dict() if name in SETTINGS}
            names |= {"contexts", *_TABLES}
        return names
