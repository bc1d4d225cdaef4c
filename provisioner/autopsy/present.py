"""A case as a page: what stands first, how much of a log is shown, which lines are marked. Pure."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Mapping

from provisioner.autopsy.case import Case, Document, Finding, Kind
from provisioner.autopsy.signatures import STAGE
from provisioner.autopsy.story import words
from provisioner.report.page import Explanation, Line, Page, Picture, Row, Text
from provisioner.store.timeline import Moment, Origin

MOST_LINES = 300
MOST_ROWS = 500
LONGEST_LINE = 600
AROUND = 20
"""Lines shown before a finding that stands above the end of its text."""

_ORDER = (
    Kind.STEPS,
    Kind.SETUP,
    Kind.SYSPREP,
    Kind.JOIN,
    Kind.SERIAL,
    Kind.SCREEN,
    Kind.STATE,
    Kind.EVENT,
    Kind.DRIVERS,
    Kind.ANSWERS,
    Kind.PLAN,
    Kind.DOMAIN,
)
_ERROR = re.compile(r"\b(?:error|fail(?:ed|ure)|fatal|exception|FAILED)\b", re.IGNORECASE)
_ORIGINS = {
    Origin.REPORTED: "reported by the guest",
    Origin.INFERRED: "inferred",
    Origin.HOST: "seen by the host",
}


def page_of(case: Case) -> Page:
    """The page of a case."""
    screens = [shot for shot in case.shots if shot.name == "screen.png"]
    first = next((m.at - (_elapsed(m) or 0) for m in case.moments), None)
    if len({moment.at for moment in case.moments}) < 2:
        first = None  # told by the serial log alone, which has no times
    hits: dict[str, set[int]] = {}
    for finding in case.findings:
        hits.setdefault(finding.document, set()).add(finding.number)
    return Page(
        title=case.subject,
        when=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(case.at)),
        headline=case.reason or (f"it stands at: {case.stage}" if case.stage else "a disk"),
        failed=bool(case.reason),
        stage=case.stage,
        verdict=_explanation(case.verdict) if case.verdict else None,
        # What the stage alone tells is no news beside a message.
        others=tuple(_explanation(each) for each in case.findings[1:] if each.weight > STAGE),
        screen=_picture(screens[0].name, screens[0].caption, screens[0].png) if screens else None,
        filmstrip=tuple(
            _picture(shot.name, f"{elapsed(shot.at, first)} {shot.caption}", shot.png)
            for shot in case.shots
            if shot.name != "screen.png"
        ),
        rows=tuple(_rows(case.moments, first))[-MOST_ROWS:],
        texts=tuple(_text(document, hits) for document in _ordered(case.documents)),
        facts=case.facts,
        remarks=case.remarks,
    )


def elapsed(at: float | None, first: float | None, known: float | None = None) -> str:
    """`07:10` since the start; nothing where a time is not known.

    `known` is what the recorder measured with a clock that does not jump.
    """
    if known is None:
        if at is None or first is None or not math.isfinite(at - first):
            return ""
        known = at - first
    minutes, seconds = divmod(max(0, int(known)), 60)
    return f"{minutes:02}:{seconds:02}"


def _elapsed(moment: Moment) -> float | None:
    value = moment.members.get("elapsed")
    known = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if known and value is not None else None


def _picture(file: str, caption: str, png: bytes) -> Picture:
    return Picture(file=file, caption=caption.strip(), png=png)


def _explanation(finding: Finding) -> Explanation:
    return Explanation(
        identifier=finding.signature,
        cause=finding.cause,
        fix=finding.fix,
        where=f"{finding.document}, line {finding.number}",
        line=finding.line,
    )


def _rows(moments: Iterable[Moment], first: float | None) -> Iterable[Row]:
    for moment in moments:
        if text := words(moment):
            mark = {"failed": "bad", "stalled": "bad", "ready": "good"}.get(moment.event, "")
            yield Row(
                when=elapsed(moment.at, first, _elapsed(moment)),
                text=text,
                origin=_ORIGINS[moment.origin],
                mark=mark,
            )


def _ordered(documents: Iterable[Document]) -> list[Document]:
    """By kind; of Setup's logs the errors first."""
    return sorted(
        (document for document in documents if document.text.strip()),
        key=lambda each: (_ORDER.index(each.kind), "setupact" in each.name.lower(), each.name),
    )


def _text(document: Document, hits: Mapping[str, set[int]]) -> Text:
    lines = document.text.rstrip("\n").split("\n")
    marked = hits.get(document.name, set())
    start = max(0, len(lines) - MOST_LINES)
    chosen: list[Line] = []
    for number in sorted(n for n in marked if n <= start):
        begin = max(0, number - 1 - AROUND)
        chosen += [Line(text=f"[line {begin + 1}]")]
        chosen += [_line(lines, n, marked) for n in range(begin + 1, number + 1)]
        chosen.append(Line(text="[...]"))
    if start and not chosen:
        chosen.append(Line(text=f"[the last {MOST_LINES} of {len(lines):,} lines]"))
    chosen += [_line(lines, n, marked) for n in range(start + 1, len(lines) + 1)]
    note = f"{len(lines):,} line{'s' if len(lines) > 1 else ''}, {document.origin}"
    if document.cut:
        note += f"; {document.size:,} bytes, its middle is left out"
    return Text(file=document.name, note=note, lines=tuple(chosen), opened=bool(marked))


def _line(lines: list[str], number: int, marked: set[int]) -> Line:
    text = lines[number - 1]
    if len(text) > LONGEST_LINE:
        text = f"{text[:LONGEST_LINE]} [...]"
    if number in marked:
        return Line(text=text, mark="hit")
    return Line(text=text, mark="error" if _ERROR.search(text) else "")
