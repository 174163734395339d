"""Write requests to a file, one OTLP/JSON line each, or length-prefixed protobuf: the Collector's `file`.

Invariants
- A record is in the file wholly or not at all: what a full disk cut short is taken back and written again later.
- A file is created readable for its owner alone (0600): it holds what passed the pipeline.
- Rotation renames, never copies: a reader that follows the file sees every record once.

The queue and the thread are those of all exporters; a full disk is a destination that is away for a while.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from collector import otlp_json
from collector.errors import ExportFailed, StartError
from collector.exporters.delivery import TAKEN, Answer
from collector.exporters.queue_config import Joining, QueueConfig
from collector.exporters.retry import RetryConfig
from collector.exporters.sender import Sender
from processors.errors import Finding
from processors.ports import Context
from processors.requests import Request

_TIME: Final = "%Y-%m-%dT%H-%M-%S"
_BACKUP: Final = re.compile(r"-(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)\.(\d{3})")
"""The time in a rotated file's name, as the Collector writes it (lumberjack)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """When a file is put aside and which of those are kept; 0 = no bound."""

    max_bytes: int
    max_days: int
    max_backups: int
    local: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the user wrote."""

    path: Path
    encode: Callable[[Request], bytes]
    rotation: Rotation | None
    append: bool
    create_directory: bool
    directory_mode: int

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Config:
        rotation = settings.get("rotation")
        return cls(
            path=Path(settings["path"]),
            encode=_FORMATS[settings["format"]],
            rotation=_rotation(rotation) if rotation is not None else None,
            append=settings["append"] or rotation is not None,
            create_directory=settings["create_directory"],
            directory_mode=int(settings["directory_permissions"], 8),
        )


def _rotation(settings: Mapping[str, Any]) -> Rotation:
    return Rotation(
        max_bytes=settings["max_megabytes"] << 20,
        max_days=settings["max_days"],
        max_backups=settings["max_backups"],
        local=settings["localtime"],
    )


def _json_line(request: Request) -> bytes:
    return otlp_json.encode(request.signal, request.raw).encode() + b"\n"


def _prefixed(request: Request) -> bytes:
    """Prefix the message with its size in four bytes, big-endian, as the Collector's `proto` format does."""
    return len(request.raw).to_bytes(4, "big") + request.raw


_FORMATS: Final[Mapping[str, Callable[[Request], bytes]]] = {
    "json": _json_line,
    "proto": _prefixed,
}


class FileTransport:
    """See `sender.Transport`; used by one thread."""

    def __init__(self, config: Config, now: Callable[[], datetime]) -> None:
        self._config = config
        self._now = now
        self._file = -1
        self._size = 0

    def connect(self) -> None:
        config = self._config
        try:
            if config.create_directory:
                mode = config.directory_mode
                config.path.parent.mkdir(mode=mode, parents=True, exist_ok=True)
            self._open(os.O_APPEND if config.append else os.O_TRUNC)
        except OSError as error:
            hint = "" if config.create_directory else "; create_directory: true makes its directory"
            raise StartError(f"Cannot write {config.path}: {error.strerror}{hint}.") from error

    def push(self, request: Request) -> Answer:
        record = self._config.encode(request)
        try:
            self._make_room(len(record))
            self._write(record)
        except OSError as error:
            text = f"Cannot write {self._config.path}: {error.strerror}."
            raise ExportFailed(text, retryable=True) from error
        return TAKEN

    def disconnect(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self, flags: int) -> None:
        flags |= os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(self._config.path, flags, 0o600)
        status = os.fstat(self._file)
        self._size = status.st_size if stat.S_ISREG(status.st_mode) else 0

    def _write(self, record: bytes) -> None:
        if self._file < 0:
            self._open(os.O_APPEND)
        rest = memoryview(record)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            if len(rest) < len(record):
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(record)

    def _make_room(self, needed: int) -> None:
        rotation = self._config.rotation
        if rotation is None or not rotation.max_bytes or not self._size:
            return
        if self._size + needed > rotation.max_bytes:
            self.disconnect()
            self._config.path.rename(self._backup(rotation))
            self._open(os.O_APPEND)
            self._prune(rotation)

    def _backup(self, rotation: Rotation) -> Path:
        """Return a name that is free: `name-2026-08-01T12-00-00.123.ext`."""
        path = self._config.path
        now = self._now().astimezone(None if rotation.local else UTC)
        while True:
            milliseconds = now.microsecond // 1000
            name = f"{path.stem}-{now.strftime(_TIME)}.{milliseconds:03}{path.suffix}"
            if not path.with_name(name).exists():
                return path.with_name(name)
            now += timedelta(milliseconds=1)

    def _prune(self, rotation: Rotation) -> None:
        """Delete the backups that the configuration does not keep."""
        backups = sorted(self._backups(), reverse=True)
        oldest = self._now() - timedelta(days=rotation.max_days)
        zone = None if rotation.local else UTC
        limit = oldest.astimezone(zone).strftime(_TIME) if rotation.max_days else ""
        kept = rotation.max_backups or len(backups)
        for index, (time, _, path) in enumerate(backups):
            if index >= kept or time < limit:
                path.unlink(missing_ok=True)

    def _backups(self) -> Iterable[tuple[str, str, Path]]:
        """Yield time, milliseconds and path of our own backups: nothing else in the directory is touched."""
        path = self._config.path
        for candidate in path.parent.iterdir():
            middle = candidate.name.removeprefix(path.stem).removesuffix(path.suffix)
            match = _BACKUP.fullmatch(middle)
            if match and candidate.name == f"{path.stem}{middle}{path.suffix}":
                yield match[1], match[2], candidate


_ONE_BY_ONE: Final = Joining(eager=True, linger_s=0.0, most_items=1)

_QUEUE: Final = QueueConfig(
    enabled=True,
    num_consumers=1,
    queue_size=1000,
    max_bytes=64 << 20,
    sizer="requests",
    block_on_overflow=False,
    wait_for_result=False,
    joining=_ONE_BY_ONE,
    most_items=0,
    most_bytes=0,
)
_RETRY: Final = RetryConfig(
    enabled=True,
    initial_s=1.0,
    max_s=10.0,
    multiplier=1.5,
    randomization=0.0,
    max_elapsed_s=0.0,
)
"""A full disk is waited for; meanwhile the queue fills and senders are told to come back."""


def check(settings: Mapping[str, Any], context: Context) -> Iterable[Finding]:
    """Say what the schema cannot."""
    path = Path(settings["path"])
    if path.is_dir():
        yield Finding("path", f"expected a file, got the directory {settings['path']!r}")


def build(settings: Mapping[str, Any], context: Context) -> Sender:
    """Make the exporter."""
    transport = FileTransport(Config.load(settings), lambda: datetime.now(UTC))
    say = partial(context.say, exporter=context.id)
    return Sender(transport=transport, sending=_QUEUE, retry=_RETRY, say=say)
