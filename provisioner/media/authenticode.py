"""Who signed a boot loader, read from the certificates of its Authenticode signature.

Microsoft's "Windows Authenticode Portable Executable Signature Format" (a PKCS #7 SignedData, RFC
2315, with X.509 certificates, RFC 5280). Names are read and the digest can be compared; the
signature itself is not verified: that is the firmware's part, with keys we do not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from provisioner.frozen import frozen
from provisioner.media.der import (
    CONTEXT_0,
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    SET,
    Element,
    children,
    element,
    members,
    oid,
    text,
)
from provisioner.media.trust import Signer
from provisioner.media.window import Damaged

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_INDIRECT_DATA = "1.3.6.1.4.1.311.2.1.4"
_DIGESTS = {
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_NAMES = ("2.5.4.3", "2.5.4.11", "2.5.4.10")  # common name, organisational unit, organisation
_MAX_CHAIN = 8
_MAX_CERTIFICATES = 64


@frozen
class _Certificate:
    """Names as they are encoded, which is how they are compared (RFC 5280 §7.1)."""

    serial: bytes
    issuer: Element
    subject: Element


def read_signature(data: bytes) -> tuple[Signer, ...]:
    """The signers of one PKCS #7 blob. `Damaged` when it is none."""
    kind, content = members(element(data).expect(SEQUENCE), 2)[:2]
    if oid(kind) != _SIGNED_DATA:
        raise Damaged("the signature is not a PKCS #7 SignedData")
    inside = members(element(data, content.expect(CONTEXT_0).content, content.end), 4)
    _, _, signed, *rest = inside
    algorithm, digest = _digest(signed.expect(SEQUENCE))
    certificates = [
        _certificate(item)
        for part in rest
        if part.tag == CONTEXT_0
        for item in _first(children(part))
        if item.tag == SEQUENCE
    ]
    signers = [
        _signer(item, certificates, algorithm, digest)
        for item in _first(children(inside[-1].expect(SET)))
    ]
    if not signers:
        raise Damaged("the signature names no signer")
    return tuple(signers)


def _first(items: Iterable[Element]) -> list[Element]:
    found = [item for _, item in zip(range(_MAX_CERTIFICATES + 1), items, strict=False)]
    if len(found) > _MAX_CERTIFICATES:
        raise Damaged("a signature holds more certificates than any real one")
    return found


def _digest(signed: Element) -> tuple[str, bytes]:
    """Algorithm and digest of the signed file, from SpcIndirectDataContent."""
    parts = members(signed, 1)
    if oid(parts[0]) != _INDIRECT_DATA or len(parts) < 2:
        return "", b""
    content = element(signed.data, parts[1].expect(CONTEXT_0).content, parts[1].end)
    info = members(content.expect(SEQUENCE), 2)[1]
    algorithm, digest = members(info.expect(SEQUENCE), 2)[:2]
    name = _DIGESTS.get(oid(members(algorithm.expect(SEQUENCE), 1)[0]), "")
    return name, digest.expect(OCTET_STRING).value if name else b""


def _certificate(item: Element) -> _Certificate:
    body = members(members(item, 3)[0].expect(SEQUENCE), 6)
    if body[0].tag == CONTEXT_0:  # the version, which may be left out
        body = body[1:]
    if len(body) < 5:
        raise Damaged("a certificate of the signature is damaged")
    return _Certificate(
        serial=body[0].expect(INTEGER).value,
        issuer=body[2].expect(SEQUENCE),
        subject=body[4].expect(SEQUENCE),
    )


def _signer(
    item: Element, certificates: Sequence[_Certificate], algorithm: str, digest: bytes
) -> Signer:
    identity = members(members(item.expect(SEQUENCE), 5)[1].expect(SEQUENCE), 2)
    issuer, serial = identity[0].expect(SEQUENCE), identity[1].expect(INTEGER).value
    own = next(
        (c for c in certificates if c.serial == serial and c.issuer.encoded == issuer.encoded),
        None,
    )
    names = [name_of(issuer)]
    for _ in range(_MAX_CHAIN):
        above = next((c for c in certificates if c.subject.encoded == issuer.encoded), None)
        if above is None or above.issuer.encoded == issuer.encoded:
            break
        issuer = above.issuer
        names.append(name_of(issuer))
    return Signer(
        subject=name_of(own.subject) if own else "",
        issuers=tuple(names),
        algorithm=algorithm,
        digest=digest,
    )


def name_of(name: Element) -> str:
    """The common name of a distinguished name, else its unit or organisation."""
    found: dict[str, str] = {}
    for group in children(name):
        for attribute in children(group.expect(SET)):
            kind, value = members(attribute.expect(SEQUENCE), 2)[:2]
            found.setdefault(oid(kind), text(value))
    return next((found[kind] for kind in _NAMES if found.get(kind)), "")
