"""The part of cmd.exe that the scripts of answer discs use, by Microsoft's documentation of it.

No more than that: a script with `for /f`, arithmetic or substrings is `NotPlayed`, before its first
line is carried out. Programs and drives come from outside, so this runs without a machine as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NOT_PLAYED = re.compile(r"\bfor\s+/[fldFLD]\b|\bset\s+/[apAP]\b|(?<!%)%\w+:[^%]*%|&&|\|\|")
NOT_FOUND = "is not recognized as an internal or external command"
UNKNOWN_PROGRAM = 9009

Program = Callable[[Sequence[str], str], "Result"]
"""Takes its arguments, unquoted, and what is piped into it."""


class NotPlayed(Exception):
    """The script needs more of cmd than there is here."""


class WaitsForPerson(Exception):
    """`pause`: without a person nothing more happens. Its text is what was said before."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command printed, and its exit code."""

    output: str = ""
    code: int = 0


class _Goto(Exception):
    """To a label, `eof` for the end of the script or of the called part."""


class _Exit(Exception):
    """`exit /b`: the same end, with an exit code of its own."""


@dataclass(slots=True, kw_only=True)
class Cmd:
    """One cmd: letters of `drives` are upper case, those of `programs` and `ports` lower case."""

    drives: MutableMapping[str, Path]
    programs: Mapping[str, Program]
    ports: Mapping[str, Callable[[str], None]]
    environment: dict[str, str] = field(default_factory=dict)
    code: int = 0
    said: list[str] = field(default_factory=list)
    """What nobody redirected: what a person would see."""

    def path(self, text: str) -> Path:
        """A full Windows path as one of ours, compared without case as far as it exists."""
        letter, colon, rest = text.strip('"').partition(":")
        root = self.drives.get(letter.upper())
        if not colon or root is None:
            return Path("/nonexistent", text.replace("\\", "/").strip("/"))
        found = root
        for part in filter(None, rest.replace("/", "\\").split("\\")):
            names = list(found.iterdir()) if found.is_dir() else []
            same = (child for child in names if child.name.lower() == part.lower())
            found = next(same, found / part)
        return found

    def line(self, command: str) -> int:
        """A line as the answer file has it: one program with arguments, most often cmd itself."""
        words = re.fullmatch(r'\s*"?cmd(?:\.exe)?"?\s+/c\s+(.*?)\s*', command, re.I | re.S)
        self._statement(words[1] if words else command)
        return self.code

    def script(self, path: str, arguments: Sequence[str] = ()) -> None:
        """A batch file with its arguments as they were written, in an environment of its own."""
        text = self.path(path).read_text(encoding="latin-1")
        if found := NOT_PLAYED.search(text):
            raise NotPlayed(f"{path} has {found[0]}")
        before = dict(self.environment)
        _Batch(self, text.splitlines(), (path, *arguments)).run(0)
        self.environment = before

    def _statement(self, text: str, batch: _Batch | None = None) -> None:
        text = text.strip().removeprefix("@").strip()
        if not text or text.startswith(":") or re.match(r"rem\b", text, re.I):
            return
        if text.startswith("("):
            for inner in _lines_of(text[1:].rstrip()[:-1]):
                self._statement(inner, batch)
        elif found := re.match(
            r"for\s+(?:/r\s+(\S+)\s+)?%(\w)\s+in\s+\((.*?)\)\s+do\s+", text, re.I
        ):
            self._for(found, text[found.end() :], batch)
        elif re.match(r"if\s", text, re.I):
            self._if(text[2:].strip(), batch)
        else:
            self._pipeline(text, batch)

    def _for(self, head: re.Match[str], body: str, batch: _Batch | None) -> None:
        folder, letter, items = head.groups()
        values = items.split()
        if folder is not None:
            pattern = items.strip().removeprefix("*").lower()
            root = self.path(folder)
            base = folder.strip('"').rstrip("\\")
            values = [
                base + "\\" + str(path.relative_to(root)).replace("/", "\\")
                for path in sorted(root.rglob("*"))
                if path.name.lower().endswith(pattern)
            ]
        for value in values:
            self._statement(body.replace(f"%{letter}", value), batch)

    def _if(self, text: str, batch: _Batch | None) -> None:
        wanted = True
        if found := re.match(r"not\s+", text, re.I):
            wanted, text = False, text[found.end() :]
        if found := re.match(r'exist\s+("[^"]*"|\S+)\s+', text, re.I):
            true = self.path(found[1]).exists()
        elif found := re.match(r"defined\s+(\w+)\s+", text, re.I):
            true = found[1].lower() in self.environment
        elif found := re.match(r"errorlevel\s+(\d+)\s+", text, re.I):
            true = self.code >= int(found[1])
        else:
            raise NotPlayed(f"if {text}")
        if true is wanted:
            self._statement(text[found.end() :], batch)

    def _pipeline(self, text: str, batch: _Batch | None) -> None:
        piped = ""
        for part in _split(text, "|"):
            command, targets = _redirections(part)
            said = len(self.said)
            result = self._command(command, piped, batch)
            self.code = result.code
            printed = "".join(self.said[said:]) + result.output
            del self.said[said:]
            piped = "" if targets else printed
            for target, adds in targets:
                self._write(target, printed, adds=adds)
        if piped:
            self.said.append(piped)

    def _write(self, target: str, text: str, *, adds: bool) -> None:
        name = target.strip('"')
        if name.lower() == "nul":
            return
        if port := self.ports.get(name.lower().rstrip(":")):
            port(text)
            return
        with self.path(name).open("a" if adds else "w", encoding="latin-1", newline="") as stream:
            stream.write(text)

    def _command(self, text: str, piped: str, batch: _Batch | None) -> Result:
        name, _, rest = text.strip().partition(" ")
        rest = rest.strip()
        words = [word.replace('"', "") for word in words_of(rest)]
        match name.lower():
            case "echo":
                return Result(text.strip()[5:] + "\r\n" if rest.lower() != "off" else "", self.code)
            case "set":
                variable, _, value = rest.strip('"').partition("=")
                if value:
                    self.environment[variable.lower()] = value
                else:
                    self.environment.pop(variable.lower(), None)
                return Result(code=self.code)
            case "setlocal":
                return Result(code=self.code)
            case "goto":
                raise _Goto(rest.lstrip(":").lower())
            case "exit":
                raise _Exit(*(word for word in words if word.isdigit()))
            case "pause":
                raise WaitsForPerson("".join(self.said).strip())
            case "call":
                return self._call(rest, batch)
            case "cmd" | "cmd.exe" if words[:1] == ["/c"]:
                self.script(words[1], words_of(rest)[2:])
                return Result(code=self.code)
            case "md" | "mkdir":
                self.path(words[0]).mkdir(parents=True, exist_ok=True)
                return Result()
            case "type":
                return Result(self.path(words[0]).read_text(encoding="latin-1"))
            case "copy" | "xcopy":
                return self._copy(words)
        return self._program(name.strip('"'), words, piped)

    def _call(self, text: str, batch: _Batch | None) -> Result:
        if text.startswith(":"):
            if batch is None:
                raise NotPlayed(f"call {text}")
            label, *arguments = words_of(text)
            _Batch(self, batch.lines, (label, *arguments)).run(batch.labels[label[1:].lower()])
            return Result(code=self.code)
        return self._command(text, "", batch)

    def _copy(self, words: Sequence[str]) -> Result:
        source, target = (word for word in words if not word.startswith("/"))
        path, goal = self.path(source), self.path(target)
        if not path.is_file() or not (goal.parent if not goal.is_dir() else goal).is_dir():
            return Result("The system cannot find the file specified.\r\n", 1)
        (goal / path.name if goal.is_dir() else goal).write_bytes(path.read_bytes())
        return Result("        1 file(s) copied.\r\n")

    def _program(self, name: str, words: Sequence[str], piped: str) -> Result:
        folder, _, stem = name.rpartition("\\")
        program = self.programs.get(stem.lower().removesuffix(".exe"))
        if program is None or (folder and not self.path(folder).is_dir()):
            return Result(f"'{name}' {NOT_FOUND}.\r\n", UNKNOWN_PROGRAM)
        return program(words, piped)


