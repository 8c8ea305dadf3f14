"""The hash of a package's code changes with every file of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from exaq.code_state import code_hash


def test_the_hash_of_code_sees_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_code"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "deep" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))

    seen = set()
    for text in ("a = 1\n", "a = 2\n"):
        (package / "deep" / "one.py").write_text(text)
        code_hash.cache_clear()
        seen.add(code_hash("some_code"))
    (package / "deep" / "one.py").rename(package / "deep" / "two.py")
    code_hash.cache_clear()
    assert len(seen | {code_hash("some_code")}) == 3


@pytest.mark.parametrize("name", ["no_such_package", "this"])
def test_what_is_no_package_has_no_code(name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=f"^No module named '{name}'$"):
        code_hash(name)
