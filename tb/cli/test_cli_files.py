"""Outputs appear whole or not at all; arrays are what they must be."""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exaq_cli.errors import UserError
from exaq_cli.files import load_array, replacing, save_array, write_bytes, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_and_bytes_appear_at_the_end(tmp_path: Path) -> None:
    with write_text(tmp_path / "a.txt") as text, write_bytes(tmp_path / "b.bin") as binary:
        text.write("é\n")
        binary.write(b"\x01")
        assert not (tmp_path / "a.txt").exists()
    assert names(tmp_path) == ["a.txt", "b.bin"]
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\n"
    assert (tmp_path / "b.bin").read_bytes() == b"\x01"


def test_nothing_stays_of_a_failure(tmp_path: Path) -> None:
    old = tmp_path / "old.txt"
    old.write_text("old")

    def half_done() -> None:
        with replacing(old, tmp_path / "new.txt") as (first, second):
            first.write_text("half")
            second.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half_done()
    assert names(tmp_path) == ["old.txt"]
    assert old.read_text() == "old"


def test_sigterm_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "new.txt"):
        os.kill(os.getpid(), signal.SIGTERM)
    assert names(tmp_path) == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_is_read_is_not_written(tmp_path: Path) -> None:
    read = tmp_path / "read.txt"
    read.write_text("precious")
    message = f"^cannot write {re.escape(str(read))}: the command reads it$"
    other = tmp_path / "folder" / ".." / "read.txt"
    with (
        pytest.raises(UserError, match=message),
        replacing(tmp_path / "new.txt", read, inputs=[other]),
    ):
        pass
    assert names(tmp_path) == ["read.txt"]
    assert read.read_text() == "precious"


def test_temporary_file_keeps_suffix_and_folder(tmp_path: Path) -> None:
    with replacing(tmp_path / "map.png") as (temporary,):
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".png")
        temporary.write_bytes(b"x")


def test_missing_folders_are_made(tmp_path: Path) -> None:
    paths = [tmp_path / "a/b/one", tmp_path / "a/c/two", tmp_path / "three"]
    with replacing(*paths) as temporary:
        for path in temporary:
            path.write_text(path.stem)
    assert names(tmp_path) == ["a", "three"]
    assert [names(path.parent) for path in paths[:2]] == [["one"], ["two"]]


@pytest.mark.parametrize("other", ["new/deep/two", "file/two"])
def test_folders_of_a_failure_go(tmp_path: Path, other: str) -> None:
    """Those that the command made, where it fails after it began, and before."""
    (tmp_path / "file").touch()
    (tmp_path / "old").mkdir()
    with (
        pytest.raises((UserError, RuntimeError)),
        replacing(tmp_path / "old/new/one", tmp_path / "new/x", tmp_path / other),
    ):
        raise RuntimeError
    assert names(tmp_path) == ["file", "old"]
    assert names(tmp_path / "old") == []


def test_a_folder_that_another_uses_stays(tmp_path: Path) -> None:
    def disturbed() -> None:
        with write_text(tmp_path / "new/one"):
            (tmp_path / "new/other").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        disturbed()
    assert names(tmp_path / "new") == ["other"]


