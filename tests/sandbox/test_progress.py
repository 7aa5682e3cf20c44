"""Progress of a session's small files, as bars and as calls."""

from __future__ import annotations

import pytest

from ai.backend.client.exceptions import BackendAPIError, InvalidArgument

NAME = "a 'b' ü%41.bin"


@pytest.fixture
def local(tmp_path):
    folder = tmp_path / "local"
    folder.mkdir()
    (folder / NAME).write_bytes(bytes(range(256)) * 3000)
    (folder / "small").write_bytes(b"x")
    return folder


def test_hooks_hear_of_every_file_until_its_end(kernel, local, tmp_path):
    told = []
    kernel.upload([local / NAME, local / "small"], basedir=local, on_progress=lambda *step: told.append(step))
    for name, size in ((NAME, 768_000), ("small", 1)):
        moved = [done for path, done, total in told if (path, total) == (name, size)]
        assert moved[-1] == size
        assert moved == sorted(moved)
    assert {path for path, _, _ in told} == {NAME, "small"}

    told.clear()
    kernel.download([NAME, "small"], dest=tmp_path / "back", on_progress=lambda *step: told.append(step))
    assert (tmp_path / "back" / NAME).read_bytes() == (local / NAME).read_bytes()
    assert {path for path, _, _ in told} == {f"{NAME}, small"}
    assert told[-1][1] > 768_000
    assert told[-1][2] in (None, told[-1][1])


def test_bars_are_for_who_wants_them(kernel, local, tmp_path, capsys):
    kernel.upload([local / NAME], basedir=local)
    kernel.download([NAME], dest=tmp_path)
    assert capsys.readouterr().err == ""
    kernel.upload([local / NAME], basedir=local, show_progress=True)
    bar = capsys.readouterr().err
    assert "Uploading: 100%" in bar
    assert "750k/750k" in bar
    kernel.download([NAME], dest=tmp_path, show_progress=True)
    assert "Downloading" in capsys.readouterr().err
    with pytest.raises(BackendAPIError):
        kernel.download(["no such file"], dest=tmp_path, show_progress=True)


def test_what_is_no_hook_is_refused(kernel, local):
    for call in (kernel.upload, kernel.download):
        for name, value in (("on_progress", "print"), ("show_progress", "yes")):
            with pytest.raises(InvalidArgument, match=name):
                call([str(local / "small")], **{name: value})
