"""Reads a pricing file by itself, as a configuration that names it would, and tells where everything wrong stands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from collector.config.document import Node, unwrap
from collector.config.expand import Expander
from collector.config.parts import tell
from collector.config.places import mark_of, steps, texts_of
from collector.config.report import Mark, Report, Unreadable
from collector.config.settings import examine
from collector.errors import Problem
from collector.registry import schema_of
from processors.errors import Finding
from processors.llm_cost import check
from processors.llm_cost.book import Book
from processors.llm_cost.doubts import doubts
from processors.ports import Context

SCHEMA: Final = "processors/llm_cost/schema.json"


@dataclass(frozen=True, slots=True)
class PricingFile:
    """A valid pricing file, compiled."""

    book: Book
    warnings: tuple[Problem, ...]
    root: Node

    def doubts(self, now_ns: int) -> list[Problem]:
        """Return what looks wrong, besides the warnings."""
        found = doubts(self.book.overlay, self.book.base, now_ns)
        return sorted(_problem(self.root, finding) for finding in found)


def read(path: Path) -> PricingFile:
    """Read and compile a file. Raises: `ConfigError` with all problems and warnings."""
    report = Report()
    root = _document(path, report)
    report.stop_if_incomplete()
    examined = examine(schema_of(SCHEMA), unwrap(root), texts_of(root), split_texts=False)
    tell(root, (), examined, report)
    report.finish()
    settings: dict[str, Any] = examined.settings
    for finding in check(settings, Context(id="llm_cost")):
        where = steps(root, finding.path)
        say = report.odd if finding.warning else report.wrong
        say(mark_of(root, where), where, finding.text)
    report.finish()
    return PricingFile(Book(settings["pricing"]), tuple(sorted(report.warnings)), root)


def _document(path: Path, report: Report) -> Node:
    """Return the file as the settings of the component."""
    mark = Mark(str(path))
    try:
        pricing = Expander(os.environ, report).read(str(path), mark)
    except Unreadable as error:
        report.unreadable(error)
        pricing = Node({}, mark)
    return Node({"pricing": pricing}, mark, keys={"pricing": mark})


def _problem(root: Node, finding: Finding) -> Problem:
    mark = mark_of(root, steps(root, finding.path))
    return Problem(*mark, finding.path, finding.text, warning=finding.warning)
