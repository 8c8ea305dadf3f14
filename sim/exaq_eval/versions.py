"""What figures depend on beside the model and its texts."""

import platform
from importlib import metadata

_DISTRIBUTIONS = {
    "exaq": "exaq-softmax",
    "numpy": "numpy",
    "torch": "torch",
    "transformers": "transformers",
}


def versions() -> dict[str, str]:
    """Versions of Python, of this package, and of those that it computes with."""
    return {"python": platform.python_version()} | {
        name: metadata.version(package) for name, package in _DISTRIBUTIONS.items()
    }
