"""Transformers without words of its own: those of the project say what goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging


@contextmanager
def no_progress() -> Iterator[None]:
    """Transformers shows no progress inside the ``with`` block."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextmanager
def quiet() -> Iterator[None]:
    """As ``no_progress``; besides, Transformers logs no warnings inside the ``with`` block."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with no_progress():
            yield
    finally:
        logging.set_verbosity(verbosity)
