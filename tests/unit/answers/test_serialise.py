"""What Setup would refuse or ignore is refused before it is written."""

from __future__ import annotations

import pytest

from provisioner.answers.serialise import DECLARATION, serialise
from provisioner.answers.settings import may_be_empty, table
from provisioner.templating import Rendered, TemplateError

OPEN = DECLARATION + '<unattend xmlns="urn:schemas-microsoft-com:unattend">'
PE = (
    '<settings pass="windowsPE"><component name="C" processorArchitecture="amd64">'
    "{}</component></settings>"
)


def serialised(text: str) -> str:
    text_entry = serialise(Rendered(text=text, slots=()), template="t")
    assert (text_entry.encoding, text_entry.newline) == ("ascii", "\r\n")
    (only,) = text_entry.parts
    assert isinstance(only, str)
    return only


def test_leaf_text_is_not_touched_and_the_rest_is_ascii() -> None:
    text = OPEN + PE.format("<A>  two  spaces é 😀 </A>") + "</unattend>\n"
    assert serialised(text) == text.replace("é", "&#233;").replace("😀", "&#128512;")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n" + OPEN + PE.format("<A>1</A>") + "</unattend>", "does not begin with"),
        ("\ufeff" + OPEN + "</unattend>", "does not begin with"),
        (OPEN + PE.format("<A>1</B>") + "</unattend>", "not well-formed"),
        (OPEN + PE.format("<A>\x01</A>") + "</unattend>", "not well-formed"),
        (OPEN + PE.format("<A></A>") + "</unattend>", "C/A is empty"),
        (OPEN + PE.format("<A><B/></A>") + "</unattend>", "C/A/B is empty"),
        (OPEN + PE.format("<A>1</A>") * 2 + "</unattend>", "windowsPE is there twice"),
        (
            OPEN
            + PE.format('<A>1</A></component><component name="C" processorArchitecture="amd64">')
            + "</unattend>",
            "component C is twice",
        ),
        (OPEN + '<settings pass="specialise"/></unattend>', "no configuration pass 'specialise'"),
        (OPEN + '<settings pass="specialize"/></unattend>', "no windowsPE pass"),
        (DECLARATION + "<unattend/>", "the root is unattend"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        serialised(text)


def test_the_table_says_what_may_be_empty() -> None:
    assert may_be_empty("microsoft-windows-international-core", "UILanguage")
    assert not may_be_empty("Microsoft-Windows-Setup", "UserData/ProductKey/Key")
    assert not may_be_empty("Microsoft-Windows-Setup", "UserData/Nonsense")
    allowed = "Microsoft-Windows-International-Core"
    text = (
        OPEN + PE.replace('name="C"', f'name="{allowed}"').format("<UILanguage/>") + "</unattend>"
    )
    assert serialised(text)


def test_the_table_is_whole() -> None:
    settings = table()
    assert len(settings) == 1114
    name = settings["microsoft-windows-shell-setup", "ComputerName"]
    assert name.passes == {"offlineServicing", "specialize"}
    assert name.maximum_length == 15
