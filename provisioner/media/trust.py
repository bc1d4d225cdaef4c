"""Loaders, their signers, and what the authority behind a signature means to a machine."""

from __future__ import annotations

from enum import StrEnum

from provisioner.frozen import frozen


class Authority(StrEnum):
    """The certificate authority behind a loader, as Secure Boot's databases know them."""

    WINDOWS_2011 = "Windows Production PCA 2011"
    WINDOWS_2023 = "Windows UEFI CA 2023"
    THIRD_PARTY_2011 = "Microsoft Corporation UEFI CA 2011"
    THIRD_PARTY_2023 = "Microsoft UEFI CA 2023"
    OTHER = "other"

    @property
    def meaning(self) -> str:
        """What that means for the machine it shall start on, for people (facts iso-usb §1.3)."""
        return _MEANINGS[self]


_MEANINGS = {
    Authority.WINDOWS_2011: "will not start where the 2011 certificate is revoked",
    Authority.WINDOWS_2023: "starts where the 2011 certificate is revoked;"
    " needs firmware that knows the 2023 one",
    Authority.THIRD_PARTY_2011: "starts where the firmware trusts Microsoft's third-party"
    " certificate of 2011",
    Authority.THIRD_PARTY_2023: "starts where the firmware trusts Microsoft's third-party"
    " certificate of 2023",
    Authority.OTHER: "starts under Secure Boot only where its certificate was enrolled",
}


@frozen
class Signer:
    """One signature. `issuers` are the names above the signer's, nearest first.

    `digest` is what the file hashed to when it was signed, with the algorithm's name as `hashlib`
    knows it; empty where that is unknown.
    """

    subject: str
    issuers: tuple[str, ...]
    algorithm: str
    digest: bytes

    @property
    def authority(self) -> Authority:
        """Which authority of Secure Boot stands in the chain."""
        for name in (*self.issuers, self.subject):
            for authority in Authority:
                if name in {authority.value, f"Microsoft {authority.value}"}:
                    return authority
        return Authority.OTHER


@frozen
class Loader:
    """One loader of a medium. No signers: it is not signed, or `problem` says what is wrong."""

    path: str
    """On the medium; `[boot image] EFI/BOOT/BOOTX64.EFI` inside an El Torito boot image."""
    machine: str
    subsystem: str
    signers: tuple[Signer, ...] = ()
    problem: str = ""

    @property
    def authorities(self) -> tuple[Authority, ...]:
        """Every authority that a signature goes back to, once each."""
        return tuple(dict.fromkeys(signer.authority for signer in self.signers))
