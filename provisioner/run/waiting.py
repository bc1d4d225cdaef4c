"""Waits for a guest: past the boot prompt, then until it is ready. Evidence decides, not time."""

from __future__ import annotations

from provisioner.errors import FailedError, GuestError, InterruptedByUser
from provisioner.frozen import frozen
from provisioner.guest.firmware import Verdict
from provisioner.guest.listener import STAGES, Listener
from provisioner.guest.protocol import Frame
from provisioner.plan.steps import PassBootPrompt, WaitReady
from provisioner.ports import BlockCounters, DomainState
from provisioner.run.world import World

POLL = 0.5
"""Seconds between two looks at the guest."""

KEY_PAUSE = 0.3
"""Seconds between two key presses; a press is lost while nobody listens (libvirt.md §5)."""

BOOTS = 3
"""How often the prompt may be missed before we give up."""

PROMPT_LIMIT = 120.0
"""Seconds one boot may take from power-on to evidence, under emulation on a busy host."""

SILENT_FIRMWARE = 30.0
"""Seconds without a byte on the serial port after which keys are pressed unasked: BIOS says
nothing there, and neither does firmware built without a serial console."""

LOADING = 4 * 2**20
"""Bytes read from the disc that prove its loader runs: OVMF and a boot loader alone read about
0.9 MB (measured, docs/facts/libvirt.md §5)."""

AGENT_TIMEOUT = 2.0
SPACE_BAR = 57

_VERDICTS: dict[Verdict, tuple[str, str]] = {
    Verdict.SECURITY_VIOLATION: (
        (
            "the firmware refused the disc's boot loader: its signature is not one the enrolled "
            "Secure Boot keys accept (Security Violation)"
        ),
        "use a disc with a signed loader, or `machine.firmware: uefi` to do without Secure Boot",
    ),
    Verdict.NOTHING_BOOTABLE: (
        "the firmware found nothing to boot from and waits in its own shell or menu",
        "see whether the install disc is one for this firmware: `provisioner check`",
    ),
    Verdict.BOOT_LOADER_PROMPT: (
        "the boot loader found no system and waits at its own prompt",
        "the install disc is damaged or not one for this firmware",
    ),
}


@frozen
class Guest:
    """A guest that is being installed, and when it was started (monotonic seconds)."""

    world: World
    listener: Listener
    started: float

    def elapsed(self) -> float:
        """Seconds since it was started."""
        return self.world.clock.monotonic() - self.started


def pass_boot_prompt(step: PassBootPrompt, guest: Guest) -> None:
    """Presses a key from the moment the firmware starts the disc until the disc is read.

    GuestError when three boots in a row read nothing.
    """
    hypervisor, clock = guest.world.hypervisor, guest.world.clock
    for boot in range(1, BOOTS + 1):
        before = _reads(guest, step)
        begun = clock.monotonic()
        while clock.monotonic() - begun < PROMPT_LIMIT:
            _take_in(guest)
            heard = guest.listener.heard
            if _reads(guest, step) - before > LOADING:
                guest.world.console.say(moment(guest, "the disc boots: key press answered"))
                return
            if heard.verdict is Verdict.NOTHING_BOOTABLE:
                break  # the prompt gave up; only a fresh boot asks again
            _stop_at_verdict(guest)
            _stop_when_off(guest, step.name)
            asked = heard.prompted or any(attempt.optical for attempt in heard.attempts)
            silent = not heard.anything and clock.monotonic() - begun > SILENT_FIRMWARE
            if asked or silent:
                _press_key(guest, step)
                clock.sleep(KEY_PAUSE)
            else:
                clock.sleep(POLL)
        if boot < BOOTS:
            guest.world.console.warn(moment(guest, "the boot prompt was missed; once more"))
            hypervisor.destroy(step.name)
            guest.listener.forget_boot()
            hypervisor.start(step.name)
    raise GuestError(
        f"{step.name} did not boot from the install disc: no key press was answered in "
        f"{BOOTS} boots",
        hint="look at its display (`provisioner status`), and check that the disc is bootable",
    )


