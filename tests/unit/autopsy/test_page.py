"""The page in a real browser: what it shows, at what width, and that it asks for nothing."""

from __future__ import annotations

import base64
import hashlib
import http.server
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest

from provisioner.autopsy.bundle import write_bundle
from provisioner.autopsy.case import Case, Document, Kind, Shot
from provisioner.autopsy.pictures import png
from provisioner.autopsy.signatures import findings
from provisioner.store.timeline import Moment, Origin
from tests.unit.autopsy.chromium import chromium, dom, picture
from tests.unit.autopsy.logs import SETUPACT
from tests.unit.autopsy.pixels import dialog, identify, ppm, rgb

AT = 1_800_000_000.0
KEY = "2026-11-22 10:00:05, Error  [0x06] IBS Setup has failed to validate the product key."
STAGES = ["setup", "answers", "disks", "image", "first-boot", "specialize"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything on it."""
    folder = tmp_path_factory.mktemp("page")
    screen = dialog(folder / "dialog.png", "Windows Setup", "Setup has failed to validate the key")
    small = png(ppm(320, 200))
    assert small is not None
    texts = {
        "logs/p3/Windows/Panther/setuperr.log": (Kind.SETUP, f"{KEY}\n"),
        "logs/p3/$WINDOWS.~BT/Sources/Panther/setupact.log": (
            Kind.SETUP,
            SETUPACT * 40 + "hr = 0x80220005\n" + "<img src=x>" + "w" * 3000,
        ),
        "events.txt": (Kind.EVENT, "last stage: answers\n"),
        "domain.xml": (Kind.DOMAIN, "<domain/>\n"),
    }
    documents = tuple(
        Document(kind=kind, name=name, origin="a test", text=text)
        for name, (kind, text) in texts.items()
    )
    moments = [Moment(at=AT, event="started", origin=Origin.HOST)]
    for number, stage in enumerate(STAGES):
        told = {"stage": stage}
        moments.append(
            Moment(at=AT + 20 * number, event="stage", origin=Origin.REPORTED, members=told)
        )
    told_last = {"stage": "answers", "seconds": 360}
    moments.append(Moment(at=AT + 430, event="stalled", origin=Origin.HOST, members=told_last))
    shots = [Shot(name="screen.png", caption="the display at the end", png=screen.read_bytes())]
    shots += [
        Shot(name=f"screens/{n:02}.png", caption=stage, png=small, at=AT + 20 * n)
        for n, stage in enumerate(STAGES, start=1)
    ]
    case = Case(
        subject="dev11",
        at=AT + 430,
        reason="stalled: no disc read, disk write or screen change for 6 min",
        stage="Setup found our answers",
        documents=documents,
        shots=tuple(shots),
        moments=tuple(moments),
        facts=(("provisioner", "0.1.0"), ("disk", "/x/" + "very-long-path/" * 20)),
        remarks=("the words on the display were not read",),
        findings=findings(documents),
    )
    return write_bundle(case, folder / "bundle")


class Elements(HTMLParser):
    """Ids, classes, sources and text of a document."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.sources: list[str] = []
        self.scripts = 0
        self.text = ""
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.scripts += tag == "script" or any(name.startswith("on") for name in given)
        if given.get("id"):
            self.ids.add(str(given["id"]))
        if given.get("src"):
            self.sources.append(str(given["src"]))

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


def test_the_browser_builds_what_is_meant(page: Path, tmp_path: Path) -> None:
    elements = Elements()
    elements.feed(dom(page, tmp_path / "profile"))
    assert elements.ids == {
        *("verdict", "screen", "filmstrip", "timeline", "others", "texts", "facts")
    }
    text = " ".join(elements.text.split())
    assert "the key belongs to another edition than the image" in text
    assert "no disc read, disk write or screen change for 6 min" in text
    assert "07:10 stalled: no sign of progress for 360 s in Setup found our answers" in text
    assert "remove product_key (a generic key" in text  # what stood in backticks is code now
    assert "a value is invalid (0x80220005)" in text
    assert "did not get as far as the disk" not in text  # a stage says nothing beside a message
    assert elements.tags.count("img") == 1 + len(STAGES)
    assert elements.scripts == 0
    assert all(source.startswith("data:image/png;base64,") for source in elements.sources)


def test_the_style_is_the_one_that_the_policy_allows(page: Path) -> None:
    text = page.read_text()
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    policy = re.search(r"Content-Security-Policy\" content=\"([^\"]*)\"", text)
    assert style and policy
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy[1]
    assert policy[1].startswith("default-src 'none'; img-src data:;")


@pytest.mark.parametrize(("width", "height"), [(1200, 1600), (390, 1600)])
def test_screenshot(page: Path, tmp_path: Path, width: int, height: int) -> None:
    """Styled, with its pictures, at the width of a desk and of a telephone."""
    # Chromium's window is never narrower than 500 pixels; the telephone is a frame in it.
    shown = page
    if width < 500:
        shown = page.with_name("frame.html")
        shown.write_text(
            f'<body style="margin:0"><iframe src="{page.name}" style="border:0" '
            f'width="{width}" height="{height}"></iframe>'
        )
    target = picture(
        shown, tmp_path / "p", tmp_path / "page.png", width=max(width, 500), height=height
    )
    kind, found_width, found_height, colours = identify(target)
    assert (kind, found_width, found_height) == ("PNG", max(width, 500), height)
    assert colours > 500, "almost blank"
    pixels = rgb(target)
    present = {pixels[at : at + 3] for at in range(0, len(pixels), 3)}
    assert bytes.fromhex("b3261e") in present, "the verdict's red edge"
    assert bytes.fromhex("1a3c6e") in present, "the blue of the screenshot"
    assert bytes.fromhex("f6f6f4") in present, "the page's ground"


def test_nothing_is_wider_than_a_telephone(page: Path, tmp_path: Path) -> None:
    """Measured by the browser itself, in a frame of 360 pixels."""
    measuring = page.with_name("measure.html")
    measuring.write_text(
        '<iframe id="f" width="360" height="800"></iframe><p id="said">nothing</p><script>'
        f"const html = {page.read_text().replace(chr(60) + '/', chr(60) + chr(92) + '/')!r};"
        'const f = document.getElementById("f"); f.onload = () => {'
        "const d = f.contentDocument.documentElement;"
        'document.getElementById("said").textContent = d.scrollWidth + " of " + d.clientWidth;};'
        "f.srcdoc = html;</script>"
    )
    said = re.search(r'id="said">([^<]*)', dom(measuring, tmp_path / "p"))
    assert said is not None and re.fullmatch(r"(\d+) of \1", said[1]), said


def test_dark_where_the_desk_is_dark(page: Path, tmp_path: Path) -> None:
    target = tmp_path / "dark.png"
    chromium(
        page,
        tmp_path / "p",
        "--blink-settings=preferredColorScheme=0",
        "--window-size=800,600",
        f"--screenshot={target}",
    )
    ground = rgb(target)[:3]
    assert ground == bytes.fromhex("161615")


@contextmanager
def eavesdropper() -> Iterator[tuple[str, list[str]]]:
    """A web server that notes who asks for what."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_page_asks_nobody_for_anything(page: Path, tmp_path: Path) -> None:
    """Not even where somebody got an element into it: the policy of the page holds."""
    with eavesdropper() as (address, asked):
        evil = (
            f'<img src="{address}/img"><script src="{address}/js"></script>'
            f'<link rel="stylesheet" href="{address}/css"><iframe src="{address}/frame"></iframe>'
            f'<style>body {{ background: url("{address}/style") }}</style>'
        )
        injected = page.with_name("injected.html")
        injected.write_text(page.read_text().replace("</main>", f"{evil}</main>"))
        dom(injected, tmp_path / "one")
        assert asked == []
        open_page = page.with_name("open.html")
        open_page.write_text(f"<!DOCTYPE html><title>x</title>{evil}")
        dom(open_page, tmp_path / "two")
        assert {"/img", "/css"} <= set(asked), "the test could not fail"


def test_it_is_valid_html(page: Path) -> None:
    """As far as an HTML parser of libxml2 complains: tags closed, none unknown that HTML 4 had."""
    said = subprocess.run(
        ["xmllint", "--html", "--noout", str(page)], capture_output=True, text=True, check=False
    ).stderr
    known_new = re.compile(r"Tag (main|section|figure|figcaption|details|summary) invalid")
    errors = [line for line in said.splitlines() if "error" in line and not known_new.search(line)]
    assert errors == []
