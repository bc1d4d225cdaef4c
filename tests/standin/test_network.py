"""The stand-in's network of specialize: what it records, and what it cannot apply."""

from __future__ import annotations

import pytest

from tests.standin.setup.answers import AnswerFile, read_answer_file
from tests.standin.setup.network import read_join, read_network
from tests.standin.setup.outcome import SetupStopped
from tests.standin.setup.passwords import fingerprint
from tests.standin.setup.settings_check import check_pass

HEAD = (
    '<unattend xmlns="urn:schemas-microsoft-com:unattend" '
    'xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State">'
)
IDENTITY = 'processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral"'
STATIC = """<Interfaces><Interface wcm:action="add">
<Ipv4Settings><DhcpEnabled>false</DhcpEnabled></Ipv4Settings>
<Identifier>52-54-00-12-34-56</Identifier>
<UnicastIpAddresses>
<IpAddress wcm:action="add" wcm:keyValue="1">192.0.2.10/24</IpAddress>
</UnicastIpAddresses>
<Routes><Route wcm:action="add"><Identifier>1</Identifier><Metric>10</Metric>
<NextHopAddress>192.0.2.1</NextHopAddress><Prefix>0.0.0.0/0</Prefix></Route></Routes>
</Interface></Interfaces>"""
CREDENTIALS = (
    "<Credentials><Domain>CORP</Domain><Password>secret</Password><Username>joiner</Username>"
    "</Credentials>"
)


def answers(component: str, settings: str, configuration_pass: str = "specialize") -> AnswerFile:
    """An answer file with one component; Microsoft-Windows- is put in front of its name."""
    text = (
        f'{HEAD}<settings pass="{configuration_pass}"><component '
        f'name="Microsoft-Windows-{component}" {IDENTITY}>{settings}</component></settings>'
        "</unattend>"
    )
    return read_answer_file(text.encode(), "E:\\Autounattend.xml")


def test_static() -> None:
    answer = answers("TCPIP", STATIC)
    assert check_pass(answer, "specialize") == ()
    (interface,) = read_network(answer).interfaces
    assert interface == {
        "identifier": "52-54-00-12-34-56",
        "ipv4_dhcp": False,
        "ipv6_dhcp": True,
        "router_discovery": True,
        "addresses": ["192.0.2.10/24"],
        "gateways": ["192.0.2.1"],
        "dns": [],
        "dns_suffix": None,
    }


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("<DhcpEnabled>false", "<DhcpEnabled>true", "while DHCP is on"),
        ("192.0.2.1<", "198.51.100.1<", "none of the interface's networks"),
        ("192.0.2.1<", "router<", "is no address"),
        ("192.0.2.10/24", "192.0.2.10/33", "is no address"),
        ("52-54-00-12-34-56", "52:54:00:12:34:56", "is no MAC address"),
        ("<Metric>10</Metric>\n", "", ""),
        ("<Prefix>0.0.0.0/0</Prefix></Route>", "</Route>", ""),
    ],
)
def test_what_cannot_be_applied(old: str, new: str, why: str) -> None:
    answer = answers("TCPIP", STATIC.replace(old, new))
    if not why:
        assert len(read_network(answer).interfaces) == 1
        return
    with pytest.raises(SetupStopped, match=why):
        read_network(answer)


def test_the_documented_order() -> None:
    identifier = "<Identifier>52-54-00-12-34-56</Identifier>\n"
    late = STATIC.replace(identifier, "").replace("</Interface>", f"{identifier}</Interface>")
    with pytest.raises(SetupStopped, match="documented order"):
        read_network(answers("TCPIP", late))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("<JoinWorkgroup>LAB</JoinWorkgroup>", {"workgroup": "LAB"}),
        (
            f"{CREDENTIALS}<JoinDomain>corp.example</JoinDomain>",
            {
                "domain": "corp.example",
                "ou": None,
                "account_domain": "CORP",
                "account": "joiner",
                "password_sha256": fingerprint("secret"),
                "carried_out": False,
            },
        ),
        (
            "<Provisioning><AccountData>QQ==</AccountData></Provisioning>",
            {"blob_sha256": fingerprint("QQ=="), "pass": "specialize", "carried_out": False},
        ),
    ],
)
def test_joins_are_written_down(settings: str, expected: object) -> None:
    answer = answers("UnattendedJoin", f"<Identification>{settings}</Identification>")
    assert check_pass(answer, "specialize") == ()
    assert read_join(answer) == expected


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ("<JoinDomain>a.example</JoinDomain><JoinWorkgroup>B</JoinWorkgroup>", "exclude"),
        ("<DebugJoin>true</DebugJoin>", "exclude each other, and one is needed"),
        ("<JoinDomain>a.example</JoinDomain>", "no Credentials"),
        (
            f"{CREDENTIALS}<JoinDomain>a.example</JoinDomain><MachineObjectOU>x</MachineObjectOU>",
            "no distinguished name",
        ),
        ("<Provisioning><AccountData>a b</AccountData></Provisioning>", "no blob of djoin"),
    ],
)
def test_joins_that_are_refused(settings: str, why: str) -> None:
    with pytest.raises(SetupStopped, match=why):
        read_join(answers("UnattendedJoin", f"<Identification>{settings}</Identification>"))


def test_a_join_before_the_first_start() -> None:
    blob = (
        "<OfflineIdentification><Provisioning><AccountData>QQ==</AccountData></Provisioning>"
        "</OfflineIdentification>"
    )
    answer = answers("UnattendedJoin", blob, "offlineServicing")
    assert check_pass(answer, "offlineServicing") == ()
    assert read_join(answer) == {
        "blob_sha256": fingerprint("QQ=="),
        "pass": "offlineServicing",
        "carried_out": False,
    }
