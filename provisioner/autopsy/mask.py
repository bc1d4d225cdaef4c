"""Takes secrets out of texts: those that are known, in every form they take, and what looks like
one by its place. Pure.

A password stands in Setup's cached answer file as base64 of UTF-16 (docs/facts/windows-setup.md
§5.2), in logs as it is, and in command lines quoted; what is cut in two is still recognised.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from provisioner.errors import ProvisionerError
from provisioner.quoting import ENCODINGS, cmd_echo

MASK = "[masked]"
PIECE = 8
"""Characters of a secret by which a part of it is recognised."""
SHORTEST = 4
"""A shorter secret is masked only where it stands alone: it would be found in every word."""
DELETED = "*SENSITIVE*DATA*DELETED*"
"""What Setup itself writes in place of a password (docs/facts/windows-setup.md §11)."""

_CODECS = ("utf-8", "cp1252", "cp850", "utf-16-le")
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")

_ELEMENT = re.compile(
    r"<((?:\w+:)?\w*Password|(?:\w+:)?AccountData|(?:\w+:)?keyMaterial)\b[^<>]*>"
    r"(\s*<(?:\w+:)?Value\b[^<>]*>)?([^<>]*)<",
    re.IGNORECASE,
)
_PRODUCT_KEY = re.compile(
    r"(?<![A-Za-z0-9-])(?:[A-Za-z0-9]{5}-){4}([A-Za-z0-9]{5})(?![A-Za-z0-9-])"
)
_NAMED = (
    re.compile(
        r"((?:Default)?Password\"?\s*(?:=|:|REG_SZ)\s*[\"']?)([^\s\"'<>;,]+)", re.IGNORECASE
    ),
    re.compile(
        r"(\bnet1?(?:\.exe)?\s+user\s+(?:\"[^\"\n]+\"|\S+)\s+)(?!/)(\"[^\"\n]+\"|\S+)", re.I
    ),
    re.compile(
        r"(/d\s{1,9})(\"[^\"\n]{1,300}\"|\S{1,300})(?=[^\n]{0,300}DefaultPassword)", re.IGNORECASE
    ),
    re.compile(r"(DefaultPassword\b[^\n]{0,300}?/d\s+)(\"[^\"\n]+\"|\S+)", re.IGNORECASE),
    re.compile(r"(ConvertTo-SecureString\s+(?:-String\s+)?)('[^'\n]+'|\"[^\"\n]+\"|\S+)", re.I),
)
"""What follows is a password whoever wrote it: registry values, `net user`, scripts. Where a match
may fail late its parts are bounded: a hostile line of a megabyte must not take hours."""

GROWTH = 512
"""Characters of base64 or hexadecimal that are masked on both sides of a piece."""


class Mask:
    """Replaces secrets by MASK. Made once for all texts of a case."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {secret.strip("\r\n") for secret in secrets} - {"", DELETED}
        long = [secret for secret in known if len(secret) >= SHORTEST]
        wholes = {form for secret in long for form in _forms(secret)}
        self._wholes = sorted(wholes, key=lambda form: (-len(form), form))
        self._pieces = sorted(
            {(piece, secret) for secret in long if len(secret) >= 2 * PIECE - 1
             for piece in _cut(secret)}
        )  # fmt: skip
        texts = {piece for piece, _ in self._pieces} | set(long)
        self._base64 = sorted({trace for text in texts for trace in _base64_traces(text)})
        self._hexadecimal = sorted({trace for text in texts for trace in _hexadecimal(text)})
        short = sorted(known - set(long))
        self._short = (
            re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, short))})(?!\w)") if short else None
        )

    def __call__(self, text: str) -> str:
        """The text with every known secret and everything in a secret's place masked."""
        text = text.replace("\0", "")
        for form in self._wholes:
            text = text.replace(form, MASK)
        text = _covered(text, self._spans(text))
        if self._short is not None:
            text = self._short.sub(MASK, text)
        return _by_place(text)

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        for piece, secret in self._pieces:
            for at in _places(text, piece):
                yield _grown(text, at, piece, secret)
        for traces, alphabet in (
            (self._base64, _BASE64),
            (self._hexadecimal, _HEXADECIMAL),
        ):
            for trace in traces:
                end = 0
                for at in _places(text, trace):
                    if at < end:
                        continue
                    begin, end = at, at + len(trace)
                    first, last = begin - GROWTH, end + GROWTH
                    while begin > max(first, 0) and text[begin - 1] in alphabet:
                        begin -= 1
                    while end < min(last, len(text)) and text[end] in alphabet:
                        end += 1
                    yield begin, end


