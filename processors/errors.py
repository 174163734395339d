"""What the core can say when it cannot do its work.

ProcessorError
├── InvalidConfig   what the user wrote cannot be built: refuse to start
├── Malformed       bytes that are no OTLP request: the sender must not retry
└── Overloaded      no room now: the sender should retry after a while
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a component says about its own schema-valid settings; `path` as in `InvalidConfig`."""

    path: str
    text: str
    warning: bool = False


class ProcessorError(Exception):
    """Base of everything the core raises on purpose."""


class InvalidConfig(ProcessorError):
    """A schema-valid configuration that still makes no sense.

    `path` is relative to the component, as a user would write it (`policies[2].trace_cost`), or empty for the
    component itself; `text` is a sentence: what was expected, what was found.
    """

    def __init__(self, path: str, text: str) -> None:
        super().__init__(f"{path}: {text}" if path else text)
        self.path = path
        self.text = text


class Malformed(ProcessorError):
    """The bytes are no valid request. The message says what is wrong and never quotes payload."""


class Oversized(Malformed):
    """The request holds more than a limit allows."""


class Overloaded(ProcessorError):
    """The data was not taken and may be sent again after `retry_after_s` seconds."""

    def __init__(self, text: str, retry_after_s: float = 1.0) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s
