"""How the commands' summaries put a configuration into words."""

from __future__ import annotations

from exaq import SoftmaxConfig


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
