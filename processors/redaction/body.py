"""Log bodies, as contrib redacts them: a text, or the leaves of a map or list under the keys that lead to them.

Unlike attributes, bodies are looked at whatever their type: a number with a hit becomes a string.
Source: redactionprocessor v0.158.0, `processLogBody` and `redactLogBodyRecursive`.
"""

from __future__ import annotations

from processors.redaction.go_text import as_string
from processors.redaction.rules import Rules
from processors.redaction.summary import Summary
from processors.wire import Value


class BodyRules:
    """Redacts one decoded body; `summary` says what was done."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.summary = Summary("redaction.body.")

    def edit(self, body: Value) -> Value:
        """Return the redacted body; the same object when nothing changed, else parts of it may be shared."""
        if isinstance(body, dict):
            return self._map(body, "")
        if isinstance(body, list):
            return [self._value(f"[{i}]", item) for i, item in enumerate(body)]
        if self._rules.allowed(as_string(body).encode()):
            return body  # contrib's summary says nothing of a body that is exempt as a whole
        return self._leaf("body", body)

    def _map(self, members: dict[str, Value], prefix: str) -> Value:
        kept: dict[str, Value] = {}
        for key, value in members.items():
            path = f"{prefix}{key}"
            verdict = self._rules.keys.verdict(key.encode())
            if verdict == "ignore":
                self.summary.ignored.append(path.encode())
                kept[key] = value
            elif verdict == "delete":
                self.summary.redacted.append(path.encode())
            elif verdict == "mask":
                self.summary.masked.append(path.encode())
                text = value if isinstance(value, str) else ""
                kept[key] = self._rules.mask_lines(text.encode()).decode()
            else:
                kept[key] = self._value(path, value)
        return kept

    def _value(self, path: str, value: Value) -> Value:
        if isinstance(value, dict):
            return self._map(value, f"{path}.")
        if isinstance(value, list):
            return [self._value(f"{path}.[{i}]", item) for i, item in enumerate(value)]
        return self._leaf(path, value)

    def _leaf(self, path: str, value: Value) -> Value:
        text = as_string(value).encode()
        if self._rules.allowed(text):
            self.summary.allowed.append(path.encode())
            return value
        new = self._rules.sanitizers.body(self._rules.blocked.clean(text))
        if new == text:
            return value
        self.summary.masked.append(path.encode())
        return new.decode("utf-8", "replace")
