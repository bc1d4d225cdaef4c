"""Everything outside, as one bundle of ports."""

from __future__ import annotations

from provisioner.frozen import frozen
from provisioner.ports import Clock, Console, Hypervisor, SecretStore, SerialLog
from provisioner.quoting import ENCODINGS
from provisioner.secret import SecretSlot
from provisioner.store.machine import MachineStore


@frozen
class World:
    """What a run may touch, for one machine."""

    hypervisor: Hypervisor
    clock: Clock
    secrets: SecretStore
    serial: SerialLog
    console: Console
    store: MachineStore

    def reveal(self, slot: SecretSlot) -> str:
        """The characters of a secret at its place; only writers are given this function."""
        secret = self.secrets.resolve(slot.name, slot.reference)
        return ENCODINGS[slot.encoding](secret.reveal())
