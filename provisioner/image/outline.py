"""A tree as folders with what lies in them: the form in which a disc is laid out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from provisioner.frozen import frozen
from provisioner.tree import Directory, File, Symlink, Tree


@frozen
class Leaf:
    """A file or a link. `path` from the root, with slashes."""

    path: str
    entry: File | Symlink

    @property
    def name(self) -> str:
        """The last component."""
        return self.path.rpartition("/")[2]


@dataclass(slots=True, kw_only=True)
class Folder:
    """A folder; the root's path is "". Contents are in byte order of their names."""

    path: str
    parent: Folder | None
    modified: int | None = None
    mode: int | None = None
    folders: list[Folder] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The last component."""
        return self.path.rpartition("/")[2]

    def walk(self) -> Iterator[Folder]:
        """This folder and all below it, breadth first."""
        waiting = [self]
        for folder in waiting:
            yield folder
            waiting.extend(folder.folders)


def outline(tree: Tree) -> Folder:
    """The root folder of a tree; folders that are only implied are there too."""
    root = Folder(path="", parent=None)
    known = {"": root}

    def folder_at(path: str) -> Folder:
        missing: list[str] = []
        while path not in known:
            missing.append(path)
            path = path.rpartition("/")[0]
        folder = known[path]
        for path in reversed(missing):
            child = known[path] = Folder(path=path, parent=folder)
            folder.folders.append(child)
            folder = child
        return folder

    for path, entry in tree.items():
        text = str(path)
        if isinstance(entry, Directory):
            folder = folder_at(text)
            folder.modified, folder.mode = entry.modified, entry.mode
        else:
            folder_at(text.rpartition("/")[0]).leaves.append(Leaf(path=text, entry=entry))
    for folder in known.values():
        folder.folders.sort(key=lambda f: f.name.encode("utf-8", "surrogatepass"))
    return root
