"""The main job: one machine by `up`, and everything that one look into it can say.

What is expected comes from the ISO, read by us on the host, and from the profile; what is found
comes from the inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acceptance.desk import Desk, Done
from acceptance.inside import Inside
from acceptance.trials import Verdict
from provisioner.answers.disc import AnswerDisc, compose
from provisioner.errors import GuestError
from provisioner.guest.stages import patience
from provisioner.media.editions import resolve_edition
from provisioner.media.facts import Edition, MediaFacts
from provisioner.media.inspect import inspect
from provisioner.profile.load import load_profile
from provisioner.resources import Resources, shipped_folder
from provisioner.templating import Templates

NAME = "acceptance-main"
PROFILE = """\
kind: machine
name: {name}
description: made by `make acceptance`
media:
  install: {install}
{drivers}windows:
  product: {product}
  edition: {edition}
  computer_name: ACCEPT-PC
  owner: Zoë & Söhne
  locale: {{timezone: Europe/Berlin}}
  administrator: {{password: {{generate: 20}}{rotate}}}
  users:
    - {{name: dev, groups: [Administrators], password: {{generate: 20}}}}
    - {{name: guest1, description: looks only, password: {{generate: 20}}}}
  remote: {{rdp: true, winrm: https}}
  settings:
    registry:
      - {{key: 'HKLM\\SOFTWARE\\Acceptance', name: Text, data: 'ü "quoted" \\'}}
      - {{key: 'HKU\\Default\\Software\\Acceptance', name: Number, data: 42}}
    firewall: {{ping: true, ports: [{{name: acceptance, port: 8080}}]}}
    power: {{sleep: never}}
  steps:
    - {{name: by PowerShell, powershell: "New-Item C:\\\\Tools -ItemType Directory"}}
    - {{name: by cmd, cmd: "exit /b 3010", exit_codes: [0, 3010]}} # the stand-in runs no cmd
    - reboot: {{when: needed}}
    - name: as SYSTEM
      cmd: 'whoami > C:\\Tools\\who.txt'
      run_as: system
      outputs: [{{name: who, file: 'C:\\Tools\\who.txt'}}]
    - {{name: too long, cmd: ping -n 600 127.0.0.1, timeout: 20 s, exit_codes: [0, 258]}}
machine:
  memory: {memory}
  firmware: {firmware}
  tpm: {tpm}
  ready: {{within: {within}, probes: []}} # its own handshakes are judged below
"""


@dataclass(frozen=True, kw_only=True)
class Media:
    """What the person has, looked at once."""

    install: MediaFacts
    drivers: Path | None
    edition: Edition


@dataclass(frozen=True, kw_only=True)
class Assertion:
    """One thing that is asked from the inside. `found` None: it could not be asked."""

    subject: str
    expected: str
    found: str | None

    @property
    def holds(self) -> bool | None:
        """Whether it is as expected."""
        return None if self.found is None else self.found.casefold() == self.expected.casefold()


def look_at(install: Path, drivers: Path | None, edition: str | None) -> Media:
    """The ISO, and the edition that is installed from it: the one asked for, Pro, or the first."""
    facts = inspect(install)
    wanted: str | int | None = int(edition) if edition and edition.isdecimal() else edition
    if wanted is None and facts.editions:
        ids = [image.edition_id for image in facts.editions]
        wanted = facts.editions[ids.index("Professional") if "Professional" in ids else 0].index
    return Media(install=facts, drivers=drivers, edition=resolve_edition(facts, wanted))


def profile_text(media: Media, *, name: str = NAME, quick: bool = False) -> str:
    """The profile. `quick` asks only for what the stand-in's small machines have."""
    drivers = f"  drivers: {media.drivers}\n" if media.drivers is not None else ""
    return PROFILE.format(
        name=name,
        install=media.install.path,
        drivers=drivers,
        product=media.install.product,
        edition=media.edition.index,
        rotate=", rotate: true" if media.drivers is not None else "",
        memory="1 GiB" if quick else "4 GiB",
        firmware="uefi\n  boot_prompt: auto" if quick else "secure-boot",
        tpm="false" if quick else "true",
        within="30 min" if quick else "2 h",
    ).replace("  computer_name:", "  hardware_checks: bypass\n  computer_name:" if quick else
              "  computer_name:")  # fmt: skip


def planned(profile: Path, media: Media) -> AnswerDisc:
    """What our own composer decided for this profile: names, layout, users."""
    resources = Resources(shipped=shipped_folder())
    loaded = load_profile(profile, resources=resources, home=Path.home(), cwd=profile.parent)
    return compose(
        loaded.profile,
        media.install,
        media.edition,
        inspect(media.drivers) if media.drivers is not None else None,
        templates=Templates(resources.template_folders()),
    )


