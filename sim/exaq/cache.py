"""Where results that are dear to compute are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The project's folder: $EXAQ_CACHE, else exaq in $XDG_CACHE_HOME or ~/.cache."""
    if folder := os.environ.get("EXAQ_CACHE"):
        return Path(folder).absolute()
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "exaq"
    return Path.home() / ".cache" / "exaq"
