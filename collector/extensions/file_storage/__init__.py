"""`file_storage`: an extension that keeps queues and undecided traces on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from collector.extensions.file_storage.config import Config
from collector.extensions.file_storage.extension import FileStorage
from processors.errors import Finding
from processors.ports import Context

__all__ = ["Config", "FileStorage", "build", "check"]


def build(settings: Mapping[str, Any], context: Context) -> FileStorage:
    """Make the extension."""
    return FileStorage(Config.load(settings), context)


def check(settings: Mapping[str, Any], context: Context) -> Iterable[Finding]:
    """Say what the schema cannot."""
    if int(settings["directory_permissions"], 8) & 0o077:
        text = "Others can read what is stored; 0700 keeps it to this user."
        yield Finding("directory_permissions", text, warning=True)