def assertions(inside: Inside | None, media: Media, disc: AnswerDisc) -> Iterator[Assertion]:
    """Caption, edition, build, language, users and layout, from the inside."""
    facts: Mapping[str, Any] = inside.facts if inside is not None else {}

    def one(subject: str, expected: object, key: str) -> Assertion:
        found = facts.get(key)
        return Assertion(
            subject=subject,
            expected=str(expected),
            found=None if found is None else _text(found),
        )

    caption = media.edition.display_name or media.edition.name
    found = facts.get("caption")
    # Windows calls itself "Microsoft Windows 11 Pro", its image "Windows 11 Pro".
    yield Assertion(
        subject="caption",
        expected=caption,
        found=None if found is None else str(found).removeprefix("Microsoft ").strip(),
    )
    yield one("edition", media.edition.edition_id, "edition")
    yield one("build", media.edition.version[2], "build")
    yield one("language", disc.languages.language, "display_language")
    yield one("computer name", disc.computer_name, "computer_name")
    yield one("time zone", "W. Europe Standard Time", "time_zone")
    users = facts.get("users")
    for name in disc.users:
        there = None
        if isinstance(users, list):
            match = [
                user for user in users if str(user.get("name", "")).casefold() == name.casefold()
            ]
            there = "enabled" if match and match[0].get("enabled") else "missing or disabled"
        yield Assertion(subject=f"user {name}", expected="enabled", found=there)
    if disc.layout is not None:
        yield one("partition table", disc.layout.style, "style")
        yield Assertion(
            subject="layout",
            expected=" · ".join(
                _partition(p.letter or "", p.size_mib) for p in disc.layout.partitions
            ),
            found=_found_layout(facts.get("partitions"), disc),
        )


def _text(found: object) -> str:
    return found if isinstance(found, str) else str(found)


def _partition(letter: str, mib: int | None) -> str:
    return f"{letter or '-'} {mib} MiB" if mib else f"{letter or '-'} rest"


def _found_layout(partitions: object, disc: AnswerDisc) -> str | None:
    """In the words of the plan: the last one's size is what is left."""
    if not isinstance(partitions, list) or disc.layout is None:
        return None
    wanted = disc.layout.partitions
    rows = []
    for number, partition in enumerate(partitions):
        rest = number < len(wanted) and wanted[number].size_mib is None
        mib = None if rest else int(partition.get("mib", 0))
        rows.append(_partition(str(partition.get("letter", "")).strip("\0 "), mib))
    return " · ".join(rows)


def verdicts(
    up: Done, inside: Inside | None, audit: Done, media: Media, checks: tuple[Assertion, ...]
) -> Mapping[str, Verdict]:
    """Claims of docs/unproven.md that the main job settles one way or the other."""
    installed = up.code == 0
    facts = inside.facts if inside is not None else {}
    everything = all(check.holds for check in checks)
    found: dict[str, Verdict] = {
        "W1": Verdict(
            # 6: the guest failed. Anything else is about this host or the disc.
            holds=True if installed else (False if up.code == GuestError.exit_code else None),
            evidence=f"{up.seconds / 60:.0f} min" if installed else up.last_line,
        )
    }
    if not installed:
        return found
    told = {check.subject: check for check in checks}
    found["W10"] = Verdict(
        holds=_both(told["layout"].holds if "layout" in told else None, facts.get("recovery")),
        evidence=f"{told['layout'].found if 'layout' in told else ''}; recovery found: "
        f"{facts.get('recovery')}",
    )
    found["W11"] = Verdict(holds=told["edition"].holds, evidence=str(told["edition"].found))
    found["W8"] = Verdict(holds=told["edition"].holds, evidence=f"channel {facts.get('channel')}")
    encryption = facts.get("encryption")
    found["W12"] = Verdict(
        holds=None if encryption is None else not any(encryption),
        evidence=f"protection status of volumes: {encryption}; look again a day later",
    )
    errors = facts.get("first_logon_errors")
    found["L1"] = Verdict(
        holds=None if errors is None else not errors,
        evidence=f"all assertions hold: {everything}; warnings of its log: {errors}",
    )
    found["L2"] = Verdict(holds=True, evidence="the script ran")
    found["S1"] = Verdict(holds=_registry(facts), evidence=f"registry: {facts.get('registry')}")
    found |= _told(up)
    services = facts.get("services")
    if isinstance(services, Mapping):
        found["L6"] = Verdict(
            holds=services.get("QEMU-GA") == "Running" and bool(facts.get("drivers")),
            evidence=f"agent {services.get('QEMU-GA')}, drivers {facts.get('drivers')}",
        )
    if media.drivers is not None and facts.get("drivers") is not None:
        found["W2"] = Verdict(holds=True, evidence="a virtio disk was installed on")
    looks = [event for event in audit.events if event.get("event") == "audit"]
    standings = [str(look.get("standing")) for look in looks]
    found["L4"] = Verdict(
        holds=None if "unknown" in standings or not looks else "remains" not in standings,
        evidence=f"audit: {', '.join(sorted(set(standings))) or audit.last_line}",
    )
    found["S10"] = Verdict(
        holds=bool(looks) and "unknown" not in standings,
        evidence=f"{standings.count('unknown')} of {len(looks)} looks told nothing",
    )
    rotated = [event for event in up.events if "a new password" in str(event.get("text", ""))]
    if rotated:
        found["S9"] = Verdict(
            holds=True, evidence="the agent took the new password; log on with it"
        )
    return found


