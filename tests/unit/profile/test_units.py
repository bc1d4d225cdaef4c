"""The small types: what they take, what they refuse, and what they say then."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.profile.cldr import iana_of_windows, languages, windows_of_iana
from provisioner.profile.units import (
    ComputerName,
    Duration,
    GroupName,
    Keyboard,
    LanguageTag,
    Line,
    MacAddress,
    MachineName,
    ProductKeyFormat,
    Size,
    TimeZone,
    UserName,
)
from provisioner.profile.values import BadValue

FACTS = Path(__file__).parents[3] / "docs/facts/windows-setup.md"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("8 GiB", 8 * 1024**3),
        ("8GiB", 8 * 1024**3),
        ("80 GB", 80 * 10**9),
        ("1.5 GiB", 1536 * 1024**2),
        ("512 MiB", 512 * 1024**2),
        ("1 kB", 1000),
        ("1 B", 1),
    ],
)
def test_sizes(text: str, count: int) -> None:
    size = Size(text)
    assert (size.bytes, int(size), str(size)) == (count, count, text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("8", "a size needs a unit: '8 GiB' or '8 GB'?"),
        ("8G", "did you mean '8 GiB' (powers of 1024) or '8 GB' (powers of 1000)?"),
        ("8 gib", "did you mean '8 GiB'?"),
        ("8  GiB", "did you mean '8 GiB'?"),
        ("1,5 GB", "did you mean '1.5 GiB' (powers of 1024) or '1.5 GB' (powers of 1000)?"),
        ("64 k", "did you mean '64 KiB' (powers of 1024) or '64 kB' (powers of 1000)?"),
        ("a lot", "write a number and a unit, like '8 GiB' or '80 GB'"),
        ("-1 GiB", "write a number and a unit, like '8 GiB' or '80 GB'"),
        ("", "write a number and a unit, like '8 GiB' or '80 GB'"),
        ("0 GiB", None),
        ("0.1 B", None),
        ("9999999 TiB", None),
        ("٣ GiB", "write a number and a unit, like '8 GiB' or '80 GB'"),
    ],
)
def test_no_sizes(text: str, hint: str | None) -> None:
    with pytest.raises(BadValue) as caught:
        Size(text)
    assert (caught.value.rule, caught.value.hint) == ("profile.size", hint)


@given(st.integers(1, 2**63 - 1))
def test_every_size_has_an_exact_text(count: int) -> None:
    size = Size.of(count)
    assert size.bytes == count
    assert Size(str(size)) == size


@given(st.integers(1, 30 * 24 * 3600))
def test_every_duration_has_an_exact_text(seconds: int) -> None:
    duration = Duration.of(seconds)
    assert duration.seconds == seconds
    assert Duration(str(duration)) == duration


@given(st.text(max_size=20))
def test_arbitrary_text_is_a_value_or_bad(text: str) -> None:
    for kind in (Size, Duration, MachineName, ComputerName, UserName, GroupName, Line, MacAddress):
        _value_or_bad(kind, text)
    for kind in (ProductKeyFormat, LanguageTag, Keyboard, TimeZone):
        _value_or_bad(kind, text)


def _value_or_bad(kind: type, text: str) -> None:
    try:
        value = kind(text)
    except BadValue:
        return
    assert kind(str(value)) == value


def test_amounts_compare_by_what_they_amount_to() -> None:
    assert Size("1 GiB") == Size("1024 MiB")
    assert hash(Size("1 GiB")) == hash(Size("1024 MiB"))
    assert Size("1 GB") < Size("1 GiB") <= Size("2 GiB")
    assert Duration("90 min") == Duration("1 h 30 min")
    assert hash(Duration("90 min")) == hash(Duration("1 h 30 min"))
    assert Duration("10 s") < Duration("1 min")
    assert Size("1 B") != 1
    assert Duration("1 s") != Size("1 B")
    with pytest.raises(AttributeError):
        Size("1 B").bytes = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90 min", 5400), ("10 s", 10), ("1 h 30 min", 5400), ("1h 30min 5s", 5405), ("8 h", 28800)],
)
def test_durations(text: str, seconds: int) -> None:
    assert (Duration(text).seconds, str(Duration(text))) == (seconds, text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("90", "a duration needs a unit: '90 min' or '90 s'?"),
        ("5m", "did you mean '5 min'?"),
        ("2 hours", "did you mean '2 h'?"),
        ("10 sec.", "did you mean '10 s'?"),
        ("30 min 1 h", "write hours, minutes and seconds like '1 h 30 min' or '10 s'"),
        ("", "write hours, minutes and seconds like '1 h 30 min' or '10 s'"),
        (" 5 min", "did you mean '5 min'?"),
        ("0 s", None),
        ("999999 h", None),
    ],
)
def test_no_durations(text: str, hint: str | None) -> None:
    with pytest.raises(BadValue) as caught:
        Duration(text)
    assert (caught.value.rule, caught.value.hint) == ("profile.duration", hint)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (MachineName, "dev11", "dev11"),
        (MachineName, "a.b_c-d", "a.b_c-d"),
        (MachineName, "x" * 48, "x" * 48),
        (ComputerName, "DEV11", "DEV11"),
        (ComputerName, "a" * 15, "a" * 15),
        (ComputerName, "WEB_01-a", "WEB_01-a"),
        (UserName, "dev", "dev"),
        (UserName, "Jürgen Müller", "Jürgen Müller"),
        (UserName, "Administrator", "Administrator"),
        (UserName, "a" * 20, "a" * 20),
        (GroupName, "Remote Desktop Users", "Remote Desktop Users"),
        (MacAddress, "52-54-00-AB-CD-EF", "52:54:00:ab:cd:ef"),
        (ProductKeyFormat, "vk7jg-nphtm-c97jm-9mpgt-3v66t", "VK7JG-NPHTM-C97JM-9MPGT-3V66T"),
        (LanguageTag, "de-de", "de-DE"),
        (LanguageTag, "zh-CN", "zh-CN"),
        (LanguageTag, "zh-TW", "zh-TW"),
        (LanguageTag, "sr-Latn-RS", "sr-Latn-RS"),
        (LanguageTag, "es-419", "es-419"),
        (LanguageTag, "pt-BR", "pt-BR"),
        (LanguageTag, "nb-NO", "nb-NO"),
        (LanguageTag, "ca-ES-valencia", "ca-ES-valencia"),
        (Keyboard, "0407:00000407", "0407:00000407"),
        (Keyboard, "de-ch", "de-CH"),
        (
            Keyboard,
            "0411:{03B5835F-F03C-411B-9CE2-AA23E1171E36}{A76C93D9-5523-4E90-AAFA-4DB112F9AC76}",
            "0411:{03B5835F-F03C-411B-9CE2-AA23E1171E36}{A76C93D9-5523-4E90-AAFA-4DB112F9AC76}",
        ),
        (TimeZone, "Europe/Berlin", "Europe/Berlin"),
        (TimeZone, "W. Europe Standard Time", "W. Europe Standard Time"),
    ],
)
def test_texts(kind: type[str], text: str, value: str) -> None:
    found = kind(text)
    assert found == value
    assert isinstance(found, str)


BAD_TEXTS = [
    (MachineName, "x" * 49, "profile.name", None),
    (MachineName, "", "profile.name", "use letters"),
    (MachineName, "a/b", "profile.name", "'a-b'"),
    (MachineName, "../x", "profile.name", "'x'"),
    (MachineName, "-x", "profile.name", "'x'"),
    (MachineName, "x.", "profile.name", "'x'"),
    (MachineName, "12", "profile.name", "'vm12'"),
    (MachineName, "a\n", "profile.name", "'a'"),
    (ComputerName, "ABCDEFGHIJKLMNOP", "windows.computer-name", "it has 16 characters"),
    (ComputerName, "12345", "windows.computer-name", "at least one letter"),
    (ComputerName, "MY PC", "windows.computer-name", "letters, digits and hyphens"),
    (ComputerName, "PC-", "windows.computer-name", "no hyphen at the ends"),
    (ComputerName, "PC\n", "windows.computer-name", "letters, digits and hyphens"),
    (ComputerName, "*", "windows.computer-name", "letters, digits and hyphens"),
    *((ComputerName, f"A{c}B", "windows.computer-name", None) for c in "{}|~[]\\^'\":;<>=?@!#$%`"),
    *((ComputerName, f"A{c}B", "windows.computer-name", None) for c in "()+/.,*& ä"),
    (UserName, "a" * 21, "windows.user-name", "it has 21 characters"),
    *((UserName, f"a{c}b", "windows.user-name", "are safe") for c in '/\\[]:|<>+=;,?*%@"\n\x00'),
    (UserName, "", "windows.user-name", None),
    (UserName, " a", "windows.user-name", None),
    (UserName, "a.", "windows.user-name", None),
    (UserName, "None", "windows.user-name", None),
    (UserName, "GUEST", "windows.user-name", None),
    (GroupName, "Administrators;Users", "windows.group-name", "its own list item"),
    (GroupName, "", "windows.group-name", None),
    (Line, "two\nlines", "profile.one-line", None),
    (MacAddress, "52:54:00:12:34", "machine.mac", "six pairs"),
    (MacAddress, "53:54:00:12:34:56", "machine.mac", "'52:54:00:12:34:56'"),
    (MacAddress, "00:00:00:00:00:00", "machine.mac", None),
    (ProductKeyFormat, "VK7JG-NPHTM", "windows.product-key", "five groups"),
    (ProductKeyFormat, "00000-00000-00000-00000-00000", "windows.product-key", "compare 0"),
    (LanguageTag, "de", "windows.language", "did you mean 'de-DE' (German)?"),
    (LanguageTag, "de_DE.UTF-8", "windows.language", "did you mean 'de-DE' (German)?"),
    (LanguageTag, "en", "windows.language", "did you mean 'en-US' (English)?"),
    (LanguageTag, "sr-RS", "windows.language", "did you mean 'sr-"),
    (LanguageTag, "german", "windows.language", None),
    (LanguageTag, "x", "windows.language", "like 'en-US' or 'de-DE'"),
    (Keyboard, "de-GE", "windows.keyboard", "did you mean 'de-DE' (German)?"),
    (Keyboard, "0407:407", "windows.keyboard", "'0407:00000407'"),
    (TimeZone, "Berlin", "windows.timezone", "did you mean 'Europe/Berlin'?"),
    (TimeZone, "europe/berlin", "windows.timezone", "did you mean 'Europe/Berlin'?"),
    (TimeZone, "New York", "windows.timezone", "did you mean 'America/New_York'?"),
    (TimeZone, "W Europe Standard Time", "windows.timezone", "'W. Europe Standard Time'"),
    (TimeZone, "qqqqqqqqqqqq", "windows.timezone", "write an IANA name"),
]


@pytest.mark.parametrize(("kind", "text", "rule", "hint"), BAD_TEXTS)
def test_no_texts(kind: type[str], text: str, rule: str, hint: str | None) -> None:
    with pytest.raises(BadValue) as caught:
        kind(text)
    assert caught.value.rule == rule
    assert hint is None or hint in (caught.value.hint or "")


def test_a_product_key_is_never_named() -> None:
    with pytest.raises(BadValue) as caught:
        ProductKeyFormat("VK7JG-NPHTM-C97JM-9MPGT-3V66")
    assert "VK7JG" not in repr((caught.value.message, caught.value.hint))


@pytest.mark.parametrize(
    ("text", "windows_id", "iana"),
    [
        ("UTC", "UTC", "Etc/UTC"),
        ("Etc/UTC", "UTC", "Etc/UTC"),
        ("Europe/Berlin", "W. Europe Standard Time", "Europe/Berlin"),
        ("W. Europe Standard Time", "W. Europe Standard Time", "Europe/Berlin"),
        ("Europe/Vienna", "W. Europe Standard Time", "Europe/Vienna"),
        ("America/Vancouver", "Pacific Standard Time", "America/Vancouver"),
        ("Asia/Calcutta", "India Standard Time", "Asia/Calcutta"),
        ("Pacific Standard Time", "Pacific Standard Time", "America/Los_Angeles"),
    ],
)
def test_time_zones_have_both_names(text: str, windows_id: str, iana: str) -> None:
    zone = TimeZone(text)
    assert (zone, zone.windows_id, zone.iana) == (text, windows_id, iana)


def test_the_windows_time_zones_are_those_of_windows() -> None:
    listed = FACTS.read_text().split("## Appendix B.")[1].splitlines()[1].rstrip(".")
    assert set(iana_of_windows()) == set(listed.split("; "))
    assert set(windows_of_iana().values()) <= set(iana_of_windows())


@pytest.mark.parametrize(
    "tag",
    # The 38 languages that Windows media come in: Microsoft, "Available languages for Windows".
    [
        *("ar-SA", "bg-BG", "cs-CZ", "da-DK", "de-DE", "el-GR", "en-GB", "en-US"),
        *("es-ES", "es-MX", "et-EE", "fi-FI", "fr-CA", "fr-FR", "he-IL", "hr-HR"),
        *("hu-HU", "it-IT", "ja-JP", "ko-KR", "lt-LT", "lv-LV", "nb-NO", "nl-NL"),
        *("pl-PL", "pt-BR", "pt-PT", "ro-RO", "ru-RU", "sk-SK", "sl-SI", "sr-Latn-RS"),
        *("sv-SE", "th-TH", "tr-TR", "uk-UA", "zh-CN", "zh-TW"),
    ],
)
def test_the_languages_of_windows_media_are_known(tag: str) -> None:
    assert tag in languages()
