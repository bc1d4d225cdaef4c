"""Waits for a guest: past the boot prompt, then until it is ready. Evidence decides, not time."""

from __future__ import annotations

from provisioner.errors import (
    ConnectionLost,
    FailedError,
    GuestError,
    GuestStalled,
    HostError,
    InterruptedByUser,
    StepError,
)
from provisioner.frozen import frozen
from provisioner.guest import steps
from provisioner.guest.firmware import Verdict
from provisioner.guest.inference import LOADING, Stall
from provisioner.guest.listener import Listener
from provisioner.guest.stages import words
from provisioner.plan.steps import PassBootPrompt, WaitReady
from provisioner.ports import BlockCounters, DomainState
from provisioner.run.watching import LISTEN, Watch
from provisioner.run.world import World

POLL = 0.5
"""Seconds between two looks at a guest that has not started the disc yet."""

STATE = 2.0
"""Seconds between two looks at the domain's state."""

AWAY = 180.0
"""Seconds that libvirt may be away before we give up; its machines run on without it."""

KEY_PAUSE = 0.3
"""Seconds between two key presses; a press is lost while nobody listens (libvirt.md §5)."""

BOOTS = 3
"""How often the prompt may be missed before we give up."""

PROMPT_LIMIT = 120.0
"""Seconds one boot may take from power-on to evidence, under emulation on a busy host."""

SILENT_FIRMWARE = 30.0
"""Seconds without a byte on the serial port after which keys are pressed unasked: BIOS says
nothing there, and neither does firmware built without a serial console."""

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
    """A guest that is being installed, and who watches it."""

    world: World
    watch: Watch

    @property
    def listener(self) -> Listener:
        """What it has said."""
        return self.watch.listener

    def elapsed(self) -> float:
        """Seconds since it was started."""
        return self.watch.recorder.elapsed()


