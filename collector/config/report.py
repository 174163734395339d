"""Collects what is wrong and what is odd, so that everything is told at once, and once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from collector.config.sentences import dotted
from collector.errors import ConfigError, Problem


class Mark(NamedTuple):
    """A place; line and column count from 1, and 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0


class Unreadable(Exception):
    """A document, or a part of one, that has no meaning; its problem is told, the rest is read on."""

    def __init__(self, mark: Mark, text: str) -> None:
        super().__init__(text)
        self.mark = mark
        self.text = text


class Report:
    """All problems and warnings of one attempt to load a configuration."""

    def __init__(self) -> None:
        self.problems: set[Problem] = set()
        self.warnings: set[Problem] = set()
        self.incomplete = False
        """Something could not be read: what is missing now would only cause misleading problems."""

    def wrong(self, mark: Mark, path: Iterable[str | int], text: str) -> None:
        self.problems.add(Problem(*mark, dotted(path), text))

    def odd(self, mark: Mark, path: Iterable[str | int], text: str) -> None:
        self.warnings.add(Problem(*mark, dotted(path), text, warning=True))

    def unreadable(self, error: Unreadable, path: Iterable[str | int] = ()) -> None:
        self.wrong(error.mark, path, error.text)
        self.incomplete = True

    def stop_if_incomplete(self) -> None:
        """Raises: `ConfigError` when something could not be read."""
        if self.incomplete:
            self.finish()

    def finish(self) -> None:
        """Raises: `ConfigError` with all problems and warnings when there is a problem."""
        if self.problems:
            raise ConfigError([*self.problems, *self.warnings])
