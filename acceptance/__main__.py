"""`make acceptance`, or `python -m acceptance --iso Win11.iso [--virtio virtio-win.iso]`."""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from acceptance import discs, main_job, ways
from acceptance.claims import claims
from acceptance.desk import PROJECT, Desk, Done
from acceptance.inside import Inside
from acceptance.report import Report, markdown
from acceptance.trials import OTHER_NAME, TRIALS, Seen, Trial, Verdict
from provisioner import __version__
from provisioner.errors import ProvisionerError

FOLDER = PROJECT / "build/acceptance"
SECOND_DISC = """\
{{% extends "shipped/libvirt/domain.xml.j2" %}}
{{% block devices %}}{{{{ super() }}}}
    <disk type="file" device="cdrom">
      <driver name="qemu" type="raw"/>
      <source file="{disc}"/>
      <target dev="sdf" bus="sata"/>
      <readonly/>
    </disk>
{{% endblock %}}
"""
LONG = 3 * 3600.0
"""Seconds that one command may take."""


class Run:
    """One acceptance run: tells on standard error what it does, and keeps what it saw."""

    def __init__(self, desk: Desk, media: main_job.Media, *, quick: bool) -> None:
        self.desk = desk
        self.media = media
        self.quick = quick
        self.system: str | None = None
        self.assertions: tuple[main_job.Assertion, ...] = ()
        self.verdicts: dict[str, list[tuple[str, Verdict]]] = {}

    def main_job(self) -> None:
        """Installs, looks inside, audits, and removes the machine."""
        profile = self._profile(main_job.NAME)
        plan = self.desk.run("plan", str(profile), timeout=LONG)
        up = self._up(profile, "main job")
        inside = self._inside(main_job.NAME, up)
        self.system = inside.system if inside is not None else None
        disc = main_job.planned(profile, self.media)
        self.assertions = tuple(main_job.assertions(inside, self.media, disc))
        audit = self.desk.run("audit", main_job.NAME, timeout=LONG)
        found = {
            **main_job.verdicts(up, inside, audit, self.media, self.assertions),
            **main_job.boot_verdicts(plan, up),
            **main_job.machine_verdicts(self.desk, up),
            **self._ways(up),
        }
        if up.code == 0:
            found["D1"] = discs.verdict(self.desk, main_job.NAME, inside, timeout=LONG)
        self._keep("main job", found)
        self._delete(main_job.NAME)

    def trial(self, trial: Trial) -> None:
        """One machine with something added; removed afterwards."""
        name = f"acceptance-{trial.name}"
        templates = dict(trial.templates)
        if trial.second_disc:
            disc = self._second_disc()
            if disc is None:
                self._keep(trial.name, dict.fromkeys(trial.claims, NO_SECOND_DISC))
                return
            templates["libvirt/domain.xml.j2"] = SECOND_DISC.format(disc=disc)
        profile = self._profile(name, more=trial.profile)
        with Templates(self.desk, templates):
            up = self._up(profile, trial.about)
        seen = Seen(
            up=up,
            inside=self._inside(name, up),
            serial=self.desk.serial(name),
            addresses=self.desk.addresses(name) if up.code == 0 else (),
        )
        verdict = trial.judge(seen)
        self._keep(trial.name, dict.fromkeys(trial.claims, verdict))
        self._delete(name)
        if trial.second_disc:  # both hold passwords
            shutil.rmtree(self.desk.folder / "other", ignore_errors=True)
            self._delete("acceptance-other")

    def report(self) -> Report:
        """What was seen."""
        disc = self.media.install
        return Report(
            system=self.system,
            versions=versions(self.desk),
            disc={
                "disc": f"{disc.label}, {disc.fingerprint.digest[:16]}",
                "image": f"{self.media.edition.name}, "
                + ".".join(str(part) for part in self.media.edition.version),
                "languages": ", ".join(disc.languages),
                "driver disc": "none" if self.media.drivers is None else "yes",
            },
            assertions=self.assertions,
            verdicts=self.verdicts,
            claims=claims(),
            private=(
                str(self.desk.folder),
                str(disc.path.parent),
                str(Path.home()),
                platform.node(),
            ),
        )

    def _profile(self, name: str, more: str = "") -> Path:
        base = self.desk.folder / f"{name}-base.yaml"
        base.write_text(
            main_job.profile_text(self.media, name=name, quick=self.quick), encoding="utf-8"
        )
        if not more:
            return base
        path = self.desk.folder / f"{name}.yaml"
        path.write_text(f"extends: {base}\nname: {name}\n{more}", encoding="utf-8")
        return path

    def _up(self, profile: Path, about: str) -> Done:
        self._delete(profile.stem.removesuffix("-base"))  # what a run that was cut short left
        say(f"{about} …")
        # Forced: what an experiment tries is what a rule warns of.
        done = self.desk.run("up", str(profile), "--force", timeout=LONG)
        say(f"  exit code {done.code} after {done.seconds / 60:.1f} min {done.last_line}"[:300])
        return done

    def _inside(self, name: str, up: Done) -> Inside | None:
        if up.code != 0:
            return None
        try:
            return self.desk.inside(name)
        except (ProvisionerError, ValueError, KeyError) as err:
            say(f"  nothing from the inside: {err}")
            return None

    def _ways(self, up: Done) -> Mapping[str, Verdict]:
        if up.code != 0:
            return {}
        done = self.desk.run("connect", main_job.NAME, "--as", "json", timeout=LONG)
        told = [event for event in done.events if event.get("event") == "access"]
        return ways.verdicts(told[-1]["services"]) if told else {}

    def _second_disc(self) -> Path | None:
        profile = self._profile(
            "acceptance-other", more=f"windows: {{computer_name: {OTHER_NAME}}}\n"
        )
        folder = self.desk.folder / "other"
        shutil.rmtree(folder, ignore_errors=True)
        done = self.desk.run("build", str(profile), "-o", str(folder), timeout=LONG)
        discs = sorted(folder.glob("*answers*.iso"))
        if not discs:
            say(f"  no second disc: {done.last_line}")
        return discs[0] if discs else None

    def _delete(self, name: str) -> None:
        self.desk.run("delete", name, "--yes", timeout=LONG)

    def _keep(self, where: str, found: Mapping[str, Verdict]) -> None:
        for claim, verdict in found.items():
            self.verdicts.setdefault(claim, []).append((where, verdict))


