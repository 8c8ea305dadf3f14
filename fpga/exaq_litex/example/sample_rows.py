"""Rows of the sample that ships, and what the golden model makes of them, as C."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

import exaq
from exaq.data import load_attention_sample

#: Context that the firmware loads; the others are as the unit was generated.
LOADED = 1
_QUERIES = 5


def example_config() -> exaq.SoftmaxConfig:
    """The unit: rows of up to 128 elements with windows, two contexts."""
    scale = load_attention_sample().scale
    return exaq.SoftmaxConfig.preset(
        "3bit-x4", max_row=128, contexts=2, window=True, masking=False, logit_scale=scale
    )


def rows_header(config: exaq.SoftmaxConfig) -> str:
    """C: the tables to load, rows in memory, and their probabilities as they must come out.

    The rows are queries of a head, causal in every other text, by both contexts; the last one is
    longer than the unit takes.
    """
    sample = load_attention_sample()
    loaded = config.replace(clip=config.clip / 2).tables
    by_both = config.replace(context_tables=[config.tables, loaded])
    words: list[int] = []
    wanted: list[int] = []
    table = []
    for text, tokens in enumerate(sample.lengths):
        for query in np.linspace(0, tokens - 1, _QUERIES).astype(int).tolist():
            logits = sample.logits[0, text % 2, text, query, :tokens]
            window = (0, query + 1 if text % 2 else tokens)
            context = (text // 2 + query) % 2
            row = exaq.softmax(logits, by_both, contexts=context, window=window)
            table.append((len(words), tokens, context, *window, len(wanted)))
            words += _words(logits)
            wanted += _words(row)
    long = np.resize(logits, config.max_row + config.lanes + 1)
    window = (0, config.max_row)
    row = exaq.softmax(long[: config.max_row], by_both, contexts=context, window=window)
    table.append((len(words), len(long), context, *window, len(wanted)))
    words += _words(long)
    wanted += _words(row)
    return "\n".join(
        [
            "#include <stdint.h>",
            _array("int32_t", "example_thresholds", loaded.thresholds),
            _array("uint32_t", "example_exponentials", loaded.exp_rom),
            _array("uint32_t", "example_logits", words),
            _array("uint32_t", "example_wanted", wanted),
            "/* word of its logits, length, context, window, word of what is wanted */",
            f"static const struct {{ uint32_t logits, length, context, start, stop, wanted; }} "
            f"example_rows[] = {{{', '.join(f'{{{_commas(each)}}}' for each in table)}}};",
            f"#define EXAMPLE_ROWS {len(table)}",
            f"#define EXAMPLE_LONG_ROWS {sum(each[1] > config.max_row for each in table)}",
            f"#define EXAMPLE_LOADED {LOADED}",
            "",
        ]
    )


def _words(numbers: NDArray[np.generic]) -> list[int]:
    """Numbers as they lie in memory, in words; behind the last one are zeros."""
    octets = numbers.tobytes()
    octets += bytes(-len(octets) % 4)
    return np.frombuffer(octets, "<u4").tolist()


def _array(kind: str, name: str, numbers: Sequence[int]) -> str:
    return f"static const {kind} {name}[] = {{{_commas(numbers)}}};"


def _commas(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
