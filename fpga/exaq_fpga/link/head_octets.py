"""How many octets the vectors of an attention head take in messages. docs/link.md specifies them.

Each vector is its elements in their own width, the first one lowest, in whole octets.
"""

from __future__ import annotations

from exaq.attention import AttentionConfig
from exaq.attention.attention_config import QUERY_WIDTH

_OCTET = 8


def key_octets(config: AttentionConfig) -> int:
    """Octets of a key."""
    return -(-config.head_size * config.key_format.width // _OCTET)


def value_octets(config: AttentionConfig) -> int:
    """Octets of a value."""
    return -(-config.head_size * config.value_width // _OCTET)


def pair_octets(config: AttentionConfig) -> int:
    """Octets of a key and its value in KEYS_VALUES."""
    return key_octets(config) + value_octets(config)


def query_octets(config: AttentionConfig) -> int:
    """Octets of a row of q in QUERIES."""
    return config.head_size * QUERY_WIDTH // _OCTET


def output_octets(config: AttentionConfig) -> int:
    """Octets that the answer to QUERIES has for each row."""
    return config.head_size * config.output_width // _OCTET
