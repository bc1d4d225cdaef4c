"""Which lines of the parsers the inputs reached, by tracing every so many-th input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any


class Coverage:
    """Lines reached in the modules of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder) + "/"
        self._reached: dict[str, set[int]] = {}

    @contextmanager
    def traced(self) -> Iterator[None]:
        """Follows what runs inside the block; slow."""
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(before)

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(self._folder):
            return None
        lines = self._reached.setdefault(name, set())
        lines.add(frame.f_lineno)

        def step(inner: FrameType, event: str, argument: Any) -> Any:
            lines.add(inner.f_lineno)
            return step

        return step

    def report(self, names: tuple[str, ...]) -> tuple[int, int, dict[str, tuple[int, int]]]:
        """Lines reached and lines in functions, in all and by module."""
        found: dict[str, tuple[int, int]] = {}
        for name in names:
            path = f"{self._folder}{name}.py"
            code = compile(Path(path).read_text(), path, "exec")
            lines = set(_lines_of_functions(code))
            found[name] = (len(lines & self._reached.get(path, set())), len(lines))
        reached, total = (sum(numbers) for numbers in zip(*found.values(), strict=True))
        return reached, total, found


def _lines_of_functions(module: CodeType) -> Iterator[int]:
    """Lines that run when something is called; those that run at import say nothing here."""
    queue = [constant for constant in module.co_consts if isinstance(constant, CodeType)]
    while queue:
        code = queue.pop()
        queue += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        is_class = "__module__" in code.co_names and "__qualname__" in code.co_names
        if not is_class:
            yield from {line for _, _, line in code.co_lines() if line} - {code.co_firstlineno}
