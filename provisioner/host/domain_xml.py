"""Reads and edits the few parts of a domain's XML that `host` needs. Pure: text in, text out.

Element names: https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms
"""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from provisioner.errors import FailedError
from provisioner.ownership import parse_ownership
from provisioner.ports import Drive, Medium, Ownership


def name_in(xml: str) -> str:
    """The domain's name; FailedError where the text is no domain."""
    return _parse(xml).findtext("name") or ""


def uuid_in(xml: str) -> str | None:
    """The domain's UUID as written, or None where libvirt is to choose one."""
    return _parse(xml).findtext("uuid")


def ownership_in(xml: str) -> Ownership | None:
    """Our metadata; FailedError where the text is no domain."""
    _parse(xml)
    return parse_ownership(xml)


def disk_targets(xml: str) -> tuple[str, ...]:
    """Targets of all disks and drives (`vda`, `sda`), in file order."""
    targets = (target.get("dev", "") for target in _parse(xml).iterfind("./devices/disk/target"))
    return tuple(targets)


def drives_in(xml: str) -> tuple[Drive, ...]:
    """The CD-ROM drives, in target order. An open tray counts as holding what its XML names."""
    drives = []
    for disk in _parse(xml).iterfind("./devices/disk[@device='cdrom']"):
        target = disk.find("target")
        drives.append(
            Drive(target=target.get("dev", "") if target is not None else "", medium=_medium(disk))
        )
    return tuple(sorted(drives, key=lambda drive: (len(drive.target), drive.target)))


def display_in(xml: str) -> str | None:
    """`vnc://127.0.0.1:5900` of the first display that listens on a port; None without one.

    A domain that is off has port -1, or none (https://libvirt.org/formatdomain.html, "Graphical
    framebuffers").
    """
    for graphics in _parse(xml).iterfind("./devices/graphics"):
        kind, port = graphics.get("type"), graphics.get("port", "")
        if kind not in ("vnc", "spice") or not port.isdigit() or port == "0":
            continue
        listen = graphics.find("./listen[@address]")
        address = graphics.get("listen") or (listen.get("address") if listen is not None else None)
        if address in (None, "0.0.0.0", "::"):
            address = "127.0.0.1"
        return (
            f"{kind}://[{address}]:{port}" if ":" in str(address) else f"{kind}://{address}:{port}"
        )
    return None


def is_emulated(xml: str) -> bool:
    """Whether the domain runs without KVM."""
    return _parse(xml).get("type") != "kvm"


def serial_port_in(xml: str) -> str | None:
    """`/dev/pts/3` of the first serial port that is a pseudo-terminal, in the XML of a running
    domain (https://libvirt.org/formatdomain.html#pseudo-tty)."""
    source = _parse(xml).find("./devices/serial[@type='pty']/source")
    path = source.get("path") if source is not None else None
    return path if path and path.startswith("/dev/") else None


def disk_with_medium(
    xml: str, target: str, medium: Medium | None, *, backing: Medium | None, relabel: bool
) -> str:
    """The `<disk>` of the drive `target` as libvirt wants it for a media change.

    `backing` is what a qcow2 medium lies over. With `relabel` false libvirt leaves the owner of
    the user's own file alone: of the backing file where there is one, otherwise of the medium
    (`docs/facts/libvirt.md` §3.2, §3.2a). Only the system daemon accepts that element.
    """
    disk = _drive(_parse(xml), target)
    _load(disk, medium, backing=backing, relabel=relabel)
    for alias in disk.findall("alias"):
        disk.remove(alias)
    return ElementTree.tostring(disk, encoding="unicode")


def domain_with_medium(xml: str, target: str, medium: Medium | None) -> str:
    """The whole domain with another medium in one drive; for drivers without media changes."""
    domain = _parse(xml)
    _load(_drive(domain, target), medium, backing=None, relabel=True)
    return ElementTree.tostring(domain, encoding="unicode")


def _parse(xml: str) -> Element:
    try:
        return ElementTree.fromstring(xml)
    except ElementTree.ParseError as err:
        raise FailedError(
            f"the domain XML is not well-formed: {err}",
            hint="if you use a domain template of your own, look for an unescaped & or <",
        ) from err


def _drive(domain: Element, target: str) -> Element:
    for disk in domain.iterfind("./devices/disk[@device='cdrom']"):
        found = disk.find("target")
        if found is not None and found.get("dev") == target:
            return disk
    have = ", ".join(drive.target for drive in drives_in(ElementTree.tostring(domain, "unicode")))
    raise FailedError(
        f"the machine {domain.findtext('name')} has no CD-ROM drive {target}",
        hint=f"its drives: {have}" if have else "it has no CD-ROM drive at all",
    )


def _medium(disk: Element) -> Medium | None:
    source = disk.find("source")
    if source is None:
        return None
    path = source.get("file") or source.get("dev") or source.get("volume")
    if path is None:
        return None
    driver = disk.find("driver")
    return Medium(path=path, format=driver.get("type", "raw") if driver is not None else "raw")


def _load(disk: Element, medium: Medium | None, *, backing: Medium | None, relabel: bool) -> None:
    for name in ("source", "backingStore"):
        for element in disk.findall(name):
            disk.remove(element)
    disk.set("type", "file")
    tray = disk.find("target")
    if tray is not None:
        tray.attrib.pop("tray", None)
    driver = disk.find("driver")
    if driver is None:
        driver = Element("driver", {"name": "qemu"})
        disk.insert(0, driver)
    driver.set("type", medium.format if medium else "raw")
    if medium is None:
        return
    source = SubElement(disk, "source", {"file": medium.path})
    if backing is not None:
        store = SubElement(disk, "backingStore", {"type": "file"})
        SubElement(store, "format", {"type": backing.format})
        source = SubElement(store, "source", {"file": backing.path})
        SubElement(store, "backingStore")
    if not relabel:
        SubElement(source, "seclabel", {"model": "dac", "relabel": "no"})


def hard_disks(xml: str) -> tuple[tuple[str, str], ...]:
    """Path and format (`qcow2`, `raw`) of every hard disk that is a file or a device of this host.

    In file order. FailedError where the text is no domain.
    """
    found = []
    for disk in _parse(xml).iterfind("./devices/disk"):
        source, driver = disk.find("source"), disk.find("driver")
        if disk.get("device", "disk") != "disk" or source is None:
            continue
        path = source.get("file") or source.get("dev")
        if path:
            found.append((path, (driver.get("type") if driver is not None else None) or "raw"))
    return tuple(found)
