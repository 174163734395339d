"""The collector's own log: one sentence per state change on stderr, values as fields. Never payload, never per item."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Final

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_LOGGER: Final = logging.getLogger("otelcol_llm")
_FIELD_LIMIT: Final = 200


def set_up(level: str, encoding: str = "console") -> None:
    """Send the log to stderr from `level` on, as text or as one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if encoding == "json" else _ConsoleFormatter())
    _LOGGER.handlers[:] = [handler]
    _LOGGER.setLevel(LEVELS[level])
    _LOGGER.propagate = False


def say(text: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Log one sentence."""
    if _LOGGER.isEnabledFor(level):
        _LOGGER.log(level, text, extra={"fields": {k: _clean(v) for k, v in fields.items()}})


def warn(text: str, **fields: object) -> None:
    """Log something an operator should look at some day."""
    say(text, level=logging.WARNING, **fields)


def error(text: str, **fields: object) -> None:
    """Log that data was lost or an operator must act."""
    say(text, level=logging.ERROR, **fields)


def failure(text: str, cause: BaseException, **fields: object) -> None:
    """Log an exception of ours: its type and place, never its text, which may quote payload."""
    trace = cause.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    at = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    error(text, failure=type(cause).__name__, at=at, **fields)


def _clean(value: object) -> object:
    """Cut what is long and escape what is not printable: values can come from the network."""
    if isinstance(value, (int, float, bool)):
        return value
    text = str(value)
    if len(text) > _FIELD_LIMIT:
        text = text[:_FIELD_LIMIT] + "…"
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _stamp(record: logging.LogRecord) -> str:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{moment}.{int(record.msecs):03d}Z"


class _ConsoleFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, "fields", {})
        values = "".join(
            f" {key}={json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()
        )
        return f"{_stamp(record)} {record.levelname:<7} {record.getMessage()}{values}"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, "fields", {})
        line = {
            "ts": _stamp(record),
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
            **fields,
        }
        return json.dumps(line, ensure_ascii=False)