def wait_ready(step: WaitReady, guest: Guest) -> None:
    """Returns when the guest is ready; GuestError when it says it failed, stops, or is late."""
    while True:
        _take_in(guest)
        heard = guest.listener.heard
        _stop_when_failed(guest, step.name)
        if step.when == "serial" and heard.ready:
            return
        record = guest.world.hypervisor.domain(step.name)
        state = record.state if record else DomainState.OFF
        if state in (DomainState.OFF, DomainState.CRASHED):
            _stop_when_asked(guest, step.name)
            _take_in(guest)
            _stop_when_failed(guest, step.name)  # its last words
            if step.when == "power-off" and state is DomainState.OFF:
                return
            raise GuestError(
                f"{step.name} turned itself off during: {heard.stage}",
                hint=f"its serial log: {guest.world.store.serial_log}",
            )
        if state is DomainState.PAUSED:
            raise GuestError(
                f"{step.name} was paused by QEMU, which happens when the disk under it is full",
                hint="make room where the machine's disk lies, then `provisioner up` again",
            )
        _stop_at_verdict(guest)
        # The agent is installed last, but a guest that talks on the serial port says itself when
        # the last line of its script has run: until then the script still lives on our disc.
        if step.when == "agent" and _agent_answers(guest, step.name):
            talks = any(frame.event in ("stage", "step") for frame in heard.frames)
            if heard.ready or not talks:
                return
        if guest.elapsed() > step.within:
            raise GuestError(
                f"{step.name} was not ready within {step.within / 60:.0f} min; "
                f"the last it reported: {heard.stage}",
                hint="give it longer with `machine.ready.within`, or look at its serial log: "
                f"{guest.world.store.serial_log}",
            )
        guest.world.clock.sleep(POLL)


def moment(guest: Guest, text: str) -> str:
    """A line of the timeline: minutes and seconds since the start, then the text."""
    minutes, seconds = divmod(int(guest.elapsed()), 60)
    return f"  {minutes:02d}:{seconds:02d}  ● {text}"


def _take_in(guest: Guest) -> None:
    for frame in guest.listener.hear():
        guest.world.console.event("guest", {**frame.payload, "seconds": round(guest.elapsed(), 1)})
        if text := _words(frame):
            guest.world.console.say(moment(guest, text))


def _words(frame: Frame) -> str | None:
    payload = frame.payload
    match frame.event:
        case "stage":
            stage = str(payload.get("stage", ""))
            return STAGES.get(stage, stage)
        case "step" if payload.get("state") == "start":
            return f"step {payload.get('name', '?')}"
        case "step":
            return f"step {payload.get('name', '?')} exited {payload.get('exit_code', '?')}"
        case "ready":
            return "the guest says it is ready"
        case _:
            return None


def _stop_at_verdict(guest: Guest) -> None:
    if verdict := guest.listener.heard.verdict:
        message, hint = _VERDICTS[verdict]
        raise GuestError(message, hint=hint)


def _stop_when_off(guest: Guest, name: str) -> None:
    record = guest.world.hypervisor.domain(name)
    if record is None or record.state in (DomainState.OFF, DomainState.CRASHED):
        _stop_when_asked(guest, name)
        raise GuestError(f"{name} turned itself off while it was to boot from the install disc")


def _stop_when_failed(guest: Guest, name: str) -> None:
    failure = guest.listener.heard.failure
    if failure is not None:
        raise GuestError(
            f"{name} gave up: {failure}", hint=f"its serial log: {guest.world.store.serial_log}"
        )


def _stop_when_asked(guest: Guest, name: str) -> None:
    if guest.world.store.stopped_note.exists():
        raise InterruptedByUser(
            f"{name} was shut down by `provisioner down` before it was ready",
            hint="`provisioner up` starts it again and goes on waiting",
        )


def _press_key(guest: Guest, step: PassBootPrompt) -> None:
    try:
        guest.world.hypervisor.send_keys(step.name, [SPACE_BAR])
    except FailedError:
        _stop_when_off(guest, step.name)
        raise


def _reads(guest: Guest, step: PassBootPrompt) -> int:
    try:
        counters: BlockCounters = guest.world.hypervisor.block_counters(step.name, step.target)
    except FailedError:
        _stop_when_off(guest, step.name)  # that is why, most likely
        raise
    return counters.read_bytes


def _agent_answers(guest: Guest, name: str) -> bool:
    try:
        guest.world.hypervisor.agent(name, {"execute": "guest-ping"}, timeout=AGENT_TIMEOUT)
    except (GuestError, FailedError):
        return False  # FailedError: it has turned itself off since we looked
    return True