NO_SECOND_DISC = Verdict(holds=None, evidence="the second disc could not be built")


class Templates:
    """Templates of one trial, in place for as long as its machine is made."""

    def __init__(self, desk: Desk, templates: Mapping[str, str]) -> None:
        self._folder = desk.config / "templates"
        self._templates = templates

    def __enter__(self) -> None:
        for name, text in self._templates.items():
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def __exit__(self, *_: object) -> None:
        for name in self._templates:
            (self._folder / name).unlink(missing_ok=True)


def versions(desk: Desk) -> Mapping[str, str]:
    """Of everything that took part, for whoever reads the report."""
    found = {"provisioner": __version__, "kernel": platform.release()}
    try:
        with desk.session() as session:
            facts = session.hypervisor("acceptance-nobody", None).facts()
        found["libvirt"] = ".".join(map(str, facts.libvirt_version))
        found["QEMU"] = ".".join(map(str, facts.qemu_version))
        found["KVM"] = "yes" if facts.accelerator.kvm else f"no: {facts.accelerator.reason}"
    except ProvisionerError as err:
        found["libvirt"] = err.message
    return found


def say(line: str) -> None:
    """The story, on standard error."""
    print(line, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="make acceptance", description=__doc__)
    made.add_argument("--iso", required=True, type=Path, help="a Windows installation disc")
    made.add_argument("--virtio", type=Path, help="a virtio-win disc")
    made.add_argument("--edition", help="edition id, name or index; default: Pro, or the first")
    made.add_argument("--output", type=Path, default=FOLDER / "report.md", help="the report")
    made.add_argument("--trial", action="append", choices=["none", *(t.name for t in TRIALS)],
                      help="only these beside the main job; default: all")  # fmt: skip
    made.add_argument("--folder", type=Path, default=FOLDER, help="where machines and state go")
    made.add_argument("--quick", action="store_true", help="small machines, for the stand-in")
    return made


def main(argv: Sequence[str], variables: Mapping[str, str] | None = None) -> int:
    """0 when everything asserted holds on a Windows, 1 otherwise; the report is written anyway."""
    options = parser().parse_args(argv)
    folder: Path = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    drivers = options.virtio.resolve() if options.virtio else None
    try:
        media = main_job.look_at(options.iso.resolve(), drivers, options.edition)
    except ProvisionerError as err:
        say(f"error: {err.message}" + (f"\n  hint: {err.hint}" if err.hint else ""))
        return 1
    run = Run(Desk(folder=folder, variables=variables or {}), media, quick=options.quick)
    try:
        run.main_job()
        for trial in TRIALS:
            if options.trial is None or trial.name in options.trial:
                run.trial(trial)
    except KeyboardInterrupt:
        say("interrupted; the report has what was seen. The next run removes the machine.")
    report = run.report()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(markdown(report), encoding="utf-8")
    say(f"report: {options.output}; please look through it, and send it back")
    if not report.is_windows:
        say("this was no Windows: nothing is settled")
    good = report.is_windows and all(check.holds for check in report.assertions)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