def secrets_in(text: str) -> frozenset[str]:
    """The passwords that an answer file holds, as they are typed."""
    found: set[str] = set()
    for element in _ELEMENT.finditer(text):
        name, value = element[1].rpartition(":")[2], html.unescape(element[3].strip())
        if not value or value == DELETED or value.startswith("["):
            continue
        found.add(value)
        with suppress(ValueError, binascii.Error):
            decoded = base64.b64decode(value, validate=True).decode("utf-16-le")
            for suffix in (name, "Password"):
                if decoded.endswith(suffix):
                    found.add(decoded.removesuffix(suffix))
                    break
    return frozenset(found - {""})


def _by_place(text: str) -> str:
    text = _ELEMENT.sub(_masked_element, text)
    text = _PRODUCT_KEY.sub(lambda key: f"XXXXX-XXXXX-XXXXX-XXXXX-{key[1]}", text)
    for pattern in _NAMED:
        text = pattern.sub(lambda found: found[1] + MASK, text)
    return text


def _masked_element(element: re.Match[str]) -> str:
    value = element[3].strip()
    if not value or value in (DELETED, MASK) or value.startswith("["):
        return element[0]
    return element[0][: element.start(3) - element.start()] + f"{MASK}<"


def _forms(secret: str) -> Iterator[str]:
    """The secret as each place quotes it, and as each wrong encoding shows it."""
    yield secret
    quotings: tuple[Callable[[str], str], ...] = (
        *ENCODINGS.values(),
        cmd_echo,
        html.escape,
        lambda text: html.escape(text, quote=False),
        lambda text: json.dumps(text)[1:-1],
        lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
        lambda text: urllib.parse.quote(text, safe=""),
        lambda text: text.replace("'", "''"),
        lambda text: text.replace("%", "%%"),
        lambda text: text.replace('"', '\\"'),
    )
    for quoted in quotings:
        with suppress(ProvisionerError):
            form = quoted(secret)
            yield form
            if len(form) > 2 and form[0] == form[-1] and form[0] in "'\"":
                yield form[1:-1]
    for written in _CODECS:
        data = secret.encode(written, "replace")
        for read in _CODECS:
            form = data.decode(read, "replace").replace("\0", "")
            # Every second character of UTF-16 is visible or it is nothing but noise.
            if len(form) >= SHORTEST:
                yield form


def _cut(secret: str) -> Iterator[str]:
    for at in range(0, len(secret) - PIECE + 1, PIECE):
        yield secret[at : at + PIECE]
    yield secret[-PIECE:]


def _base64_traces(text: str) -> Iterator[str]:
    """The characters that are the same in base64 of any bytes with `text` in them."""
    for data in (text.encode(), text.encode("utf-16-le")):
        for shift in range(3):
            encoded = base64.b64encode(bytes(shift) + data).decode()
            trace = encoded[-(-shift * 8 // 6) : (shift + len(data)) * 8 // 6]
            if len(trace) >= 6:
                yield trace


def _hexadecimal(text: str) -> Iterator[str]:
    for data in (text.encode(), text.encode("utf-16-le")):
        yield data.hex()
        yield data.hex().upper()


def _places(text: str, wanted: str) -> Iterator[int]:
    at = text.find(wanted)
    while at >= 0:
        yield at
        at = text.find(wanted, at + 1)


def _grown(text: str, at: int, piece: str, secret: str) -> tuple[int, int]:
    """The piece in the text, and what stands around it both there and in the secret."""
    inside = secret.index(piece)
    begin, end = at, at + len(piece)
    before, after = inside, inside + len(piece)
    while begin and before and text[begin - 1] == secret[before - 1]:
        begin, before = begin - 1, before - 1
    while end < len(text) and after < len(secret) and text[end] == secret[after]:
        end, after = end + 1, after + 1
    return begin, end


def _covered(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text with each of the spans, which may overlap, replaced once."""
    parts: list[str] = []
    done = 0
    for begin, end in sorted(spans):
        if end <= done:
            continue
        if begin >= done and (begin > done or not parts):
            parts += [text[done:begin], MASK]
        done = end
    return "".join([*parts, text[done:]])
