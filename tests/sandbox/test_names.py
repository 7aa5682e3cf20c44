"""Names of files that no terminal likes travel both ways: folders by both protocols, sessions by theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.cluster import IMAGE

NAMES = [
    "line\nbreak",
    "carriage\rreturn",
    "both\r\nof them",
    "line\r\n\r\nX-Header: no",
    "two\n\nlines.txt",
    "\n",
    "end\n",
    "\nbeginning",
    "tab\tvertical\vform\fbell\a",
    "next\x85line and \u2028 separators",
    '"quoted" \\back; semi',
    "per%0Acent %41",
    " blanks ",
    "\x1b[31mred",
    "日本 語",
    "plus+and&more=?#",
    "'single'",
]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with one file of each name, whose content is its name."""
    here = tmp_path / "here"
    for directory in (here, here / "sub\ndirectory"):
        directory.mkdir()
        for name in NAMES:
            (directory / name).write_bytes(name.encode())
    return here


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_folder_takes_and_gives_every_name(any_session, name, files, tmp_path):
    any_session.VFolder.create(name)
    folder = any_session.VFolder(name)
    try:
        folder.upload(list(contents(files)), basedir=files)
        folder.download(list(contents(files)), basedir=tmp_path / "back")
        assert contents(tmp_path / "back") == contents(files)
        folder.download(["."], basedir=tmp_path / "tree", recursive=True)
        assert contents(tmp_path / "tree") == contents(files)
    finally:
        folder.delete()


def test_a_session_takes_and_gives_every_name(any_session, name, files, tmp_path, monkeypatch):
    monkeypatch.chdir(files)
    kernel = any_session.Kernel.get_or_create(IMAGE, name=name)
    try:
        for path, content in contents(files).items():
            kernel.upload([path])
            kernel.download([path], dest=tmp_path / "back")
            assert (tmp_path / "back" / Path(path).name).read_bytes() == content
        assert len(contents(tmp_path / "back")) == len(NAMES)
    finally:
        kernel.destroy()
