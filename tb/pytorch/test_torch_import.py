"""What is imported when, and what is said where the extra is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_exaq_alone_imports_neither() -> None:
    run = python("import exaq, sys; print({'torch', 'transformers'} & set(sys.modules))")
    assert (run.stdout, run.stderr) == ("set()\n", "")


@pytest.mark.parametrize("missing", ["torch", "transformers"])
def test_missing_package_names_the_extra(missing: str) -> None:
    run = python(
        "import sys\n"
        f"sys.modules[{missing!r}] = None\n"
        "import exaq\n"
        "try:\n"
        "    import exaq.torch\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    assert run.stdout == (
        f"exaq.torch needs {missing}; install it by: pip install 'exaq-softmax[torch]'\n"
    )
