"""The configuration of a softmax unit: its stream format and its kernel, settled for each other.

>>> import exaq
>>> config = exaq.SoftmaxConfig(lanes=8, bits=3)
>>> config.format.beats, config.kernel.levels, config.group
(128, 8, 2)
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from exaq.kernels import KERNELS, Exaq, Kernel
from exaq.kernels.exaq import SOURCES
from exaq.stream_format import StreamFormat
from exaq.tables import Tables

_FORMAT = tuple(each.name for each in dataclasses.fields(StreamFormat) if each.init)


@dataclass(frozen=True, init=False)
class SoftmaxConfig:
    """Parameters of a streaming softmax unit: stream format and kernel.

    The settings of both can be given one by one, ``SoftmaxConfig(lanes=8, bits=3)``, or as objects,
    ``SoftmaxConfig(format=StreamFormat(lanes=8), kernel=Exaq(bits=3))``. Every setting, and every
    figure that follows from one, is also an attribute of the configuration: ``config.lanes``.

    Parameters
    ----------
    format
        What moves in and out. None: what the settings say of it.
    kernel
        What is computed, or a kernel's name, ``"exaq"`` by default; see ``exaq.kernels.KERNELS``.
    settings
        Those of ``StreamFormat`` and of the kernel, where no object gives them.

    Members
    -------
    format
        The stream format; its ``full_rate_row`` is a number.
    kernel
        The kernel's parameters, every default filled in.

    Raises
    ------
    TypeError, ValueError
        A setting is unknown, given twice or not legal, or two do not go together.
    """

    format: StreamFormat
    kernel: Kernel
    # The format before the kernel settled it, for `replace`.
    _given: StreamFormat = field(repr=False, compare=False)

    def __init__(
        self,
        *,
        format: StreamFormat | None = None,
        kernel: Kernel | str = Exaq.name,
        **settings: Any,
    ) -> None:
        if format is not None and not isinstance(format, StreamFormat):
            raise TypeError(f"format must be an exaq.StreamFormat, not {format!r}")
        if not isinstance(kernel, Kernel | str):
            raise TypeError(f"kernel must be a kernel of exaq.kernels or its name, not {kernel!r}")
        own = (_kind(kernel) if isinstance(kernel, str) else type(kernel)).setting_names()
        for name in {*own} & {*_FORMAT}:
            raise TypeError(f"the kernel has a setting {name!r}, which is one of the stream format")
        for name in settings:
            if name not in (*_FORMAT, *own):
                legal = ", ".join((*_FORMAT, *own))
                of = [kind.name for kind in KERNELS.values() if name in kind.setting_names()]
                if of:
                    mine = kernel if isinstance(kernel, str) else kernel.name
                    raise TypeError(f"{name} is a setting of {', '.join(of)}, not of {mine}")
                raise TypeError(f"unknown setting {name!r}; legal are {legal}")
            if name in _FORMAT and format is not None:
                raise TypeError(f"give {name} or format, not both")
            if name in own and not isinstance(kernel, str):
                raise TypeError(f"give {name} or a kernel's parameters, not both")
        if format is None:
            format = StreamFormat(**{name: settings[name] for name in _FORMAT if name in settings})
        if isinstance(kernel, str):
            given = {name: settings[name] for name in own if name in settings}
            kernel = _kind(kernel)(**given)
        settled = format
        if format.full_rate_row is None:
            row = kernel.default_full_rate_row(format)
            settled = dataclasses.replace(format, full_rate_row=row)
        object.__setattr__(self, "_given", format)
        object.__setattr__(self, "format", settled)
        object.__setattr__(self, "kernel", kernel.settle(settled))

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            for part in ("format", "kernel"):
                try:
                    return getattr(self.__dict__.get(part), name)
                except AttributeError:
                    continue
        raise AttributeError(f"a configuration has no {name!r}")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> SoftmaxConfig:
        """The configuration that ``name`` stands for (see ``PRESETS``), with ``changes``."""
        return cls(**preset_settings(name, changes))

    def replace(self, **changes: Any) -> SoftmaxConfig:
        """A copy with ``changes``; what was left to its default is settled anew."""
        if "format" not in changes:
            mine = {name: changes.pop(name) for name in _FORMAT if name in changes}
            changes["format"] = self._given.changed(mine)
        if "kernel" not in changes:
            own = self.kernel.setting_names()
            mine = {name: changes.pop(name) for name in own if name in changes}
            changes["kernel"] = self.kernel.changed(mine)
        return SoftmaxConfig(**changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, one flat object; ``SoftmaxConfig.from_dict`` takes them back.

        A fraction that no float equals is a string such as ``"1/10"``. ``context_tables`` are
        there only where the unit has contexts, ``kernel`` is only where it is another than EXAQ,
        and what ``left_out`` of the stream format and of the kernel names only where it differs
        from that.
        """
        kernel = {} if self.kernel.name == Exaq.name else {"kernel": self.kernel.name}
        return kernel | self.format.to_dict() | self.kernel.to_dict()

    @property
    def build_crc(self) -> int:
        """What tells builds apart: CRC-32 (that of zlib) of ``to_dict()`` as JSON, keys sorted,
        without spaces.
        """
        return crc_of(self.to_dict())

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SoftmaxConfig:
        """The configuration that ``to_dict`` wrote; ValueError where it could not have."""
        given = dict(values)
        kind = _kind(given.pop("kernel", Exaq.name))
        contexts = bool(given.get("contexts"))
        names = {*_FORMAT, *kind.fields_written(contexts)}
        optional = {*StreamFormat.left_out(), *kind.left_out()}
        if wrong := (set(given) ^ names) - (optional - set(given)):
            listed = ", ".join(sorted(wrong))
            raise ValueError(f"a configuration has exactly the fields of to_dict; see {listed}")
        format = StreamFormat.from_dict(
            {name: given.pop(name) for name in _FORMAT if name in given}
        )
        config = cls(format=format, kernel=kind.from_dict(given))
        written = config.to_dict()
        odd = ", ".join(n for n in values if n not in written or written[n] != values[n])
        if odd:
            raise ValueError(f"{odd} do not follow from the configuration's other fields")
        return config