def _told(up: Done) -> Mapping[str, Verdict]:
    """What the serial port said, and how the steps went."""
    reported = [
        str(event["stage"])
        for event in up.events
        if event.get("event") == "stage" and event.get("origin") == "reported"
    ]
    early = {
        where: "told" if stage in reported else "not told"
        for where, stage in (("Windows PE", "answers"), ("specialize", "specialize"))
    }
    com1 = Verdict(
        holds="not told" not in early.values(),
        evidence=", ".join(f"{where}: {said}" for where, said in early.items()),
    )
    ended = {
        str(event.get("name")): event.get("exit_code")
        for event in up.events
        if event.get("event") == "step" and event.get("state") == "end"
    }
    who = [
        str(event.get("text")) for event in up.events
        if event.get("event") == "result" and event.get("name") == "who"
    ]  # fmt: skip
    restarted = ended.get("restart") == 0 and "as SYSTEM" in ended
    silences = _silences(up)
    longest = max(silences, key=lambda stage: silences[stage], default="")
    return {
        "F1": com1,
        "T4": com1,
        "L5": Verdict(
            holds="first-logon" in reported,
            evidence=f"reported: {', '.join(reported) or 'nothing'}",
        ),
        "L7": Verdict(
            holds=(ended.get("by cmd"), ended.get("too long")) == (3010, 258),
            evidence=f"exit codes: {ended}",
        ),
        "L13": Verdict(holds=restarted, evidence=f"exit codes: {ended}"),
        "L15": Verdict(
            holds="system" in who[0].lower() if who else None, evidence=f"whoami: {who}"
        ),
        "T2": Verdict(
            holds=all(seconds < patience(stage) for stage, seconds in silences.items()) or None,
            evidence=f"longest silence {silences.get(longest, 0):.0f} s, in {longest}; "
            + ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in silences.items()),
        ),
    }


def _silences(up: Done) -> dict[str, float]:
    """The longest time in each stage in which nothing at all was told, in seconds."""
    found: dict[str, float] = {}
    stage, last = "", None
    for event in up.events:
        elapsed = event.get("elapsed")
        if not isinstance(elapsed, int | float):
            continue
        if last is not None and stage:
            found[stage] = max(found.get(stage, 0.0), elapsed - last)
        last = float(elapsed)
        if event.get("event") == "stage":
            stage = str(event.get("stage"))
    return found


def _both(one: bool | None, other: object) -> bool | None:
    if one is None or other is None:
        return one if other is None else None
    return one and bool(other)


def _registry(facts: Mapping[str, Any]) -> bool | None:
    values = facts.get("registry")
    if not isinstance(values, Mapping):
        return None
    return values.get("text") == 'ü "quoted" \\' and values.get("number") == 42


def boot_verdicts(plan: Done, up: Done) -> Mapping[str, Verdict]:
    """What plan and firmware told about the boot prompt."""
    plans = [event for event in plan.events if event.get("event") == "plan"]
    facts: Mapping[str, Any] = plans[-1]["facts"] if plans else {}
    prompt = str(facts.get("boot prompt", ""))
    removed = prompt.startswith("removed")
    found = {"B1": Verdict(holds=removed if prompt else None, evidence=prompt or plan.last_line)}
    if removed:
        found["B2"] = Verdict(holds=up.code == 0 or None, evidence="booted through the overlay"
                              if up.code == 0 else up.last_line)  # fmt: skip
    return found


def machine_verdicts(desk: Desk, up: Done) -> Mapping[str, Verdict]:
    """KVM: whether the domain that was started is one."""
    if up.code != 0:
        return {}
    with desk.session() as session:
        xml = session.world(NAME, None).hypervisor.domain_xml(NAME)
    kvm = "type='kvm'" in xml or 'type="kvm"' in xml
    return {"K1": Verdict(holds=True if kvm else None, evidence="kvm" if kvm else "emulated")}