class _Libvirt:
    """Whether libvirt is there. A daemon that is started anew is waited for, and told once."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._gone: float | None = None

    def answered(self) -> None:
        """A whole look went well."""
        if self._gone is None:
            return
        seconds = round(self._guest.world.clock.monotonic() - self._gone)
        self._gone = None
        self._guest.watch.forgive()
        self._guest.watch.recorder.note(
            "gap", {"reason": "libvirt did not answer", "seconds": seconds}
        )

    def failed(self, err: ConnectionLost | HostError) -> None:
        """A call met nobody; raises it again after the time limit."""
        now = self._guest.world.clock.monotonic()
        if self._gone is None:
            self._gone = now
            self._guest.world.console.warn(
                f"{err.message}; waiting for it, the machine runs on without it"
            )
        elif now - self._gone > AWAY:
            raise err


def pass_boot_prompt(step: PassBootPrompt, guest: Guest) -> None:
    """Presses a key from the moment the firmware starts the disc until the disc is read.

    GuestError when three boots in a row read nothing.
    """
    hypervisor, clock = guest.world.hypervisor, guest.world.clock
    libvirt = _Libvirt(guest)
    for boot in range(1, BOOTS + 1):
        before = _reads(guest, step)
        begun = clock.monotonic()
        while clock.monotonic() - begun < PROMPT_LIMIT:
            try:
                guest.watch.look()
                if _reads(guest, step) - before > LOADING:
                    guest.world.console.say(moment(guest, "the disc boots: key press answered"))
                    return
                if guest.listener.heard.verdict is Verdict.NOTHING_BOOTABLE:
                    break  # the prompt gave up; only a fresh boot asks again
                clock.sleep(_press_if_asked(step, guest, begun))
                libvirt.answered()
            except (ConnectionLost, HostError) as err:
                libvirt.failed(err)
                clock.sleep(POLL)
        if boot < BOOTS:
            guest.world.console.warn(moment(guest, "the boot prompt was missed; once more"))
            hypervisor.destroy(step.name)
            guest.watch.power_cycled()
            hypervisor.start(step.name)
    raise GuestError(
        f"{step.name} did not boot from the install disc: no key press was answered in "
        f"{BOOTS} boots",
        hint="look at its display (`provisioner status`), and check that the disc is bootable",
    )


def _press_if_asked(step: PassBootPrompt, guest: Guest, begun: float) -> float:
    """Presses a key where somebody waits for one; how long to sleep then."""
    _stop_at_verdict(guest)
    _stop_when_off(guest, step.name)
    heard = guest.listener.heard
    asked = heard.prompted or any(attempt.optical for attempt in heard.attempts)
    silent = not heard.anything and guest.world.clock.monotonic() - begun > SILENT_FIRMWARE
    if not asked and not silent:
        return POLL
    _press_key(guest, step)
    return KEY_PAUSE


def wait_ready(step: WaitReady, guest: Guest) -> None:
    """Returns when the guest is ready; GuestError when it says it failed, stops, stalls, is late.

    libvirt may go away in between: it is waited for, and what was missed is marked as a gap.
    """
    clock, libvirt = guest.world.clock, _Libvirt(guest)
    look_at_state = clock.monotonic()
    while True:
        try:
            guest.watch.look()
            if _is_ready(step, guest):
                # The log tells it without libvirt too, and what follows needs libvirt.
                guest.world.hypervisor.domain(step.name)
                libvirt.answered()
                return
            if clock.monotonic() >= look_at_state:
                look_at_state = clock.monotonic() + STATE
                if _has_ended(step, guest):
                    return
                libvirt.answered()
        except (ConnectionLost, HostError) as err:
            libvirt.failed(err)
        else:
            _stop_when_stalled(guest, step.name)
        if guest.elapsed() > step.within:
            raise GuestError(
                f"{step.name} was not ready within {step.within / 60:.0f} min; "
                f"its last stage: {words(guest.watch.stage)}",
                hint="give it longer with `machine.ready.within`, or look at its serial log: "
                f"{guest.world.store.serial_log}",
            )
        clock.sleep(LISTEN)


def _is_ready(step: WaitReady, guest: Guest) -> bool:
    heard = guest.listener.heard
    _stop_when_failed(guest, step.name)
    _stop_at_verdict(guest)
    answers = guest.watch.ask_agent()
    if step.when == "serial":
        return heard.ready
    # The agent is installed last, but a guest that talks on the serial port says itself when
    # the last line of its script has run: until then the script still lives on our disc.
    return step.when == "agent" and answers and (heard.ready or not heard.talks)


def _has_ended(step: WaitReady, guest: Guest) -> bool:
    """Whether it is off, and that is what was waited for; GuestError where it is not."""
    record = guest.world.hypervisor.domain(step.name)
    state = record.state if record else DomainState.OFF
    if state in (DomainState.OFF, DomainState.CRASHED):
        _stop_when_asked(guest, step.name)
        guest.watch.look()
        _stop_when_failed(guest, step.name)  # its last words
        if step.when == "power-off" and state is DomainState.OFF:
            return True
        raise GuestError(
            f"{step.name} turned itself off during: {words(guest.watch.stage)}",
            hint=f"its serial log: {guest.world.store.serial_log}",
        )
    if state is DomainState.PAUSED:
        raise GuestError(
            f"{step.name} was paused by QEMU, which happens when the disk under it is full",
            hint="make room where the machine's disk lies, then `provisioner up` again",
        )
    return False


def _stop_when_stalled(guest: Guest, name: str) -> None:
    stall = guest.watch.stall()
    if stall is None:
        return
    if stall.step is not None:
        raise StepError(
            stalled_words(name, stall),
            hint=f"`provisioner up --resume` starts it anew and runs step {stall.step.number} "
            "again, as it is or corrected",
            number=stall.step.number,
        )
    raise GuestStalled(
        stalled_words(name, stall),
        stage=stall.stage,
        seconds=stall.seconds,
        looked_at=stall.looked_at,
        hint="look at its last picture and its serial log; PROVISIONER_STALL_AFTER gives a slow "
        "host more time",
    )


def stalled_words(name: str, stall: Stall) -> str:
    """What was looked at in vain, and for how long."""
    looked_at = f"(looked at {', '.join(stall.looked_at) or 'nothing'})"
    if stall.step is not None:
        return (
            f"{name} stalled: step '{stall.step.name}' was to end within {stall.step.timeout} s, "
            f"and nothing was heard of it for {_time(stall.seconds)} {looked_at}"
        )
    return (
        f"{name} stalled: no progress for {_time(stall.seconds)} in "
        f'"{words(stall.stage)}" {looked_at}'
    )


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def moment(guest: Guest, text: str) -> str:
    """A line of the timeline: minutes and seconds since the start, then the text."""
    minutes, seconds = divmod(int(guest.elapsed()), 60)
    return f"  {minutes:02d}:{seconds:02d}  ● {text}"


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
    heard = guest.listener.heard
    failure = heard.failure
    if failure is None:
        return
    log = guest.world.store.serial_log
    failed = steps.failed_step(heard.about_steps)
    if failed is None:
        raise GuestError(f"{name} gave up: {failure}", hint=f"its serial log: {log}")
    raise StepError(
        f"{name} gave up: {failure}",
        hint=f"`provisioner up --resume` runs step {failed} again, as it is or corrected; "
        f"its serial log: {log}",
        number=failed,
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