def test_file_gets_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with write_text(tmp_path / "written"):
        pass
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "written")]
    assert modes[0] == modes[1]


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with write_text(tmp_path / "link") as file:
        file.write("x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "x"


def test_unwritable_output_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, reason in {
        tmp_path / "file/out": os.strerror(errno.ENOTDIR),
        tmp_path / "file/new/out": os.strerror(errno.ENOTDIR),
        tmp_path: "it is there and not a regular file",
        Path(os.devnull): "it is there and not a regular file",
    }.items():
        with pytest.raises(UserError) as refused, replacing(tmp_path / "good", path):
            pytest.fail("the body must not run")
        assert str(refused.value) == f"cannot write {path}: {reason}"
        assert names(tmp_path) == ["file"]


def test_two_outputs_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with pytest.raises(UserError) as refused, replacing(path, tmp_path / "." / "out"):
        pytest.fail("the body must not run")
    assert str(refused.value) == f"cannot write {path}: two outputs of one command have that name"
    assert names(tmp_path) == []


@pytest.mark.parametrize("dtype", ["i1", ">i4", "u2", "f2", ">f8"])
def test_array_round_trip(dtype: str, tmp_path: Path) -> None:
    array = np.arange(12, dtype=dtype).reshape(3, 4)
    save_array(tmp_path / "a", array)
    assert names(tmp_path) == ["a"]
    read = load_array(tmp_path / "a", "integer", "float")
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype.newbyteorder("=")


REFUSED_ARRAYS: dict[str, tuple[Any, str]] = {
    "nan": (np.array([[1, 2], [3, np.nan]]), "holds nan at [1, 1]; all values must be finite"),
    "inf": (np.array([0, -np.inf], "f2"), "holds -inf at [1]; all values must be finite"),
    "complex": (np.zeros(2, "c8"), "must hold integer or float values, not complex64"),
    "boolean": (np.zeros(2, "?"), "must hold integer or float values, not bool"),
    "text": (np.array(["a"]), "must hold integer or float values, not <U1"),
    "objects": (np.array([{}]), "must hold numbers, not Python objects"),
    "scalar": (np.array(3), "holds a single value; its last axis must be the row"),
    "empty": (np.zeros((0, 4)), "is empty: its shape is (0, 4)"),
}


@pytest.mark.parametrize("case", REFUSED_ARRAYS)
def test_array_of_the_wrong_kind_is_refused(case: str, tmp_path: Path) -> None:
    array, reason = REFUSED_ARRAYS[case]
    path = tmp_path / "a.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(UserError) as refused:
        load_array(path, "integer", "float")
    assert str(refused.value) == f"{path} {reason}"


@pytest.mark.parametrize("shape", [(), (4,), (1, 4), (3, 1), (3, 4), (2, 1, 1)])
def test_shapes_that_fit(shape: tuple[int, ...], tmp_path: Path) -> None:
    save_array(tmp_path / "m.npy", np.ones(shape, bool))
    assert load_array(tmp_path / "m.npy", "boolean", fits=(2, 3, 4)).shape == shape


@pytest.mark.parametrize("shape", [(3,), (4, 3), (1, 2, 3, 4), (3, 3, 4)])
def test_shapes_that_do_not_fit(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "m.npy"
    save_array(path, np.ones(shape, bool))
    with pytest.raises(UserError) as refused:
        load_array(path, "boolean", fits=(2, 3, 4))
    assert str(refused.value) == f"{path} has the shape {shape}, which does not fit (2, 3, 4)"


def test_file_that_is_no_array_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.npy"
    save_array(whole, np.arange(100))
    text = whole.read_bytes()
    broken = {
        "text": (b"1, 2, 3", "is not a .npy file"),
        "nothing": (b"", "is not a .npy file"),
        "header only": (text[:40], "is damaged: not a whole .npy file"),
        "cut short": (text[:-3], "is damaged: not a whole .npy file"),
        "too large": (
            text.replace(b"(100,)", b"(9999999999999999,)"),
            "is damaged: not a whole .npy file",
        ),
    }
    for content, reason in broken.values():
        path = tmp_path / "broken.npy"
        path.write_bytes(content)
        with pytest.raises(UserError) as refused:
            load_array(path, "integer")
        assert str(refused.value) == f"{path} {reason}"


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    for path, reason in {
        tmp_path / "missing.npy": os.strerror(errno.ENOENT),
        tmp_path: os.strerror(errno.EISDIR),
    }.items():
        with pytest.raises(UserError) as refused:
            load_array(path, "integer")
        assert str(refused.value) == f"cannot read {path}: {reason}"
