"""tables.json: sets of tables, each with a name, as files that people and programs read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from exaq.config import SoftmaxConfig
from exaq.scalars import exact_real, integer, plain_real, real
from exaq.stream_format import MAX_CONTEXTS
from exaq.tables import Tables

#: What a file says it is, and the newest version that is read and written. The second one has
#: sinks; a file without any is of the first.
FORMAT, VERSION = "exaq-tables", 2
# The format of logits and exponentials that a file's tables are all for.
_SCALARS = ("bits", "logit_width", "logit_scale", "exp_frac")


@dataclass(frozen=True, kw_only=True)
class TableSet:
    """Tables of one part of a model: of all of it, a layer, or a head.

    Members
    -------
    name
        What the set is called, unique in its file: ``"all"``, ``"layer3"``, ``"layer3.head7"``.
    tables
        Thresholds and exponentials, and the sink, an integer logit, where there is one.
    layer, head
        Numbers from 0; None: of every layer, of every head.
    clip
        C in real units where the tables are those of an end-point clip, else None.
    statistics
        Figures of the calibration, plain JSON values; nothing computes with them.
    """

    name: str
    tables: Tables
    layer: int | None = None
    head: int | None = None
    clip: float | None = None
    statistics: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise TypeError(f"the name of a set must be text, not {self.name!r}")
        for part in ("layer", "head"):
            number = getattr(self, part)
            if number is not None:
                object.__setattr__(self, part, integer(part, number, 0))
        if self.clip is not None:
            object.__setattr__(self, "clip", float(real("clip", self.clip)))
            if self.clip >= 0:
                raise ValueError(f"clip must be negative, not {self.clip!r}")
        if not isinstance(self.statistics, Mapping):
            raise TypeError(f"statistics must be an object, not {self.statistics!r}")


@dataclass(frozen=True, kw_only=True)
class TableFile:
    """Sets of tables for one format of logits, and where they come from.

    Members
    -------
    bits
        Width of a code.
    logit_width, logit_scale
        The integer logits that the thresholds are steps of; see ``SoftmaxConfig``.
    exp_frac
        Fraction bits of the exponentials.
    sets
        At least one ``TableSet``, names unique; in the order of contexts.
    provenance
        Rule, hash of the data and the like, plain JSON values; nothing computes with them.
    """

    bits: int
    logit_width: int
    logit_scale: float | Fraction
    exp_frac: int
    sets: tuple[TableSet, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sets", tuple(self.sets))
        if not self.sets:
            raise ValueError("a file of tables must hold at least one set")
        if not isinstance(self.provenance, Mapping):
            raise TypeError(f"provenance must be an object, not {self.provenance!r}")
        config = self._config()
        for name in _SCALARS:
            object.__setattr__(self, name, getattr(config, name))
        names = [entry.name for entry in self.sets]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"names of sets must differ, but {name!r} is there twice")
        for entry in self.sets:
            try:
                self._config(tables=entry.tables, sink=entry.tables.sink)
            except (TypeError, ValueError) as error:
                raise ValueError(f"set {entry.name!r}: {error}") from None

    @classmethod
    def of_config(cls, config: SoftmaxConfig) -> TableFile:
        """The file of a single set, ``all``: the tables of ``config``, of EXAQ, and its sink."""
        sink = config.sinks[0] if config.sinks else None
        return cls(
            **{name: getattr(config, name) for name in _SCALARS},
            sets=(TableSet(name="all", tables=replace(config.tables, sink=sink)),),
        )

    def _config(self, **changes: Any) -> SoftmaxConfig:
        return SoftmaxConfig(**{name: getattr(self, name) for name in _SCALARS} | changes)

    def config(self, name: str | None = None, **changes: Any) -> SoftmaxConfig:
        """A configuration for these logits.

        With ``name``: that set's tables are its ROMs. Without: each set is a context, number k
        holding set k of the file, whatever the layers' numbers are. A file of a single set gives
        ROMs either way, unless ``contexts`` asks for more. ``changes`` are further fields of
        ``SoftmaxConfig``; ``contexts`` may be more than there are sets, and the rest then hold the
        first set. Where sets have sinks the configuration has; ``sink`` is that of sets without,
        and has to be given where there are both. Thresholds of a file are
        steps of integers: ``logit_format`` can be no other.
        """
        kind = changes.get("logit_format", "integer")
        if kind != "integer":
            raise ValueError(f"the tables are for integer logits, not {kind}")
        wanted = self._config(**{key: changes[key] for key in _SCALARS if key in changes})
        for scalar in _SCALARS:
            fixed, other = getattr(self, scalar), getattr(wanted, scalar)
            if fixed != other:
                raise ValueError(f"the tables are for {scalar} {fixed}, not {other}")
        contexts = changes.pop("contexts", None)
        if name is not None or (len(self.sets) == 1 and not contexts):
            chosen = self.sets[0] if name is None else self.find(name)
            own = chosen.tables.sink
            if own is not None and changes.get("sink") not in (None, own):
                raise ValueError(f"set {chosen.name!r} has the sink {own}, not {changes['sink']}")
            changes["sink"] = _sink_beside([chosen], changes.get("sink"))
            return self._config(**changes, tables=chosen.tables, contexts=contexts or 0)
        return self.config_of(self.sets, contexts, **changes)

    def config_of(
        self, sets: Sequence[TableSet], contexts: int | None = None, **changes: Any
    ) -> SoftmaxConfig:
        """As ``config``, with a context for each of ``sets``, which may come several times."""
        each = [entry.tables for entry in sets]
        if len(each) > MAX_CONTEXTS:
            raise ValueError(
                f"{len(each)} sets of tables are more than {MAX_CONTEXTS} contexts; choose one set"
            )
        contexts = len(each) if contexts is None else integer("contexts", contexts)
        if not len(each) <= contexts <= MAX_CONTEXTS:
            raise ValueError(
                f"{len(each)} sets of tables need {len(each)}..{MAX_CONTEXTS} contexts, "
                f"not {contexts}; or choose one set"
            )
        each += each[:1] * (contexts - len(each))
        changes["sink"] = _sink_beside(sets, changes.get("sink"))
        return self._config(**changes, contexts=contexts, context_tables=tuple(each))

    def by_bits(self) -> dict[int, TableFile]:
        """The units that the sets need: those that so many bits suffice for, by number of bits.

        The contexts of a unit share the width of their codes. Sets of fewer bits than the file
        may be among its sets, as ``exaq.share_bits`` makes them; here each is in the file of its
        own width, ascending, to generate a unit from.
        """
        narrow: dict[int, list[TableSet]] = {}
        for entry in self.sets:
            tables = entry.tables.narrowed()
            narrow.setdefault(tables.bits, []).append(replace(entry, tables=tables))
        return {
            bits: replace(self, bits=bits, sets=tuple(sets))
            for bits, sets in sorted(narrow.items())
        }

    def find(self, name: str) -> TableSet:
        """The set of that name."""
        for entry in self.sets:
            if entry.name == name:
                return entry
        raise ValueError(
            f"there are no tables {name!r}; there are {', '.join(e.name for e in self.sets)}"
        )

    def of(self, layer: int | None = None, head: int | None = None) -> TableSet:
        """The set that serves a layer and a head; None: all of them.

        That is the one made for just them; where there is none the layer's, then the head's in
        every layer, then that of all. ValueError where no set does: a layer that was not
        calibrated, say, which the message tells from those that were.
        """
        layer = None if layer is None else integer("layer", layer, 0)
        head = None if head is None else integer("head", head, 0)
        serving = [e for e in self.sets if e.layer in (None, layer) and e.head in (None, head)]
        if serving:
            return min(serving, key=lambda entry: (entry.layer is None, entry.head is None))
        wanted = "all layers" if layer is None else f"layer {layer}"
        if head is not None:
            wanted = f"head {head} of {wanted}"
        message = f"there are no tables for {wanted}"
        if self.layers and layer not in self.layers:
            several = "s" if len(self.layers) > 1 else ""
            message += f", only for layer{several} {', '.join(map(str, self.layers))}"
        raise ValueError(message)

    @property
    def layers(self) -> tuple[int, ...]:
        """Numbers of the layers that have sets of their own, ascending, maybe with gaps.

        Every other layer is served by sets of all layers, or by none; see ``of``.
        """
        return tuple(sorted({entry.layer for entry in self.sets if entry.layer is not None}))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``TableFile.from_dict`` takes them back."""
        return {
            "format": FORMAT,
            "version": 1 if all(entry.tables.sink is None for entry in self.sets) else VERSION,
            "bits": self.bits,
            "logit_width": self.logit_width,
            "logit_scale": plain_real(self.logit_scale),
            "exp_frac": self.exp_frac,
            "provenance": dict(self.provenance),
            "sets": [
                {
                    "name": entry.name,
                    "layer": entry.layer,
                    "head": entry.head,
                    "clip": entry.clip,
                    **entry.tables.to_dict(),
                    "statistics": dict(entry.statistics),
                }
                for entry in self.sets
            ],
        }

    @classmethod
    def from_dict(cls, values: Any) -> TableFile:
        """The file that ``to_dict`` wrote; ValueError or TypeError where it could not have."""
        document = _fields(values, "a file of tables", {"format", "version"}, others=True)
        if document["format"] != FORMAT:
            raise ValueError(f"format must be {FORMAT!r}, not {document['format']!r}")
        version = document["version"]
        if type(version) is not int or not 1 <= version <= VERSION:
            raise ValueError(f"version must be in 1..{VERSION}, not {version!r}")
        named = {"format", "version", "provenance", "sets", *_SCALARS}
        document = _fields(values, "a file of tables", named)
        if not isinstance(document["sets"], list):
            raise TypeError(f"sets must be a list, not {document['sets']!r}")
        sets = []
        for entry in document["sets"]:
            entry = _fields(
                entry,
                "a set of tables",
                {"name", "layer", "head", "clip", "thresholds", "exp_rom", "statistics"},
                optional={"sink"} if version > 1 else set(),
            )
            for numbers in ("thresholds", "exp_rom"):
                if not isinstance(entry[numbers], list):
                    raise TypeError(f"{numbers} must be a list, not {entry[numbers]!r}")
            try:
                tables = Tables(
                    thresholds=entry.pop("thresholds"),
                    exp_rom=entry.pop("exp_rom"),
                    sink=entry.pop("sink", None),
                )
            except (TypeError, ValueError) as error:
                raise ValueError(f"set {entry['name']!r}: {error}") from None
            sets.append(TableSet(tables=tables, **entry))
        scale = _scale(document["logit_scale"])
        given = {name: document[name] for name in _SCALARS} | {"logit_scale": scale}
        return cls(**given, sets=tuple(sets), provenance=document["provenance"])

    def save(self, path: Path | str) -> None:
        """Write the file, as UTF-8; each set is a block of lines."""
        Path(path).write_text(self.to_json(), encoding="utf-8", newline="\n")

    def to_json(self) -> str:
        """Text of the file."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"

    @classmethod
    def load(cls, path: Path | str) -> TableFile:
        """The file at ``path``; ValueError with its name where it is none of tables."""
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            reason = "it is not text"
        except json.JSONDecodeError as error:
            reason = f"line {error.lineno} is not JSON"
        except RecursionError:
            reason = "its lists are too deep"
        except (TypeError, ValueError) as error:
            reason = str(error)
        raise ValueError(f"{path} is no file of tables: {reason}")


def _scale(value: Any) -> float | Fraction:
    try:
        scale = exact_real(value)
        float(scale)
    except (TypeError, ValueError, ArithmeticError):
        legal = "a number or a fraction such as '1/10'"
        raise ValueError(f"logit_scale must be {legal}, not {value!r}"[:200]) from None
    return scale


def _sink_beside(sets: Sequence[TableSet], given: Any) -> Any:
    """The sink of a configuration of ``sets``: the one ``given``, or where they all have sinks the
    first one's; None where nothing has any.
    """
    without = [entry.name for entry in sets if entry.tables.sink is None]
    if given is not None or len(without) == len(sets):
        return given
    if without:
        raise ValueError(f"set {without[0]!r} has no sink, but others have: give it one by sink")
    return sets[0].tables.sink


def _fields(
    values: Any,
    what: str,
    names: set[str],
    *,
    others: bool = False,
    optional: Set[str] = frozenset(),
) -> dict[str, Any]:
    """``values`` as a dictionary that has ``names``, and nothing else but what is ``optional``
    unless ``others``.
    """
    if not isinstance(values, dict):
        raise TypeError(f"{what} must be an object, not {values!r}"[:200])
    wrong = names - values.keys() if others else (names ^ values.keys()) - optional
    if wrong:
        raise ValueError(f"{what} has just the fields {', '.join(sorted(names))}; see {min(wrong)}")
    return dict(values)
