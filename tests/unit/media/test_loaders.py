"""PE headers and signers, compared with sbverify; certificates with other people's names."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import pytest

from provisioner.media import der
from provisioner.media.authenticode import read_signature
from provisioner.media.inspect import inspect
from provisioner.media.loader import is_unchanged, read_loader
from provisioner.media.trust import Authority, Loader, Signer
from provisioner.media.verify import verify
from provisioner.media.window import Damaged, opened
from tests.unit.media.certificates import (
    GRUB,
    SIGNED,
    UNSIGNED,
    WINDOWS_2011,
    WINDOWS_2023,
    make_loader,
)
from tests.unit.media.discs import CLIENT, PE, make_bridge, make_wim, run
from tests.unit.media.sticks import make_boot_image

MEMTEST_32 = Path("/boot/memtest86+ia32.efi")


def read(path: Path) -> Loader:
    with opened(path) as window:
        return read_loader(window, path.name)


@pytest.fixture(scope="session")
def certificates(images: Path) -> Path:
    folder = images / "certificates"
    folder.mkdir()
    return folder


def issuers_by_sbverify(path: Path) -> list[str]:
    text = run(["sbverify", "--list", path])
    blocks = re.findall(r"image signature issuers:\n - (.*)", text)
    return [re.findall(r"CN=([^/]*)", block)[-1] for block in blocks]


@pytest.mark.parametrize(
    ("path", "authorities", "subject"),
    [
        (
            SIGNED,
            (Authority.THIRD_PARTY_2011, Authority.THIRD_PARTY_2023),
            "Microsoft Windows UEFI Driver Publisher",
        ),
        (GRUB, (Authority.OTHER,), "Debian Secure Boot Signer 2022 - grub2"),
    ],
)
def test_debians_loaders(path: Path, authorities: tuple[Authority, ...], subject: str) -> None:
    loader = read(path)
    assert (loader.machine, loader.subsystem) == ("amd64", "EFI application")
    assert loader.authorities == authorities
    assert loader.signers[0].subject == subject
    assert [signer.issuers[0] for signer in loader.signers] == issuers_by_sbverify(path)


@pytest.mark.parametrize(("path", "machine"), [(UNSIGNED, "amd64"), (MEMTEST_32, "x86")])
def test_loaders_that_nobody_signed(path: Path, machine: str) -> None:
    loader = read(path)
    assert (loader.machine, loader.signers, loader.problem) == (machine, (), "")


@pytest.mark.parametrize(
    ("issuer", "authority", "meaning"),
    [
        (WINDOWS_2011, Authority.WINDOWS_2011, "will not start where the 2011"),
        ("Windows Production PCA 2011", Authority.WINDOWS_2011, "will not start"),
        (WINDOWS_2023, Authority.WINDOWS_2023, "starts where the 2011 certificate is revoked"),
        ("Microsoft Corporation UEFI CA 2011", Authority.THIRD_PARTY_2011, "third-party"),
        ("Microsoft UEFI CA 2023", Authority.THIRD_PARTY_2023, "third-party"),
        ("Not really Windows UEFI CA 2023", Authority.OTHER, "enrolled"),
        ("Jané's CA 日本", Authority.OTHER, "enrolled"),
    ],
)
def test_authorities(certificates: Path, issuer: str, authority: Authority, meaning: str) -> None:
    loader = read(make_loader(certificates, issuer))
    (signer,) = loader.signers
    assert (signer.subject, signer.issuers) == ("Microsoft Windows", (issuer,))
    assert signer.authority is authority
    assert meaning in signer.authority.meaning


def test_both_signatures_of_a_loader(certificates: Path, tmp_path: Path) -> None:
    """Microsoft signs with the old and the new certificate while machines change over."""
    first = make_loader(certificates, WINDOWS_2011)
    key, certificate = certificates / "key.pem", certificates / "Windows-UEFI-CA-2023.pem"
    make_loader(certificates, WINDOWS_2023)
    both = tmp_path / "both.efi"
    run(["sbsign", "--key", key, "--cert", certificate, "--output", both, first])
    assert read(both).authorities == (Authority.WINDOWS_2011, Authority.WINDOWS_2023)


@pytest.mark.parametrize("path", [SIGNED, GRUB])
def test_a_changed_loader_is_noticed(path: Path, tmp_path: Path) -> None:
    def results(file: Path) -> set[bool | None]:
        with opened(file) as window:
            return {is_unchanged(window, s) for s in read_loader(window, "x").signers}

    assert results(path) == {True}
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    (tmp_path / "changed.efi").write_bytes(data)
    assert results(tmp_path / "changed.efi") == {False}
    checked = subprocess.run(
        ["sbverify", "--cert", "/etc/ssl/certs/ca-certificates.crt", tmp_path / "changed.efi"],
        capture_output=True,
    )
    assert checked.returncode


def test_loaders_of_a_disc(certificates: Path, tmp_path: Path) -> None:
    """Those in EFI/BOOT, and the one in the FAT volume that firmware starts from a disc."""
    new, old = (
        make_loader(certificates, name).read_bytes() for name in (WINDOWS_2023, WINDOWS_2011)
    )
    files: dict[str, bytes | Path] = {
        "efi/boot/bootx64.efi": new,
        "efi/boot/notes.txt": b"x",
        "efi/boot/broken.efi": b"MZ" + bytes(100),
        "efi/microsoft/boot/efisys.bin": make_boot_image(tmp_path, old),
        "efi/microsoft/boot/other.efi": old,
    }
    path = make_bridge(
        tmp_path / "d.iso", files, boot=(("efi/microsoft/boot/efisys.bin", 0xEF, 1),)
    )
    facts = inspect(path)
    assert [(loader.path, loader.authorities) for loader in facts.loaders] == [
        ("efi/boot/bootx64.efi", (Authority.WINDOWS_2023,)),
        ("efi/boot/broken.efi", ()),
        ("[boot image] EFI/BOOT/BOOTX64.EFI", (Authority.WINDOWS_2011,)),
    ]
    assert facts.loaders[1].problem == "it is no PE program"
    with opened(path) as window:
        assert [(c.path, c.sound) for c in verify(window, facts)] == [
            ("efi/boot/bootx64.efi", True)
        ]


@pytest.mark.parametrize(
    ("on_disc", "spare"),
    [(WINDOWS_2011, (Authority.WINDOWS_2023,)), (WINDOWS_2023, None)],
)
def test_the_new_loader_inside_boot_wim(
    certificates: Path, tmp_path: Path, on_disc: str, spare: tuple[Authority, ...] | None
) -> None:
    """Where the disc needs the revoked certificate, and boot.wim has what does not."""
    boot = make_wim(tmp_path / "boot.wim", PE)
    new = make_loader(certificates, WINDOWS_2023)
    command = f"add {new} /Windows/Boot/EFI_EX/bootmgfw_EX.efi"
    run(["wimlib-imagex", "update", boot, "2", "--command", command])
    files: dict[str, bytes | Path] = {
        "efi/boot/bootx64.efi": make_loader(certificates, on_disc),
        "sources/boot.wim": boot,
        "sources/install.wim": make_wim(tmp_path / "install.wim", CLIENT[:1]),
    }
    found = inspect(make_bridge(tmp_path / "w.iso", files, boot=())).spare_loaders
    if spare is None:
        assert found == ()
    else:
        assert [(loader.path, loader.authorities) for loader in found] == [
            ("sources/boot.wim, image 2: Windows/Boot/EFI_EX/bootmgfw_EX.efi", spare)
        ]


def damaged(tmp_path: Path, at: int, value: int, form: str = "<I") -> Path:
    """The signed shim with one number of its headers changed; `at` counts from the PE header."""
    data = bytearray(SIGNED.read_bytes())
    (place,) = struct.unpack_from("<I", data, 60)
    struct.pack_into(form, data, place + at, value)
    path = tmp_path / "damaged.efi"
    path.write_bytes(data)
    return path


SECURITY = 24 + 112 + 8 * 4


@pytest.mark.parametrize(
    ("at", "value", "problem"),
    [
        (SECURITY, 2**32 - 1, "are needed"),
        (SECURITY, 8, "impossible"),
        (SECURITY + 4, 2**32 - 1, "impossible"),
        (SECURITY + 4, 100, "damaged"),
        (24 + 108, 4, ""),  # four directories: none for the certificates
    ],
)
def test_hostile_certificate_tables(tmp_path: Path, at: int, value: int, problem: str) -> None:
    loader = read(damaged(tmp_path, at, value))
    assert loader.machine == "amd64"
    assert loader.signers == ()
    assert problem in loader.problem


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "MZ is missing|is empty"),
        (b"MZ", "MZ is missing"),
        (b"MZ" + bytes(1000), "no PE"),
        (b"MZ".ljust(60, b"\0") + struct.pack("<I", 2**32 - 1) + bytes(99), "no PE|are needed"),
        (b"MZ".ljust(60, b"\0") + struct.pack("<I", 64) + b"PE\0\0" + bytes(200), "unknown form"),
    ],
)
def test_files_that_are_no_loaders(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.efi"
    path.write_bytes(content)
    with pytest.raises(Exception, match=message) as caught:
        read(path)
    assert type(caught.value).__module__.startswith("provisioner.")


def signature() -> bytes:
    data = SIGNED.read_bytes()
    (place,) = struct.unpack_from("<I", data, 60)
    table, _ = struct.unpack_from("<II", data, place + SECURITY)
    (length,) = struct.unpack_from("<I", data, table)
    return data[table + 8 : table + length]


def test_certificates_agree_with_openssl(tmp_path: Path) -> None:
    (tmp_path / "s.der").write_bytes(signature())
    text = run(
        ["openssl", "pkcs7", "-inform", "DER", "-in", tmp_path / "s.der", "-print_certs", "-noout"]
    )
    subjects = re.findall(r"^subject=.*CN = (.*)$", text, re.MULTILINE)
    issuers = re.findall(r"^issuer=.*CN = (.*)$", text, re.MULTILINE)
    (signer,) = read_signature(signature())
    assert signer.subject in subjects
    assert set(signer.issuers) <= set(issuers)


def test_every_cut_of_a_signature_is_refused() -> None:
    data = signature()
    for length in range(0, len(data), 37):
        with pytest.raises(Damaged):
            read_signature(data[:length])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut off"),
        (b"\x30", "cut off"),
        (b"\x30\x80\x00\x00", "encoded in a way"),
        (b"\x1f\x01\x00", "encoded in a way"),
        (b"\x30\x85\x01\x00\x00\x00\x00", "impossible length"),
        (b"\x30\x84\xff\xff\xff\xff", "cut off inside"),
        (b"\x30\x02\x05\x00", "parts are missing"),
        (b"\x02\x01\x05", "tag 0x02"),
        (b"\x30\x82\x10\x00" + b"\x05\x00" * 0x800, "tag 0x05"),
        (b"\x30\x82\x40\x00" + b"\x05\x00" * 0x2000, "more parts"),
    ],
)
def test_hostile_der(data: bytes, message: str) -> None:
    with pytest.raises(Damaged, match=message):
        read_signature(data)


def test_deep_nesting_costs_nothing() -> None:
    data = b"\x05\x00"
    for _ in range(3000):
        data = b"\x30\x84" + len(data).to_bytes(4, "big") + data
    with pytest.raises(Damaged):
        read_signature(data)


@pytest.mark.parametrize(
    ("tag", "value", "text"),
    [
        (0x0C, "Jané".encode(), "Jané"),
        (0x13, b"plain", "plain"),
        (0x1E, "日本".encode("utf-16-be"), "日本"),
        (0x14, b"J\xe9", "Jé"),
        (0x1C, "x".encode("utf-32-be"), "x"),
        (0x0C, b"\xff\xfe", "\ufffd\ufffd"),
        (0x02, b"\x01", ""),
    ],
)
def test_strings(tag: int, value: bytes, text: str) -> None:
    assert der.text(der.element(bytes([tag, len(value)]) + value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (bytes.fromhex("550403"), "2.5.4.3"),
        (bytes.fromhex("2a864886f70d010702"), "1.2.840.113549.1.7.2"),
        (bytes.fromhex("8837"), "2.999"),
    ],
)
def test_object_identifiers(value: bytes, text: str) -> None:
    assert der.oid(der.element(bytes([6, len(value)]) + value)) == text


@pytest.mark.parametrize("value", [b"", b"\x80" * 5, bytes(65)])
def test_hostile_object_identifiers(value: bytes) -> None:
    with pytest.raises(Damaged):
        der.oid(der.element(bytes([6, len(value)]) + value))


def test_an_unknown_digest_cannot_be_compared() -> None:
    signer = Signer(subject="", issuers=(), algorithm="", digest=b"")
    with opened(SIGNED) as window:
        assert is_unchanged(window, signer) is None