def crc_of(values: dict[str, Any]) -> int:
    """CRC-32 (that of zlib) of ``values`` as JSON, keys sorted, without spaces."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return zlib.crc32(text.encode())


def _kind(name: str) -> type[Kernel]:
    if name not in KERNELS:
        raise ValueError(f"unknown kernel {name!r}; there are {', '.join(KERNELS)}")
    return KERNELS[name]


def preset_settings(
    name: str, changes: Mapping[str, Any], *, other_tables: bool = False
) -> dict[str, Any]:
    """The settings of the preset ``name`` with ``changes``.

    A clip or tables among the changes take the place of the preset's own; so do tables that come
    from elsewhere, ``other_tables``. ValueError for a name that there is not, and where the
    preset's tables are kept but are for other logits.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; there are {', '.join(PRESETS)}")
    settings = PRESETS[name]
    own_format = settings.get("logit_format", "integer")
    if "tables" not in settings and changes.get("logit_format", own_format) != own_format:
        # Width and scale of integers say nothing of floating-point numbers, nor these of those.
        numbers = ("logit_width", "logit_scale")
        settings = {key: value for key, value in settings.items() if key not in numbers}
    if other_tables or any(changes.get(source) is not None for source in SOURCES):
        settings = {key: value for key, value in settings.items() if key not in SOURCES}
    elif "tables" in settings:
        for key, fixed in (("logit_format", "integer"), ("logit_scale", settings["logit_scale"])):
            if (given := changes.get(key, fixed)) != fixed:
                raise ValueError(
                    f"the tables of the preset {name} are for {key} {fixed}, not {given}"
                )
    return {**settings, **changes}


_BAPS_FLOAT = {"kernel": "baps", "probability_format": "float", "prob_bits": 8}

#: Named configurations: what differs from the defaults. One with tables, which are for integers,
#: says what ``logit_scale`` they are for.
PRESETS: dict[str, dict[str, Any]] = {
    "2bit-x1": {"bits": 2, "lanes": 1, "max_row": 256},
    "2bit-x4": {"bits": 2, "lanes": 4},
    "2bit-x4-c12": {"bits": 2, "lanes": 4, "contexts": 12},
    "2bit-x16": {"bits": 2, "lanes": 16, "p_table": "distributed"},
    "2bit-x4-sums": {"bits": 2, "lanes": 4, "output": "codes", "row_results": "sum"},
    "2bit-x16-sums": {"bits": 2, "lanes": 16, "output": "codes", "row_results": "sum"},
    "2bit-x16-codes": {"bits": 2, "lanes": 16, "output": "codes", "row_results": "table"},
    "2bit-x32": {"bits": 2, "lanes": 32, "p_table": "distributed"},
    "3bit-x4": {"bits": 3, "lanes": 4},
    "3bit-x16": {"bits": 3, "lanes": 16},
    "4bit-x4": {"bits": 4, "lanes": 4},
    "4bit-x16": {"bits": 4, "lanes": 16},
    "5bit-x4": {"bits": 5, "lanes": 4},
    "5bit-x16": {"bits": 5, "lanes": 16},
    "index-5bit-x4": {
        "bits": 5,
        "lanes": 4,
        "logit_scale": 0.0625,
        "max_row": 512,
        "prob_bits": 8,
        "exp_frac": 7,
        "tables": Tables.index_softmax(logit_scale=0.0625),
    },
    "6bit-x4": {"bits": 6, "lanes": 4},
    "6bit-x16": {"bits": 6, "lanes": 16},
    "4bit-x4-int16": {"bits": 4, "lanes": 4, "logit_width": 16, "logit_scale": 2**-8},
    "4bit-x4-bf16": {"bits": 4, "lanes": 4, "logit_format": "bf16"},
    "4bit-x4-fp16": {"bits": 4, "lanes": 4, "logit_format": "fp16"},
    "baps-x4": {"kernel": "baps", "lanes": 4, "output": "codes", "row_results": "sum"},
    "baps-x16": {"kernel": "baps", "lanes": 16, "output": "codes", "row_results": "sum"},
    "baps-x4-float": {"lanes": 4, **_BAPS_FLOAT},
    "baps-x16-float": {"lanes": 16, **_BAPS_FLOAT},
    "multiply-x4": {"kernel": "multiply", "lanes": 4},
    "multiply-x16": {"kernel": "multiply", "lanes": 16},
    "softermax-x4": {"kernel": "softermax", "lanes": 4},
    "softermax-x16": {"kernel": "softermax", "lanes": 16},
    "shift-x4": {"kernel": "shift", "lanes": 4},
    "shift-x16": {"kernel": "shift", "lanes": 16},
    "lut-x4": {"kernel": "lut", "lanes": 4},
    "lut-x16": {"kernel": "lut", "lanes": 16},
}
