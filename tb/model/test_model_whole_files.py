"""A file of whole_file is there whole, or as it was before."""

from __future__ import annotations

from pathlib import Path

import pytest

from exaq.whole_files import whole_file


def test_what_is_written_takes_the_place_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("before")
    with whole_file(path) as temporary:
        temporary.write_text("after")
        assert temporary.parent == path.parent
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("there", [True, False])
def test_what_is_ended_leaves_nothing_behind(
    tmp_path: Path, error: type[BaseException], there: bool
) -> None:
    path = tmp_path / "kept"
    if there:
        path.write_text("before")

    def ended() -> None:
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        ended()
    assert [each.read_text() for each in tmp_path.iterdir()] == ["before"] * there
