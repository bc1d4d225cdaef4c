"""OEM information of the answer file, and the logo that a command of specialize puts in place.

An answer file can only name the logo: nothing copies files from a second disc by itself
(docs/facts/windows-setup.md §5.6), so the command looks for our disc as the first logon does.
"""

from __future__ import annotations

from collections.abc import Iterator

from provisioner import quoting
from provisioner.answers.supplied import LOGO_PIXELS, SuppliedFile, bitmap_size
from provisioner.errors import Problem, ProfileError, Severity
from provisioner.profile.windows import Oem

LOGO = "provision/logo.bmp"
"""On the answer disc."""
LOGO_IN_WINDOWS = "C:\\Windows\\System32\\provisioner-logo.bmp"
_ELEMENTS = (
    ("Manufacturer", "manufacturer"),
    ("Model", "model"),
    ("SupportHours", "support_hours"),
    ("SupportPhone", "support_phone"),
    ("SupportProvider", "support_provider"),
    ("SupportURL", "support_url"),
)


def information(oem: Oem) -> tuple[tuple[str, str], ...]:
    """Elements of `OEMInformation` with their texts, in the order of Microsoft's reference."""
    logo = (("Logo", LOGO_IN_WINDOWS),) if oem.logo is not None else ()
    return (
        *logo,
        *((name, str(text)) for name, key in _ELEMENTS if (text := getattr(oem, key)) is not None),
    )


def copy_logo(marker: str) -> str:
    """A command line of specialize, below the 259 characters that are allowed there (§4.6)."""
    search = (
        "foreach($d in [IO.DriveInfo]::GetDrives()){$n=$d.Name;"
        f"if(Test-Path($n+{quoting.powershell(marker)}))"
        f"{{copy($n+'{LOGO.replace('/', chr(92))}') {LOGO_IN_WINDOWS}}}}}"
    )
    return quoting.windows_command_line(["powershell.exe", "-NoProfile", "-Command", search])


def check_logo(logo: SuppliedFile) -> Iterator[Problem]:
    """A warning for an unusual size; ProfileError for what is no bitmap."""
    size = bitmap_size(logo.data)
    if size is None:
        raise ProfileError(
            [
                Problem(
                    message=f"{logo.path.name} is no Windows bitmap",
                    rule="windows.oem-logo",
                    hint=f"convert it: magick logo.png -resize {LOGO_PIXELS}x{LOGO_PIXELS} "
                    "BMP3:logo.bmp",
                )
            ]
        )
    if max(size) > LOGO_PIXELS:
        yield Problem(
            message=f"{logo.path.name} has {size[0]} by {size[1]} pixels; Windows shows "
            f"{LOGO_PIXELS} by {LOGO_PIXELS}",
            rule="windows.oem-logo",
            severity=Severity.WARNING,
            hint="make it smaller; Windows may show nothing",
        )
