"""Every kernel and variant that is compared: its configuration, and the probabilities it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

import exaq
from exaq import Baps, SoftmaxConfig, metrics
from exaq_eval.studies.subjects.random_rows import Floats

Integers = NDArray[Any]

#: Name among the rows of what computes float softmax of the integer logits.
EXACT = "float softmax of the same integers"
#: What units of BAPS that give codes have besides.
_CODES = {"output": "codes", "row_results": "sum"}
#: Probabilities that stand for codes put together where only probabilities fit: so many bits that
#: their rounding counts little.
_FINE_BITS = 24


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A kernel with settings, beside the stream format.

    Members
    -------
    name
        For people.
    kernel, settings
        The kernel's name, and settings that are not the defaults.
    units
        Presets that give these probabilities, or codes for them, with ``{}`` for the lanes.
    """

    name: str
    kernel: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    units: tuple[str, ...] = ()

    @property
    def bits(self) -> int | None:
        """Width of a code of EXAQ; None of another kernel."""
        return self.settings.get("bits")

    def config(self, **given: Any) -> SoftmaxConfig:
        """The unit with so many settings besides; ``clip`` is for EXAQ alone."""
        return SoftmaxConfig(kernel=self.kernel, **self.settings, **given)

    def probability_config(self, **given: Any) -> SoftmaxConfig:
        """The same for whatever takes probabilities; see ``of_probabilities``."""
        return of_probabilities(SoftmaxConfig(kernel=self.kernel, **{**given, **self.settings}))


_FLOAT = {"probability_format": "float", "prob_bits": 8}

# At 2 bits there are units too that give the codes and the sums.
_EXAQ_UNITS = {2: ("2bit-x{}", "2bit-x{}-sums"), 3: ("3bit-x{}",), 4: ("4bit-x{}",)}

#: All of them, in the order of tables.
VARIANTS = (
    *(
        Variant(name=f"exaq, {b} bits", kernel="exaq", settings={"bits": b}, units=_EXAQ_UNITS[b])
        for b in (2, 3, 4)
    ),
    Variant(name="baps, e5m3 codes", kernel="baps", settings=_CODES, units=("baps-x{}",)),
    Variant(name="baps, hif8 codes", kernel="baps", settings=_CODES | {"code_format": "hif8"}),
    Variant(
        name="baps, e5m3 probabilities", kernel="baps", settings=_FLOAT, units=("baps-x{}-float",)
    ),
    Variant(
        name="baps, hif8 probabilities", kernel="baps", settings=_FLOAT | {"code_format": "hif8"}
    ),
    Variant(name="baps, linear probabilities", kernel="baps"),
    Variant(name="multiply, split", kernel="multiply", units=("multiply-x{}",)),
    *(
        Variant(name=f"multiply, {kind}", kernel="multiply", settings={"exponential": kind})
        for kind in ("taylor2", "taylor3", "pwl4", "pwl8", "schraudolph")
    ),
    Variant(name="softermax", kernel="softermax", units=("softermax-x{}",)),
    Variant(name="shift, e2softmax", kernel="shift", units=("shift-x{}",)),
    Variant(name="shift, ita", kernel="shift", settings={"variant": "ita"}),
    Variant(name="lut, rexp", kernel="lut", units=("lut-x{}",)),
    Variant(name="lut, 2d", kernel="lut", settings={"variant": "2d"}),
)


def of_probabilities(config: SoftmaxConfig) -> SoftmaxConfig:
    """The unit, but for one that gives codes: in its place one of probabilities of 24 bits."""
    if config.output != "codes":
        return config
    return config.replace(
        output="probabilities", row_results="none", prob_bits=_FINE_BITS, full_rate_row=None
    )


def fitting_step(sigma: float, logit_width: int = 8) -> float:
    """The least power of two of a logit step with which logits reach to 5 sigma on both sides."""
    most = 2 ** (logit_width - 1) - 1
    return float(2.0 ** np.ceil(np.log2(5 * sigma / most)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """Real probabilities that a unit gives, and what its zeros are counted as in a divergence.

    Members
    -------
    values
        (rows, row).
    floor
        Half of the least number that the row can have beside 0; broadcasts to ``values``.
    """

    values: Floats
    floor: Floats

    def kl(self, exact: Floats, live: NDArray[np.bool_] | None = None) -> float:
        """Divergence from ``exact``, in nats: mean over rows, both brought to the sum 1."""
        raised = np.maximum(self.values, self.floor)
        return metrics.kl_divergence(exact, raised, live)


def given(
    integers: Integers,
    config: SoftmaxConfig,
    live: NDArray[np.bool_] | None = None,
    contexts: NDArray[np.intp] | None = None,
) -> Given:
    """What ``config`` makes of rows (rows, row) of integer logits."""
    if config.beat_reference_bits:
        return together(integers, config, live)
    config = of_probabilities(config)
    values = exaq.probabilities_to_float(exaq.softmax(integers, config, live, contexts), config)
    least = 2.0**-config.prob_bits
    if getattr(config, "probability_format", "linear") == "float":
        least = _least(config.kernel.probability_values(np.arange(256)))
    return Given(values=values, floor=np.array(least / 2))


def together(
    integers: Integers, config: SoftmaxConfig, live: NDArray[np.bool_] | None = None
) -> Given:
    """Codes, references and sums of BAPS put together, exactly: what a consumer computes with."""
    kernel = config.kernel
    if not isinstance(kernel, Baps):
        raise TypeError(f"only codes of baps can be put together, not those of {kernel.name}")
    codes = exaq.quantize(integers, config, live)
    references = exaq.beat_references(integers, config, live)
    results = exaq.row_results(integers, config, live)
    octaves = references - results.maximum[..., None]
    octaves = np.repeat(octaves, config.lanes, axis=-1)[..., : codes.shape[-1]]
    one = np.ldexp(np.maximum(results.sum, 1).astype(np.float64), -config.sum_frac)[..., None]
    values = np.ldexp(kernel.values(codes), octaves) / one
    return Given(values=values, floor=_least(kernel.values(np.arange(256))) / 2 / one)


def _least(values: Floats) -> float:
    """The least number beside 0 of those that eight bits stand for."""
    return float(values[values > 0].min())


def clip_of(variant: Variant, sigma: float) -> dict[str, Fraction | float]:
    """The setting of EXAQ that follows from the deviation of the logits; of others, none."""
    return {} if variant.bits is None else {"clip": exaq.paper_clip(sigma, variant.bits)}