@dataclass(slots=True)
class _Batch:
    """A batch file, or the part of it that a `call` runs; `arguments` begin with %0."""

    cmd: Cmd
    lines: Sequence[str]
    arguments: Sequence[str]

    @property
    def labels(self) -> Mapping[str, int]:
        found = ((n, re.match(r"\s*:(\w+)", line)) for n, line in enumerate(self.lines))
        return {label[1].lower(): number for number, label in found if label}

    def run(self, start: int) -> None:
        """From a line to the end of the file, or to where the script says that it ends."""
        place = start
        while place < len(self.lines):
            text, place = self._logical(place)
            try:
                self.cmd._statement(self._expanded(text), self)
            except _Goto as goto:
                if str(goto) == "eof":
                    return
                place = self.labels[str(goto)]
            except _Exit as end:
                self.cmd.code = int(str(end)) if end.args else self.cmd.code
                return

    def _logical(self, place: int) -> tuple[str, int]:
        """A line with all of its block: cmd expands and runs that as one."""
        text = self.lines[place]
        while text.count("(") > text.count(")") and place + 1 < len(self.lines):
            place += 1
            text += "\n" + self.lines[place]
        return text, place + 1

    def _expanded(self, text: str) -> str:
        def value(found: re.Match[str]) -> str:
            whole, everything, form, number, name = found.group(0, 1, 2, 3, 4)
            if whole == "%%":
                return "%"
            if everything:
                return " ".join(self.arguments[1:])
            if number:
                argument = self.arguments[int(number)] if int(number) < len(self.arguments) else ""
                plain = argument.strip('"') if form is not None else argument
                if "n" in (form or ""):
                    plain = re.sub(r"\.\w+$", "", plain.rpartition("\\")[2])
                return plain
            return self.cmd.environment.get(name.lower(), "")

        return re.sub(r"%%|%(\*)|%(?:~([a-z]*))?(\d)|%(\w+)%", value, text)


