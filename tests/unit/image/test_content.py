"""Content of files: text with slots, host files, slices."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from provisioner.errors import FailedError
from provisioner.image.content import (
    BLOCK,
    holds_secret,
    opened_untouched,
    planned_length,
    resolve,
)
from provisioner.secret import Generated, SecretSlot
from provisioner.tree import Bytes, Content, File, HostFile, Slice, Text

WHERE = PurePosixPath("folder/file")
SLOT = SecretSlot(name="users.dev", reference=Generated(generate=20), encoding="xml")


def written(*parts: Content, secret: str = "s3cret") -> bytes:
    payload = resolve(WHERE, File(content=parts), lambda slot: f"{slot.name}={secret}")
    data = b"".join(payload.blocks())
    assert payload.length == len(data)
    return data


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (Text(parts=()), b""),
        (Text(parts=("a\nb\n",)), b"a\r\nb\r\n"),
        (Text(parts=("a\nb\n",), newline="\n"), b"a\nb\n"),
        (Text(parts=("a\r\nb\n",)), b"a\r\nb\r\n"),
        (Text(parts=("<P>", SLOT, "</P>\n")), b"<P>users.dev=s3cret</P>\r\n"),
        (Text(parts=("é",), encoding="utf-8"), b"\xc3\xa9"),
        (Text(parts=("a", "b\n"), encoding="utf-8-sig"), b"\xef\xbb\xbfab\r\n"),
        (Text(parts=("a\n",), encoding="utf-16-le"), b"a\0\r\0\n\0"),
    ],
)
def test_text_is_joined_then_encoded(text: Text, expected: bytes) -> None:
    assert written(text) == expected


def test_a_secret_is_written_as_revealed_line_ends_included() -> None:
    assert written(Text(parts=(SLOT,)), secret="a\nb\r\n") == b"users.dev=a\nb\r\n"


def test_parts_of_all_kinds_follow_each_other(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"0123456789")
    parts = (
        Bytes(data=b"<"),
        HostFile(path=source, size=10),
        Text(parts=("\n",)),
        Slice(image=source, offset=3, length=4),
        Slice(image=source, offset=10, length=0),
    )
    assert written(*parts) == b"<0123456789\r\n3456"
    assert planned_length(File(content=parts)) == 1 + 10 + 1 + 4


def test_text_outside_its_encoding_names_character_and_line() -> None:
    with pytest.raises(FailedError, match=r"folder/file: '\\xe9' \(line 2 of its part\)"):
        written(Text(parts=("plain", "one\ntw\u00e9")))


def test_a_secret_outside_the_encoding_is_not_quoted() -> None:
    with pytest.raises(FailedError) as caught:
        written(Text(parts=("x", SLOT)), secret="geh\u00e9im")
    assert "users.dev" in str(caught.value)
    assert "\u00e9" not in str(caught.value) and "xe9" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__context__ is None


def test_a_payload_does_not_print_its_content() -> None:
    payload = resolve(WHERE, File(content=(Text(parts=(SLOT,)),)), lambda _: "canary")
    assert "canary" not in repr(payload)


def test_slots_make_a_file_secret() -> None:
    assert holds_secret(File(content=(Bytes(data=b""), Text(parts=("a", SLOT)))))
    assert not holds_secret(File(content=(Text(parts=("a",)),)))


@pytest.mark.parametrize("size", [0, 9, 11])
def test_a_host_file_of_another_size_is_refused(tmp_path: Path, size: int) -> None:
    source = tmp_path / "driver.inf"
    source.write_bytes(b"0123456789")
    with pytest.raises(FailedError, match=r"driver\.inf had \d+ bytes .* has 10 now"):
        written(HostFile(path=source, size=size))


def test_a_host_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * (BLOCK + 1))
    blocks = resolve(
        WHERE, File(content=(HostFile(path=source, size=BLOCK + 1),)), lambda _: ""
    ).blocks()
    next(blocks)
    with source.open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(FailedError, match="changed while it was read"):
        list(blocks)


def test_a_slice_beyond_the_end_is_refused(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"0123456789")
    with pytest.raises(FailedError, match="ends at byte 10, 2 bytes too early"):
        written(Slice(image=image, offset=4, length=8))


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    source = tmp_path / kind
    if kind == "folder":
        source.mkdir()
    elif kind == "pipe":
        os.mkfifo(source)
    with pytest.raises(FailedError, match=kind):
        written(HostFile(path=source, size=0))


def test_reading_leaves_the_access_time(tmp_path: Path) -> None:
    source = tmp_path / "install.iso"
    source.write_bytes(b"0123456789")
    os.utime(source, (1_000_000, 2_000_000))  # accessed before modified: relatime would update it
    with opened_untouched(source) as (descriptor, _):
        os.pread(descriptor, 10, 0)
    assert source.stat().st_atime == 1_000_000
