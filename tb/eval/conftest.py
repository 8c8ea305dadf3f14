"""Models of random weights, small enough for tests, as folders that Transformers reads."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest

_MISSING = [name for name in ("torch", "transformers") if find_spec(name) is None]
_NEED_THEM = {
    "test_eval_command.py",
    "test_eval_evaluation.py",
    "test_eval_folders.py",
    "test_eval_remote.py",
    "test_study_architectures.py",
    "test_study_choice.py",
    "test_study_heads.py",
    "test_study_heads_unit.py",
    "test_study_kernel_models.py",
    "test_study_training.py",
    "test_study_weights.py",
}

_WORDS = ("the", "a", "of", "to", "in", "is", "and", "for", "file", "object", "class", "returns")


class _Skipped(pytest.Module):
    def collect(self) -> NoReturn:
        pytest.skip(f"needs {' and '.join(_MISSING)}, of the extra torch")


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    """A module that is not even imported where something is missing that it needs."""
    if _MISSING and module_path.name in _NEED_THEM:
        return _Skipped.from_parent(parent, path=module_path)
    return None


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Such small models gain nothing from threads, and tests that run beside them lose."""
    if not _MISSING:
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers, two heads, and a tokenizer of a few words."""
    import torch
    import transformers

    config = transformers.BertConfig(
        vocab_size=len(_WORDS) + 4,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=1.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.BertModel(config)
    return _save(model, tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="session")
def decoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers, four heads in two groups, with the same tokenizer."""
    import torch
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=len(_WORDS) + 4,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32,
        initializer_range=1.0,
        use_cache=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(config)
    return _save(model, tmp_path_factory.mktemp("models") / "tiny-llama")


def _save(model: object, folder: Path) -> Path:
    import tokenizers
    import transformers

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *_WORDS]
    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel(dict(zip(names, range(len(names)), strict=True)), "[UNK]")
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]"
    )
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)  # type: ignore[attr-defined]
    return folder
