"""The product-key policy of windows-setup.md §3.5."""

from __future__ import annotations

import pytest

from provisioner.answers.keys import (
    GENERIC,
    GVLK_CLIENT,
    GVLK_LTSB_2016,
    GVLK_SERVER,
    ProductKey,
    choose,
)
from provisioner.errors import ProfileError
from provisioner.profile.units import ProductKeyFormat
from provisioner.secret import FromFile, SecretRef
from provisioner.templating import NamedSecret
from tests.golden.media import edition, install_disc

OWN = FromFile(file="/keys/own")
NAMED = NamedSecret(name="product-key", reference=OWN)


def key(
    edition_id: str,
    *,
    own: SecretRef | None = None,
    build: int = 26100,
    installation_type: str = "Client",
    evaluation: bool = False,
    volume_licence: bool = False,
) -> ProductKey:
    image = edition(edition_id, build=build, installation_type=installation_type)
    disc = install_disc(image, evaluation=evaluation, volume_licence=volume_licence)
    return choose(image, disc, own)


@pytest.mark.parametrize(
    ("edition_id", "build", "volume", "expected", "source"),
    [
        ("Core", 26100, False, "YTMG3-N6DKC-DKB77-7M9GH-8HVX7", "generic"),
        ("Professional", 19045, False, "VK7JG-NPHTM-C97JM-9MPGT-3V66T", "generic"),
        ("Professional", 26100, True, "W269N-WFGWX-YVC9B-4J6C9-T83GX", "gvlk"),
        ("Enterprise", 26100, True, "NPPR9-FWDCX-D2C8J-H872K-2YT43", "gvlk"),
        ("Core", 26100, True, "YTMG3-N6DKC-DKB77-7M9GH-8HVX7", "generic"),
        ("EnterpriseS", 26100, False, "M7XTQ-FN8P6-TTKYV-9D4CC-J462D", "gvlk"),
        ("EnterpriseS", 14393, True, GVLK_LTSB_2016, "gvlk"),
        ("Professional", 7601, False, "HYF8J-CVRMY-CM74G-RPHKF-PW487", "generic"),
        ("Professional", 7600, True, "FJ82H-XT6CR-J8D7P-XQJJ2-GPDD4", "gvlk"),
        ("Ultimate", 7601, False, "D4F6K-QK3RD-TMVMJ-BBMRX-3MBMV", "generic"),
        ("Professional", 9600, False, "GCRJD-8NW9H-F2CDX-CCM8D-9D6T9", "gvlk"),
        ("Enterprise", 9600, True, "MHF9N-XY6XB-WVXMC-BTDCT-MKKG7", "gvlk"),
        ("IoTEnterpriseS", 26100, False, "KBN8V-HFGQ4-MGXVD-347P6-PDQGT", "gvlk"),
    ],
)
def test_clients(edition_id: str, build: int, volume: bool, expected: str, source: str) -> None:
    found = key(edition_id, build=build, volume_licence=volume)
    assert (found.setup_key, found.source, found.activation) == (expected, source, None)
    assert found.skip_activation is (source == "gvlk")


@pytest.mark.parametrize("installation_type", ["Server", "Server Core"])
def test_servers_take_the_kms_client_key_of_their_year(installation_type: str) -> None:
    for build in (7601, 9600, 14393, 17763, 20348, 26100):
        for name in ("ServerStandard", "ServerDatacenter"):
            found = key(name, build=build, installation_type=installation_type)
            assert found.setup_key == GVLK_SERVER[build, name]
            assert found.skip_activation


@pytest.mark.parametrize(
    ("edition_id", "evaluation"), [("ServerStandardEval", False), ("Enterprise", True)]
)
def test_evaluation_takes_no_key(edition_id: str, evaluation: bool) -> None:
    kind = "Server" if edition_id.startswith("Server") else "Client"
    found = key(edition_id, installation_type=kind, evaluation=evaluation)
    assert (found.setup_key, found.activation, found.source) == (None, None, "none")
    assert not found.skip_activation, "an evaluation has to activate"
    with pytest.raises(ProfileError) as caught:
        key(edition_id, own=OWN, installation_type=kind, evaluation=evaluation)
    assert caught.value.problems[0].rule == "windows.product-key"


def test_own_key_activates_and_the_published_one_chooses_the_edition() -> None:
    found = key("Professional", own=OWN)
    assert found.setup_key == GENERIC["Professional"]
    assert found.activation == NAMED
    assert not key("Professional", own=OWN, volume_licence=True).skip_activation


def test_own_key_does_both_where_none_is_published() -> None:
    found = key("CloudEdition", own=OWN)
    assert found.setup_key == found.activation == NAMED


def test_unknown_edition_without_own_key() -> None:
    found = key("CloudEdition")
    assert found.setup_key is None
    assert "CloudEdition" in found.reason


def test_the_tables_hold_keys_each_once() -> None:
    keys = [*GENERIC.values(), *GVLK_CLIENT.values(), *GVLK_SERVER.values(), GVLK_LTSB_2016]
    assert len(keys) == len(set(keys))
    for one in keys:
        assert ProductKeyFormat(one) == one
