"""The `windows.steps` of a profile: what runs at the first logon, one kind of step each.

docs/steps.md says how they are carried out.
"""

import re
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from provisioner.profile.base import HostPath, ProfileModel
from provisioner.profile.units import Duration, Line
from provisioner.profile.values import BadValue, TextValue

RESTART_WANTED, RESTART_BEGUN = 3010, 1641
"""ERROR_SUCCESS_REBOOT_REQUIRED and ERROR_SUCCESS_REBOOT_INITIATED of Windows Installer; DISM and
many installers use them too."""

_NOT_IN_CMD = re.compile('["!\x00-\x1f\x7f-\x9f]')

StepName = Annotated[Line, Field(min_length=1, max_length=80)]
ExitCode = Annotated[int, Field(ge=-(2**31), le=2**32 - 1)]


class GuestPath(TextValue):
    """An absolute path in the installed Windows."""

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": r'^[A-Za-z]:\\[^"!<>|?*/\x00-\x1f\x7f-\x9f]*$',
        "maxLength": 240,
        "examples": ["C:\\Tools"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        if not re.fullmatch(cls.json_schema["pattern"], text) or len(text) > 240:
            raise BadValue(
                f"'{text}' is not an absolute path in Windows",
                rule="windows.step-path",
                hint=r"""write it like 'C:\Tools\file.txt', without " ! < > | ? * or /""",
            )
        return text


class Argument(TextValue):
    """One argument or name that a rendered batch file holds."""

    __slots__ = ()
    json_schema: ClassVar = {"pattern": '^[^"!\x00-\x1f\x7f-\x9f]*$', "maxLength": 1000}

    @classmethod
    def checked(cls, text: str) -> str:
        if _NOT_IN_CMD.search(text) or len(text) > 1000:
            raise BadValue(
                "this cannot be written in a batch file so that every program reads it alike",
                rule="windows.step-argument",
                hint='leave out ", ! and line breaks, or use a `powershell` step',
            )
        return text


class RegistryKey(TextValue):
    """A key below one of the five roots, long or short: `HKLM\\SOFTWARE\\Example`."""

    __slots__ = ()
    _ROOTS: ClassVar = {
        "HKEY_LOCAL_MACHINE": "HKLM",
        "HKEY_CURRENT_USER": "HKCU",
        "HKEY_CLASSES_ROOT": "HKCR",
        "HKEY_USERS": "HKU",
        "HKEY_CURRENT_CONFIG": "HKCC",
    }
    json_schema: ClassVar = {
        "pattern": r'^[A-Za-z_]+\\[^"!\x00-\x1f\x7f-\x9f]*[^\\"!\x00-\x1f\x7f-\x9f]$',
        "maxLength": 400,
        "examples": ["HKLM\\SOFTWARE\\Example"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        root, _, rest = text.partition("\\")
        short = cls._ROOTS.get(root.upper().rstrip(":"), root.upper().rstrip(":"))
        known = short in cls._ROOTS.values()
        if not known or not rest or rest.endswith("\\") or _NOT_IN_CMD.search(text):
            raise BadValue(
                f"'{text}' is not a key of the registry",
                rule="windows.step-registry",
                hint=r"""write it like 'HKLM\SOFTWARE\Example', without " or !""",
            )
        return f"{short}\\{rest}"


class Condition(ProfileModel):
    """Something to look at in the guest; exactly one of the keys."""

    exists: GuestPath | None = None
    """A file or folder is there."""
    missing: GuestPath | None = None
    """A file or folder is not there."""
    service: Annotated[Argument, Field(min_length=1)] | None = None
    """A service of this name is running."""
    powershell: Annotated[str, Field(min_length=1)] | None = None
    """An expression of PowerShell is true, in PowerShell's sense."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise BadValue(
                "a condition looks at exactly one thing",
                rule="windows.step-condition",
                hint=f"give it one of the keys {', '.join(type(self).model_fields)}",
            )
        return self


class Output(ProfileModel):
    """A short text that a step leaves in a file, handed to the host when it has ended."""

    name: Annotated[Line, Field(min_length=1, max_length=80)]
    """What it is called on the host."""
    file: GuestPath
    """The file; its first 1000 characters count, without the blank at their end."""


class RunStep(ProfileModel):
    """What all steps that run a program have in common."""

    name: StepName
    """Shown while it runs."""
    exit_codes: Annotated[tuple[ExitCode, ...], Field(min_length=1)] = (0,)
    """Exit codes that mean success. 3010 asks for a restart, which a `reboot` step behind it does;
    after 1641 the machine restarts at once and the next step follows."""
    timeout: Duration = Duration("30 min")
    """Longest time one attempt may take; it is ended then, with exit code 258."""
    retries: Annotated[int, Field(ge=0, le=20)] = 0
    """How often it is tried again, 10 s later, before it counts as failed."""
    run_as: Literal["user", "system"] = "user"
    """`user`: who is logged on first, elevated; `system`: the account SYSTEM."""
    only_if: Condition | None = None
    """The step is skipped where this does not hold."""
    outputs: tuple[Output, ...] = ()
    """Texts it hands to the host."""


class PowerShellStep(RunStep):
    """Lines of PowerShell."""

    powershell: Annotated[str, Field(min_length=1)]
    """The script, for Windows PowerShell 5.1; it stops at its first error."""


class CommandStep(RunStep):
    """Lines for cmd.exe."""

    cmd: Annotated[str, Field(min_length=1)]
    """The batch script."""


class MsiStep(RunStep):
    """A package of Windows Installer, installed without questions and without its own restart."""

    msi: HostPath
    """The file on this machine; it is put on the answer disc."""
    arguments: tuple[Argument, ...] = ()
    """More for msiexec's command line: properties (`INSTALLDIR=C:\\Tools`) and switches."""


class ExeStep(RunStep):
    """A program, usually an installer."""

    exe: HostPath
    """The file on this machine; it is put on the answer disc."""
    arguments: tuple[Argument, ...] = ()
    """Its arguments; most installers need one to ask nothing."""


with warnings.catch_warnings():
    # pydantic keeps a deprecated method of that name, which nobody here calls.
    warnings.filterwarnings("ignore", 'Field name "copy"', UserWarning)

    class CopyStep(RunStep):
        """A file or a folder, copied into Windows."""

        copy: HostPath  # type: ignore[assignment] # over pydantic's deprecated method
        """The file or folder on this machine; it is put on the answer disc."""
        to: GuestPath
        """The folder in Windows that receives the file, or what is in the folder; made where it is
        missing. Files that are there already are replaced."""


class RegistryValue(ProfileModel):
    """A value of a registry key."""

    name: Argument | None = None
    """Its name. Default: the key's default value."""
    type: (
        Literal["REG_SZ", "REG_EXPAND_SZ", "REG_MULTI_SZ", "REG_DWORD", "REG_QWORD", "REG_BINARY"]
        | None
    ) = None
    """Default: REG_SZ for a text, REG_MULTI_SZ for a list, REG_DWORD for a number."""
    data: Argument | int | tuple[Argument, ...]
    """A text, a whole number, or a list of texts; for REG_BINARY pairs of hexadecimal digits."""

    @property
    def kind(self) -> str:
        """The type, given or by default."""
        if self.type is not None:
            return self.type
        if isinstance(self.data, int):
            return "REG_DWORD"
        return "REG_MULTI_SZ" if isinstance(self.data, tuple) else "REG_SZ"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """The data is of its type. Parts of a REG_MULTI_SZ are split at `\\0` by reg.exe."""
        data, kind = self.data, self.kind
        match kind:
            case "REG_DWORD" | "REG_QWORD":
                most = 2**32 if kind == "REG_DWORD" else 2**64
                good = isinstance(data, int) and 0 <= data < most
                wanted = f"a whole number from 0 to {most - 1}"
            case "REG_MULTI_SZ":
                good = isinstance(data, tuple) and all(p and "\\0" not in p for p in data)
                wanted = "a list of texts, none empty and none with \\0 in it"
            case "REG_BINARY":
                good = isinstance(data, str) and bool(re.fullmatch("([0-9A-Fa-f]{2})+", data))
                wanted = "pairs of hexadecimal digits"
            case _:
                good, wanted = isinstance(data, str), "a text"
        if not good:
            raise BadValue(f"{kind} wants {wanted}", rule="windows.step-registry", at=("data",))
        return self


class RegistryStep(RunStep):
    """Values of a registry key."""

    registry: Annotated[RegistryKey, Field(max_length=400)]
    """The key; made where it is missing. HKCU is that of the account the step runs as."""
    values: tuple[RegistryValue, ...] = ()
    """Its values; without any, only the key is made."""


class FeatureStep(RunStep):
    """Windows features, by DISM."""

    feature: Argument | Annotated[tuple[Argument, ...], Field(min_length=1)]
    """Names as `dism /online /get-features` lists them."""
    state: Literal["enabled", "disabled"] = "enabled"
    """What they shall be; `enabled` takes in the features they need."""


class WingetStep(RunStep):
    """A package of winget's community repository; needs the internet."""

    winget: Annotated[Argument, Field(min_length=1)]
    """The package's id, like `Git.Git`."""
    run_as: Literal["user"] = "user"
    """winget is there for users only, and not for SYSTEM."""
    version: Annotated[Argument, Field(min_length=1)] | None = None
    """Default: the newest."""


class ChocoStep(RunStep):
    """A package of Chocolatey, which an earlier step has to install; needs the internet."""

    choco: Annotated[Argument, Field(min_length=1)]
    """The package's name."""
    version: Annotated[Argument, Field(min_length=1)] | None = None
    """Default: the newest."""


class Reboot(ProfileModel):
    """How a restart is decided."""

    when: Literal["always", "needed"] = "always"
    """`needed`: only if a step since the last restart ended with 3010."""


class RebootStep(ProfileModel):
    """A restart of Windows; the next step follows after the logon."""

    name: StepName = Line("restart")
    """Shown while it runs."""
    reboot: Reboot
    """`{}`, or `{when: needed}`."""
    only_if: Condition | None = None
    """The step is skipped where this does not hold."""


class WaitStep(ProfileModel):
    """A pause, or patience until something holds."""

    name: StepName = Line("wait")
    """Shown while it runs."""
    wait: Duration | Condition
    """How long, or what for; it is looked at every five seconds."""
    timeout: Duration = Duration("30 min")
    """Longest time it may take; it has failed then."""
    only_if: Condition | None = None
    """The step is skipped where this does not hold."""


STEP_KINDS: Mapping[str, str] = {
    "powershell": "PowerShellStep",
    "cmd": "CommandStep",
    "msi": "MsiStep",
    "exe": "ExeStep",
    "copy": "CopyStep",
    "registry": "RegistryStep",
    "feature": "FeatureStep",
    "winget": "WingetStep",
    "choco": "ChocoStep",
    "reboot": "RebootStep",
    "wait": "WaitStep",
}
"""The key that says what a step runs, and the model it makes."""


def _step_model(step: Any) -> str | None:
    """The model a step asks for; None, which pydantic refuses, when it asks for none or several."""
    if isinstance(step, ProfileModel):
        return type(step).__name__
    kinds = [key for key in STEP_KINDS if isinstance(step, Mapping) and key in step]
    return STEP_KINDS[kinds[0]] if len(kinds) == 1 else None


Step = Annotated[
    Annotated[PowerShellStep, Tag("PowerShellStep")]
    | Annotated[CommandStep, Tag("CommandStep")]
    | Annotated[MsiStep, Tag("MsiStep")]
    | Annotated[ExeStep, Tag("ExeStep")]
    | Annotated[CopyStep, Tag("CopyStep")]
    | Annotated[RegistryStep, Tag("RegistryStep")]
    | Annotated[FeatureStep, Tag("FeatureStep")]
    | Annotated[WingetStep, Tag("WingetStep")]
    | Annotated[ChocoStep, Tag("ChocoStep")]
    | Annotated[RebootStep, Tag("RebootStep")]
    | Annotated[WaitStep, Tag("WaitStep")],
    Discriminator(_step_model),
]
