"""What software tells of a row, and how wide that is."""

from exaq import SoftmaxConfig

#: Bits of a row's length in elements.
LENGTH = 32


def options(config: SoftmaxConfig) -> list[tuple[str, int, str]]:
    """What rows of a unit have beside place and length: register, bits, meaning."""
    format = config.format
    index = format.index_bits
    window = [
        ("window_start", index, "first element that takes part"),
        ("window_stop", index, "element behind the last one that takes part"),
    ]
    context = [("context", format.context_bits, "context whose tables the row goes by")]
    return (context if format.context_bits else []) + (window if format.window else [])
