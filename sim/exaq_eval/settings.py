"""What is evaluated: rules of calibration, widths of codes and granularities, on one format."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

from exaq import SoftmaxConfig
from exaq.tables import MAX_BITS, MIN_BITS, PAPER_BITS

#: Rules that a setting may have. ``float`` is the model as it is. ``dynamic`` is the paper's clip
#: without calibration: each call of a layer has its own, of its own logits.
RULES = ("float", "dynamic", "naive", "paper", "optimal")
#: Rules by the paper's clip, which it has for some widths only.
CLIPPED = ("dynamic", "paper")
#: Objectives of the rule ``optimal``: the error that is minimised, and with "-levels" by clip and
#: exponentials alone, thresholds staying half-way between the levels of the clip. Those after
#: "kl" are of ``exaq.torch.calibrate``, which the model takes part in; "-sequential" calibrates
#: each layer on what the layers before, with their tables, give it. "tuned" begins with the tables
#: of the objective block, or for a decoder mse, and follows the gradient of the model's output.
OBJECTIVES = (
    *("mse", "mse-levels", "kl", "output", "block", "loss"),
    *("mse-sequential", "kl-sequential"),
    *("output-sequential", "block-sequential", "loss-sequential"),
    "tuned",
)
#: Those that are evaluated where none is chosen.
DEFAULT_OBJECTIVES = OBJECTIVES[:3]
#: Widths of a code, and those that are evaluated where none is chosen.
BITS, DEFAULT_BITS = tuple(range(MIN_BITS, MAX_BITS + 1)), (2, 3, 4)
#: What gets tables of its own.
GRANULARITIES = ("layer", "head")


@dataclass(frozen=True, kw_only=True)
class LogitFormat:
    """The integer logits, tables and probabilities of an evaluation; see ``SoftmaxConfig``.

    The defaults are near float: 16 bits reach from -128 to 128 in steps of 1/256, which moves the
    ratio of two probabilities by 0.4 % at most, so that what is seen is the cost of the codes. A
    report says how much the format costs by itself.
    """

    logit_width: int = 16
    logit_scale: float | Fraction = 2.0**-8
    exp_frac: int = 13
    prob_bits: int = 16

    def __post_init__(self) -> None:
        config = self.config()
        # Checked, and plain Python values whatever was given.
        for each in fields(self):
            object.__setattr__(self, each.name, getattr(config, each.name))

    def config(self, **changes: Any) -> SoftmaxConfig:
        """A configuration of this format."""
        return SoftmaxConfig(
            logit_width=self.logit_width,
            logit_scale=self.logit_scale,
            exp_frac=self.exp_frac,
            prob_bits=self.prob_bits,
            **changes,
        )


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One row of a report.

    Members
    -------
    rule
        One of ``RULES``, or ``"file"``: tables that came from a file.
    bits, per, minimise
        Width of a code, granularity and objective; None where the rule has none.
    texts
        Texts, or windows of text, that tables are calibrated on; 0 for none.
    title
        For ``"file"``: the name of the file.
    """

    rule: str
    bits: int | None = None
    per: str | None = None
    minimise: str | None = None
    texts: int = 0
    title: str = ""

    @property
    def name(self) -> str:
        """For people: ``2-bit optimal (mse), per head``."""
        if self.rule == "file":
            return f"{self.bits}-bit, {self.title}"
        if self.rule == "float":
            return "float"
        if self.per is None:
            return f"{self.bits}-bit {self.rule}"
        objective = f" ({self.minimise})" if self.minimise else ""
        return f"{self.bits}-bit {self.rule}{objective}, per {self.per}"

    @property
    def by_model(self) -> bool:
        """Whether the model takes part in the calibration, beyond its logits."""
        return self.minimise in OBJECTIVES[3:]

    @property
    def sequential(self) -> bool:
        """Whether each layer is calibrated on what the layers before give with their tables."""
        return self.minimise is not None and self.minimise.endswith("-sequential")

    @property
    def slug(self) -> str:
        """For names of files: ``2bit-optimal-mse-head``."""
        words = (f"{self.bits}bit", self.rule, self.minimise, self.per)
        return "-".join(word for word in words if word)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "rule": self.rule,
            "bits": self.bits,
            "per": self.per,
            "minimise": self.minimise,
            "calibration_texts": self.texts,
        }


def grid(
    *,
    rules: Iterable[str] = RULES,
    bits: Iterable[int] = DEFAULT_BITS,
    per: Iterable[str] = GRANULARITIES,
    minimise: Iterable[str] = DEFAULT_OBJECTIVES,
    texts: dict[str, int],
) -> Iterator[Setting]:
    """All combinations, float first, then by width, granularity and rule.

    ``texts`` gives the calibration texts of each granularity. The order is that of the constants
    above, whatever the order of the arguments; float always is among them, as all else is
    measured against it. The rules paper and dynamic are left out at widths that the paper has no
    clip for; dynamic has neither granularity nor texts, and stands before all others of its width.
    """
    chosen: dict[str, set[Any]] = {
        "rules": set(rules),
        "bits": set(bits),
        "per": set(per),
        "minimise": set(minimise),
    }
    yield Setting(rule="float")
    for width in BITS:
        if width not in chosen["bits"]:
            continue
        for part, rule in ((None, "dynamic"), *itertools.product(GRANULARITIES, RULES[2:])):
            if rule not in chosen["rules"] or (rule in CLIPPED and width not in PAPER_BITS):
                continue
            if part is None:
                yield Setting(rule=rule, bits=width)
            elif part in chosen["per"]:
                for objective in OBJECTIVES if rule == "optimal" else (None,):
                    if objective is None or objective in chosen["minimise"]:
                        yield Setting(
                            rule=rule, bits=width, per=part, minimise=objective, texts=texts[part]
                        )
