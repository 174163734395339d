"""`include` and `exclude`: which items a generic processor works on, in the Collector's words.

Every property that is written must match; within a list one entry suffices, except that all `attributes` and all
`resources` entries must. Source: opentelemetry-collector-contrib v0.158.0, internal/filter/filterconfig.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import re2

from processors.batch import Element, Item, LogRecord, Metric, Span
from processors.errors import InvalidConfig

_KINDS = {
    "SPAN_KIND_UNSPECIFIED": 0,
    "SPAN_KIND_INTERNAL": 1,
    "SPAN_KIND_SERVER": 2,
    "SPAN_KIND_CLIENT": 3,
    "SPAN_KIND_PRODUCER": 4,
    "SPAN_KIND_CONSUMER": 5,
}

Test = Callable[[str], bool]


class Matcher:
    """A compiled `include` or `exclude` block."""

    def __init__(self, written: Mapping[str, Any], path: str) -> None:
        """Compile the block. Raises: `InvalidConfig`."""
        self._path = path
        self._regexp = written["match_type"] == "regexp"
        self._services = self._tests(written, "services")
        self._names = self._tests(written, "span_names")
        self._bodies = self._tests(written, "log_bodies")
        self._metrics = self._tests(written, "metric_names")
        self._kinds = {_KINDS[kind] for kind in written.get("span_kinds", ())}
        self._attributes = self._pairs(written, "attributes")
        self._resources = self._pairs(written, "resources")
        self._libraries = [
            (
                self._test(entry["name"], "libraries"),
                self._test(entry["version"], "libraries") if "version" in entry else None,
            )
            for entry in written.get("libraries", ())
        ]

    def _tests(self, written: Mapping[str, Any], key: str) -> list[Test]:
        return [self._test(text, key) for text in written.get(key, ())]

    def _test(self, text: str, key: str) -> Test:
        if not self._regexp:
            return text.__eq__
        try:
            pattern = re2.compile(text)
        except re2.error as bad:
            raise InvalidConfig(
                f"{self._path}.{key}", f"expected an RE2 expression, got {text!r}: {bad}"
            ) from bad
        return lambda value: pattern.search(value) is not None

    def _pairs(
        self, written: Mapping[str, Any], key: str
    ) -> list[tuple[str, Callable[[Any], bool] | None]]:
        pairs: list[tuple[str, Callable[[Any], bool] | None]] = []
        for entry in written.get(key, ()):
            value = entry.get("value")
            if value is None:
                pairs.append((entry["key"], None))
            elif self._regexp and isinstance(value, str):
                pairs.append((entry["key"], _texts(self._test(value, key))))
            else:
                pairs.append((entry["key"], _same(value)))
        return pairs

    def matches(self, item: Item) -> bool:
        """Say whether the item has every property that is written."""
        return (
            self._kind_matches(item)
            and _any(self._services, item.resource.get("service.name"))
            and _all(self._resources, item.resource)
            and all(_all(self._attributes, carrier) for carrier in item.carriers()[:1])
            and self._library_matches(item)
        )

    def _kind_matches(self, item: Item) -> bool:
        if isinstance(item, Span):
            return _any(self._names, item.name) and (not self._kinds or item.kind in self._kinds)
        if isinstance(item, LogRecord):
            return _any(self._bodies, item.body_value)
        return not isinstance(item, Metric) or _any(self._metrics, item.name)

    def _library_matches(self, item: Item) -> bool:
        if not self._libraries:
            return True
        name, version = item.scope.name, item.scope.version
        return any(test(name) and (of is None or of(version)) for test, of in self._libraries)


def _any(tests: Sequence[Test], value: Any) -> bool:
    return not tests or (isinstance(value, str) and any(test(value) for test in tests))


def _all(pairs: Sequence[tuple[str, Callable[[Any], bool] | None]], element: Element) -> bool:
    return all(key in element and (test is None or test(element.get(key))) for key, test in pairs)


def _texts(test: Test) -> Callable[[Any], bool]:
    return lambda found: isinstance(found, str) and test(found)


def _same(value: Any) -> Callable[[Any], bool]:
    """Compare with the type: 1, 1.0 and true are different attribute values."""
    return lambda found: type(found) is type(value) and found == value
