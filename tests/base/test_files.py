"""Sealed files: whatever interrupts the writing, nothing unfinished counts as finished; damage is named."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bctlib.base.errors import BctError
from bctlib.base.files import check_seal, digest_of, is_sealed, marker, remove_leftovers, replace_atomically, seal


def put(path: Path, content: bytes) -> None:
    seal(path, lambda temporary: temporary.write_bytes(content))


def test_a_sealed_file_is_whole_and_readable_by_others(tmp_path):
    path = tmp_path / "deep" / "a.bin"
    put(path, b"first")
    assert is_sealed(path) and path.read_bytes() == b"first"
    check_seal(path)
    assert marker(path).read_text() == f"{digest_of(path)}  a.bin\n"  # as sha256sum writes and reads it
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o644}
    put(path, b"second")
    check_seal(path)
    assert path.read_bytes() == b"second"
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.bin", "a.bin.sha256"]


def test_only_both_files_together_count(tmp_path):
    path = tmp_path / "a.bin"
    assert not is_sealed(path)
    path.write_bytes(b"no marker")
    assert not is_sealed(path)
    with pytest.raises(BctError, match="a.bin is unfinished"):
        check_seal(path)
    put(path, b"content")
    path.unlink()
    assert not is_sealed(path)
    with pytest.raises(BctError, match="a.bin is unfinished"):
        check_seal(path)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize("held", [None, b"older"])
def test_an_interrupted_writer_leaves_the_old_content_or_none(tmp_path, interruption, held):
    path = tmp_path / "a.bin"
    if held:
        path.write_bytes(held)

    def write(temporary: Path) -> None:
        temporary.write_bytes(b"hal")
        raise interruption

    with pytest.raises(interruption):
        replace_atomically(path, write)
    assert (path.read_bytes() if held else None) == held
    assert [p.name for p in tmp_path.iterdir()] == (["a.bin"] if held else [])


@pytest.mark.parametrize("renames_that_work", [0, 1])
@pytest.mark.parametrize("held", [False, True])
def test_sealing_cut_off_at_any_rename_is_not_sealed(tmp_path, monkeypatch, renames_that_work, held):
    path = tmp_path / "a.bin"
    if held:
        put(path, b"older")
    rename, done = os.replace, []

    def cut_off(source, target):
        if len(done) == renames_that_work:
            raise KeyboardInterrupt
        done.append(target)
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", cut_off)
        with pytest.raises(KeyboardInterrupt):
            put(path, b"newer")
    assert not is_sealed(path)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    put(path, b"newer")
    check_seal(path)


def test_damage_is_found_and_named(tmp_path):
    path = tmp_path / "a.bin"
    for damage in (
        lambda: path.write_bytes(b"contenu"),
        lambda: path.write_bytes(b"conten"),
        lambda: path.write_bytes(b""),
        lambda: marker(path).write_text("0" * 64 + "  a.bin\n"),
    ):
        put(path, b"content")
        damage()
        assert is_sealed(path)
        with pytest.raises(BctError, match=r"a\.bin is damaged.*a\.bin\.sha256"):
            check_seal(path)
    for empty in (b"", b"\n", b"\xff\xfe"):
        put(path, b"content")
        marker(path).write_bytes(empty)
        with pytest.raises(BctError, match=r"a\.bin.*a\.bin\.sha256"):
            check_seal(path)


def test_where_nothing_can_be_written_one_sentence_says_so(tmp_path, monkeypatch):
    (tmp_path / "folder").write_text("a file in the folder's place")
    with pytest.raises(BctError, match="cannot write into .*folder"):
        put(tmp_path / "folder" / "a.bin", b"content")

    def full(temporary: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(BctError, match=r"cannot write .*a\.bin: No space left on device"):
        seal(tmp_path / "a.bin", full)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


WRITER = """
import sys, time
from pathlib import Path
from bctlib.base.files import replace_atomically

def slowly(path):
    path.write_text("half")
    (path.parent / ".tmpAbC123").write_text("of the library that writes")
    print("writing", flush=True)
    sys.stdin.readline()
    path.write_text("whole")

replace_atomically(Path(sys.argv[1]), slowly)
"""


def writer_of(path: Path) -> subprocess.Popen:
    """A process that is in the middle of writing the file, and goes on when it is sent a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    return process


def test_leftovers_of_killed_writers_go_and_nothing_else_does(tmp_path):
    path = tmp_path / "a.bin"
    foreign = [".tmpnotes1", ".a.bin.swp", ".a.bin.AbC123", ".a.bin.bctlib-notes", ".b.bin.bctlib-abcdefgh"]
    for name in foreign:
        (tmp_path / name).write_text("somebody's")
    for name in (".tmpAbC123", ".a.bin.bctlib-mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kept").write_text("somebody's")
    (tmp_path / ".a.bin.bctlib-killed0").mkdir()
    killed = writer_of(path)
    killed.kill()
    killed.communicate()
    alive = writer_of(path)
    other = writer_of(tmp_path / "b.bin")
    assert len(list(tmp_path.glob(".a.bin.bctlib-*"))) == 5
    remove_leftovers(path)
    assert len(list(tmp_path.glob(".a.bin.bctlib-*"))) == 3, "those of killed ones are gone"
    for process in (alive, other):
        process.communicate("go on\n")
        assert process.returncode == 0
    assert path.read_text() == "whole" and (tmp_path / "b.bin").read_text() == "whole"
    remove_leftovers(path)
    left = {"a.bin", "b.bin", ".tmpAbC123", ".a.bin.bctlib-mine", *foreign}
    assert {each.name for each in tmp_path.iterdir()} == left


def test_a_writer_without_locks_writes_all_the_same(tmp_path, monkeypatch):
    def no_locks(self, timeout):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("bctlib.base.files.FileLock.acquire", no_locks)
    put(tmp_path / "a.bin", b"content")
    check_seal(tmp_path / "a.bin")
    assert {each.name for each in tmp_path.iterdir()} == {"a.bin", "a.bin.sha256"}