def words_of(text: str) -> list[str]:
    """Arguments at their blanks, with their quotes."""
    return re.findall(r'(?:"[^"]*"|[^\s"])+', text)


def _lines_of(block: str) -> list[str]:
    return [line for line in block.split("\n") if line.strip()]


def _split(text: str, mark: str) -> list[str]:
    """At a sign outside quotes that no caret takes the meaning from."""
    parts, quoted, start, place = [], False, 0, 0
    while place < len(text):
        if text[place] == "^" and not quoted:
            place += 1
        elif text[place] == '"':
            quoted = not quoted
        elif text[place] == mark and not quoted:
            parts.append(text[start:place])
            start = place + 1
        place += 1
    return [*parts, text[start:]]


def _redirections(text: str) -> tuple[str, list[tuple[str, bool]]]:
    """The command without carets and redirections, and (target, whether it is added to)."""
    pieces = _split(text, ">")
    command, targets, adds = pieces[0], [], False
    for number, piece in enumerate(pieces[1:], start=1):
        if not piece.strip() and number < len(pieces) - 1:
            adds = True
            continue
        found = re.match(r'\s*(&1|"[^"]*"|\S+)', piece)
        if found is None:
            raise NotPlayed(text)
        if found[1] == "&1":
            command = command.rstrip().removesuffix("2")
        else:
            targets.append((found[1], adds))
        command += piece[found.end() :]
        adds = False
    return re.sub(r"\^(.)", r"\1", command), targets
