"""How the commands' summaries put a configuration into words."""

from __future__ import annotations

from typing import Any

from exaq import Exaq, SoftmaxConfig
from exaq.attention import AttentionConfig


def describe_unit(config: SoftmaxConfig | AttentionConfig) -> str:
    """What a board computes, how much of it at a time, and how long rows can be."""
    if isinstance(config, SoftmaxConfig):
        return (
            f"{describe_kernel(config)}; {config.lanes} lanes; rows up to {config.max_row} elements"
        )
    return (
        f"{describe_head(config)}; {describe_kernel(config.softmax)}; {config.lanes} lanes; up to "
        f"{config.softmax.max_row} keys"
    )


def describe_head(config: AttentionConfig) -> str:
    """What the operands of an attention head are, and whether it is causal."""
    kind = "causal attention head" if config.causal else "attention head"
    return f"{kind} of {config.head_size} elements, {config.keys} keys"


def describe_kernel(config: SoftmaxConfig) -> str:
    """What is computed: the width of EXAQ's codes and its tables, or another kernel's settings."""
    kernel = config.kernel
    if isinstance(kernel, Exaq):
        return f"{kernel.bits} bits, {describe_tables(config)}"
    settings = (f"{name.replace('_', ' ')} {value}" for name, value in kernel.to_dict().items())
    return ", ".join((kernel.title, *settings))


def describe_tables(config: SoftmaxConfig) -> str:
    """Where the tables come from, in how many contexts they are, and the sinks of rows."""
    sinks = sorted(set(config.sinks))
    if len(sinks) > 1:
        return f"{_source(config)}, sinks of their own"
    return f"{_source(config)}, sink {sinks[0]:g}" if sinks else _source(config)


def _source(config: SoftmaxConfig) -> str:
    if len(set(config.context_tables)) > 1:
        return f"tables of their own in {config.contexts} contexts"
    source = "free tables" if config.clip is None else f"clip {float(config.clip):.4g}"
    if not config.contexts:
        return source
    return f"{source} in {config.contexts} context{'s' if config.contexts > 1 else ''}"


def describe_masks(config: SoftmaxConfig) -> str:
    """By what means elements can be masked."""
    means = ["masking" if config.masking else "no masking"]
    if config.window:
        means.append("windows")
    if config.format.masked_logit is not None:
        means.append(f"{config.format.masked_logit} masks")
    return ", ".join(means)


def describe_logits(config: SoftmaxConfig) -> str:
    """What logits are, and where the thresholds of floating-point ones lie."""
    scale = float(config.logit_scale)
    if config.float_format is None:
        return f"{config.logit_width}-bit integers in steps of {scale:.6g}"
    step = float(config.format.threshold_step)
    first, last = (-step * config.tables.thresholds[place] for place in (0, -1))
    return (
        f"{config.logit_format} numbers, 1 is worth {scale:.6g}; thresholds {first:.6g} to "
        f"{last:.6g} below the maximum"
    )


def describe_mismatches(figures: dict[str, Any]) -> str:
    """How many elements, and rows by their results, are not those of the golden model."""
    of_rows = figures.get("result_mismatches")
    elements = f"{figures['mismatches']:,}"
    if of_rows is None:
        return elements
    of_beats = figures.get("reference_mismatches")
    beats = "" if of_beats is None else f", {of_beats:,} beats' references"
    return f"{elements} elements, {of_rows:,} rows' results{beats}"
