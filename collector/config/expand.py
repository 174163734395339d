"""`${env:NAME}`, `${env:NAME:-default}`, `${NAME}`, `${file:path}` and `$$` in the values of a document.

A value that is one expansion becomes what the text means as YAML (a number, a whole list of policies); inside other
text it is put in as it is. Results are expanded again. As in the Collector (documentation of confmap 1.62).
"""

from __future__ import annotations

import codecs
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Final

from collector.config.document import MAX_BYTES, Node, parse, read_plain
from collector.config.model import Source
from collector.config.report import Mark, Report, Unreadable
from collector.config.sentences import Path

MAX_NESTED: Final = 100
MAX_EXPANSIONS: Final = 10_000

_INNERMOST: Final = re.compile(r"\$\{((?:(?!\$\{)[^}])*)\}")
_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):(.*)", re.DOTALL)
_YAML_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
"""An included file with another name is a text: a token, a certificate."""
_DOLLAR: Final = "\0"
"""Stands for an escaped dollar until everything is expanded; YAML does not allow the character in a document."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What an expansion stands for: its text and the place where that begins; `file` for a whole file."""

    text: str
    mark: Mark
    file: str = ""


class Expander:
    """Expands the documents of one configuration and remembers every file that was read."""

    def __init__(self, env: Mapping[str, str], report: Report) -> None:
        self.env = env
        self._report = report
        self._count = 0
        self._depth = 0
        self._files: list[str] = []
        """The files that are being read now, each included by the one before."""
        self.sources: dict[str, Source] = {}
        self._schemes: Mapping[str, Callable[[str, Mark, Path], _Found]] = {
            "env": self._variable,
            "file": self._file,
            "yaml": lambda text, mark, path: _Found(text, mark),
        }

    def read(self, file: str, at: Mark) -> Node:
        """Read a configuration file and expand what it holds. `at` is where it was named. Raises: `Unreadable`."""
        return self._document(self._text_of(file, at), file, at, ())

    def expand(self, node: Node, path: Path = ()) -> Node:
        """Return the tree with every expansion replaced; what cannot be expanded is told and becomes empty."""
        if isinstance(node.value, dict):
            items = {key: self.expand(item, (*path, key)) for key, item in node.value.items()}
            return replace(node, value=items)
        if isinstance(node.value, list):
            values = [self.expand(item, (*path, i)) for i, item in enumerate(node.value)]
            return replace(node, value=values)
        if isinstance(node.value, str) and "$" in node.value:
            return self._expand_text(node, path)
        return node

    def _document(self, text: str, file: str, at: Mark, path: Path) -> Node:
        if file in self._files:
            raise Unreadable(at, f"expected files that end, got {file}, which includes itself")
        self._files.append(file)
        try:
            return self.expand(parse(text, Mark(file, 1, 1), self._report, path), path)
        finally:
            self._files.pop()

    def _expand_text(self, node: Node, path: Path) -> Node:
        try:
            return self._expanded(str(node.value), node, path)
        except Unreadable as error:
            self._report.unreadable(error, path)
            return Node(None, node.mark)

    def _expanded(self, text: str, node: Node, path: Path) -> Node:
        text = text.replace("$$", _DOLLAR)
        for _ in range(MAX_NESTED):
            match = _INNERMOST.search(text)
            if match is None:
                clean = text.replace(_DOLLAR, "$")
                return replace(node, value=clean, text=clean)
            found = self._look_up(match[1].replace(_DOLLAR, "$"), node.mark, path)
            if match[0] == text:
                return self._structure(found, node, path)
            text = text[: match.start()] + found.text.replace("$$", _DOLLAR) + text[match.end() :]
        raise Unreadable(
            node.mark, f"expected at most {MAX_NESTED} expansions in a value, got more"
        )

    def _structure(self, found: _Found, node: Node, path: Path) -> Node:
        """Return what a whole value stands for: parsed as YAML, with its text for where text is wanted."""
        if self._depth > MAX_NESTED:
            raise Unreadable(
                node.mark, f"expected at most {MAX_NESTED} nested expansions, got more"
            )
        self._depth += 1
        try:
            inner = (
                self._included(found, node, path) if found.file else self._inner(found, node, path)
            )
        finally:
            self._depth -= 1
        return replace(inner, text=found.text.removesuffix("\n"), expanded=True)

    def _inner(self, found: _Found, node: Node, path: Path) -> Node:
        try:
            parsed = parse(found.text, node.mark, Report(), path)
        except Unreadable:
            parsed = Node(found.text, node.mark)
        return self.expand(_placed(parsed, node.mark), path)

    def _included(self, found: _Found, node: Node, path: Path) -> Node:
        if FilePath(found.file).suffix in _YAML_SUFFIXES:
            return self._document(found.text, found.file, node.mark, path)
        return Node(read_plain(found.text.removesuffix("\n")), node.mark)

    def _look_up(self, uri: str, mark: Mark, path: Path) -> _Found:
        self._count += 1
        if self._count > MAX_EXPANSIONS:
            raise Unreadable(mark, f"expected at most {MAX_EXPANSIONS} expansions, got more")
        match = _SCHEME.fullmatch(uri)
        scheme, rest = (match[1], match[2]) if match else ("env", uri)
        if scheme not in self._schemes:
            raise Unreadable(mark, f"expected ${{env:…}} or ${{file:…}}, got the scheme {scheme!r}")
        return self._schemes[scheme](rest, mark, path)

    def _variable(self, rest: str, mark: Mark, path: Path) -> _Found:
        name, given, default = rest.partition(":-")
        if not _NAME.fullmatch(name):
            text = f"expected the name of an environment variable, got {name!r}; write $$ for a dollar sign"
            raise Unreadable(mark, text)
        if name not in self.env and not given:
            text = f"the environment variable {name} is not set, so this is empty; a default is ${{env:{name}:-…}}"
            self._report.odd(mark, path, text)
        return _Found(self.env.get(name, default), mark)

    def _file(self, rest: str, mark: Mark, path: Path) -> _Found:
        file = os.path.normpath(FilePath(mark.file).parent / rest)
        return _Found(self._text_of(file, mark), Mark(file, 1, 1), file)

    def _text_of(self, file: str, at: Mark) -> str:
        try:
            with FilePath(file).open("rb") as stream:
                content = stream.read(MAX_BYTES + 1)
        except OSError as error:
            raise Unreadable(at, f"expected the file {file}, got: {error.strerror}") from error
        self.sources[file] = Source(path=file, digest=digest(content))
        if len(content) > MAX_BYTES:
            raise Unreadable(Mark(file), f"expected at most {MAX_BYTES >> 20} MiB, got more")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Unreadable(*_not_utf8(file, error.object, error.start)) from error


def _not_utf8(file: str, content: bytes, at: int) -> tuple[Mark, str]:
    """Return the place of the first byte that is no UTF-8, and what to say of it. `content`: without its mark."""
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    found = "UTF-16" if utf16 else f"the byte 0x{content[at]:02x}"
    line_start = content.rfind(b"\n", 0, at) + 1
    column = len(content[line_start:at].decode("utf-8")) + 1
    mark = Mark(file, content.count(b"\n", 0, at) + 1, column)
    return mark, f"expected UTF-8, got {found}; save the file as UTF-8"


def digest(content: bytes) -> str:
    """Return what tells one content of a file from another."""
    return hashlib.sha256(content).hexdigest()


def _placed(node: Node, mark: Mark) -> Node:
    """Return the tree with every place set to `mark`: the text of a variable has no lines of its own."""
    node = replace(node, mark=mark, keys=dict.fromkeys(node.keys, mark))
    if isinstance(node.value, dict):
        node.value = {key: _placed(item, mark) for key, item in node.value.items()}
    elif isinstance(node.value, list):
        node.value = [_placed(item, mark) for item in node.value]
    return node
