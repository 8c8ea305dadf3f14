"""How the commands' summaries put a configuration into words."""

from __future__ import annotations

from exaq import SoftmaxConfig


def describe_tables(config: SoftmaxConfig) -> str:
    """Where the tables come from, and in how many contexts they are."""
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
