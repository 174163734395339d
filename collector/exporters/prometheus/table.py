"""What `/metrics` shows: the last point of every series, whoever sent it.

Invariants
- One entry per exposed name and label set. A later point replaces an earlier one; delta points are added up.
- A metric keeps the type it had first: points of another type under its name are dropped and counted.
- What cannot be spelled, a metric without a name or a histogram whose counts do not fit its bounds, is dropped and
  counted: a scraper refuses the whole page for one wrong line.
- What was not updated for `expiration_ns`, or said to have no value any more, is not shown, and shown again with its
  value when it comes back.
- At most `max_series` entries: expired ones make room first, then new ones are dropped and counted.
- A new series that grows is shown at 0 for `ZERO_SCRAPES` scrapes, its value accumulating behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from collector.exporters.prometheus.labels import (
    decoded,
    job_labels,
    joined,
    rendered,
    resource_labels,
)
from collector.exporters.prometheus.layout import Read
from collector.exporters.prometheus.names import metric_name
from collector.exporters.prometheus.points import (
    NO_VALUE,
    Points,
    Shown,
    is_sound,
    points_of,
    store_read,
)
from processors.batch import Batch, Resource, Scope
from processors.views import PARSE

ZERO_SCRAPES: Final = 2
"""How many scrapes see a new series at 0, so that `increase()` notices its first step.

Prometheus never sees the step from absent to a first value (prometheus#1673, #3886): with label churn, 13 % of a cost
counter were lost. Counted in scrapes, not seconds, so that a reader who polls fast need not wait.
"""
_TAKEN: Final = {"histogram": "le", "summary": "quantile"}
"""Labels that the format itself writes; a sender's label of that name goes by the prefix that Prometheus gives such."""
_MAX_ORIGINS: Final = 2_000
_MANY_NAMES: Final = 20_000
_LOOK_NS: Final = 10 * 10**9
"""How often a full table is searched for what expired."""

Origin = tuple[bytes, bytes]
"""Resource and scope, encoded."""


class Family:
    """All series of one exposed name."""

    __slots__ = ("help", "kind", "known", "name", "series")

    def __init__(self, name: str, kind: str, help_text: str) -> None:
        self.name = name
        self.kind = kind
        """Prometheus type."""
        self.help = help_text
        self.series: dict[str, Shown] = {}
        """By label text."""
        self.known: dict[tuple[Origin, tuple[bytes, ...] | bytes], Shown] = {}
        """By where a point came from and its encoded attributes, to find it again without decoding them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How series are named and kept."""

    namespace: str
    const_labels: Mapping[str, str]
    suffixes: bool
    resource_labels: bool
    scope_labels: bool
    expiration_ns: int
    max_series: int


class Table:
    """Not thread-safe: the exporter holds the lock."""

    def __init__(self, shape: Shape, began_ns: int) -> None:
        """`began_ns`: a series that began later is new; one that began earlier resumes."""
        self._shape = shape
        self._began_ns = began_ns
        self._families: dict[str, Family] = {}
        self._names: dict[tuple[str, str, str], Family] = {}
        self._origins: dict[Origin, dict[str, str]] = {}
        self._names_limit = _MANY_NAMES
        self._look_again_ns = 0
        self._now_ns = 0
        self.size = 0
        """Series kept."""
        self.dropped = {"type_conflict": 0, "malformed": 0, "no_room": 0}
        """Points that are not shown, by reason."""

    def take(self, batch: Batch, now_ns: int) -> None:
        """Update the series from a metrics batch."""
        self._now_ns = now_ns
        for group in batch.groups:
            if group.resource.body():
                self._show_target(group.resource)
            for scope in group.scopes:
                origin = self._origin(group.resource, scope.scope)
                for item in scope.items:
                    self._update(PARSE["MetricData"](item.body()), origin)

    def families(self) -> list[Family]:
        """Return the families there are."""
        return list(self._families.values())

    def live(self, family: Family, now_ns: int) -> list[Shown]:
        """Return the series of a family that are to be shown."""
        since = now_ns - self._shape.expiration_ns
        return [one for one in family.series.values() if one.seen_ns >= since]

    def _update(self, metric: Any, origin: Origin) -> None:
        points = points_of(metric)
        if points is None:
            return
        family = self._family(metric, points.kind)
        if not family.name:
            self.dropped["malformed"] += len(points.points)
            return
        if family.kind != points.kind:
            self.dropped["type_conflict"] += len(points.points)
            return
        known, now_ns, delta = family.known, self._now_ns, points.delta
        for raw in points.points:
            read = points.read(raw)
            if read is not None and (origin, read.identity) in known:
                shown = known[origin, read.identity]
                store_read(shown, read, delta)
                shown.seen_ns = now_ns
            else:
                self._store(family, origin, points, points.parse(raw), read)

    def _store(
        self, family: Family, origin: Origin, points: Points, point: Any, read: Read | None
    ) -> None:
        """Put a parsed point into its series; the next one of the same layout need not be parsed."""
        if points.kind == "histogram" and not (is_sound(point) or point.flags & NO_VALUE):
            self.dropped["malformed"] += 1
            return
        key = (origin, tuple(point.attributes))
        shown = family.known.get(key) or self._find(family, key, point, points)
        if shown is None:
            return
        if point.flags & NO_VALUE:
            shown.seen_ns = 0
            return
        bounds = shown.bounds
        points.store(shown, point, points.delta)
        if shown.bounds != bounds:
            family.known.clear()  # points that are found without parsing must share the bounds
        shown.time_ns = point.time_ns
        shown.seen_ns = self._now_ns
        if read is not None and not point.flags:
            family.known[origin, read.identity] = shown

    def _find(
        self, family: Family, key: tuple[Origin, tuple[bytes, ...]], point: Any, points: Points
    ) -> Shown | None:
        """Return the series of a point whose attributes were not seen in this form before."""
        origin, attributes = key
        labels = {
            **self._origins[origin],
            **joined(decoded(attributes)),
            **self._shape.const_labels,
        }
        taken = _TAKEN.get(points.kind)
        if taken in labels:
            labels[f"exported_{taken}"] = labels.pop(taken)
        spelled = rendered(labels)
        shown = family.series.get(spelled)
        if shown is None:
            if not self._has_room():
                return None
            self._families.setdefault(family.name, family)  # making room may have dropped it
            shown = family.series[spelled] = Shown(spelled)
            shown.start_ns = point.start_ns
            shown.held = ZERO_SCRAPES if points.grows and point.start_ns >= self._began_ns else 0
            self.size += 1
        if len(family.known) > 3 * len(family.series):
            family.known.clear()
        family.known[key] = shown
        return shown

    def _family(self, metric: Any, kind: str) -> Family:
        key = (metric.name, metric.unit, kind)
        found = self._names.get(key)
        if found is None:
            shape = self._shape
            name = metric_name(*key, shape.namespace, suffixes=shape.suffixes)
            if len(self._names) >= self._names_limit:
                self._drop_expired()
                self._names_limit = max(_MANY_NAMES, 2 * len(self._names))
            if name not in self._families:
                self._families[name] = Family(name, kind, metric.description)
            found = self._names[key] = self._families[name]
        return found

    # -- room

    def _has_room(self) -> bool:
        if self.size >= self._shape.max_series and self._now_ns >= self._look_again_ns:
            self._look_again_ns = self._now_ns + _LOOK_NS
            self._drop_expired()
        if self.size < self._shape.max_series:
            return True
        self.dropped["no_room"] += 1
        return False

    def _drop_expired(self) -> None:
        since = self._now_ns - self._shape.expiration_ns
        for name, family in list(self._families.items()):
            family.series = {
                labels: shown for labels, shown in family.series.items() if shown.seen_ns >= since
            }
            family.known.clear()
            if not family.series:
                del self._families[name]
        self._names = {
            key: family for key, family in self._names.items() if family.name in self._families
        }
        self.size = sum(len(family.series) for family in self._families.values())

    # -- where points come from

    def _origin(self, resource: Resource, scope: Scope) -> Origin:
        origin = (resource.frame(), scope.frame())
        if origin not in self._origins:
            if len(self._origins) >= _MAX_ORIGINS:
                self._origins.clear()
            labels = job_labels(resource)
            if self._shape.resource_labels:
                labels = {**resource_labels(resource, all_of_them=True), **labels}
            if self._shape.scope_labels and scope.name:
                labels["otel_scope_name"] = scope.name
                labels["otel_scope_version"] = scope.version
            self._origins[origin] = labels
        return origin

    def _show_target(self, resource: Resource) -> None:
        """Show `target_info`, by which the attributes of a resource can be joined to its series."""
        origin = (resource.frame(), b"target_info")
        family = self._family(_TARGET, "gauge")
        shown = family.known.get((origin, ()))
        if shown is None:
            labels = job_labels(resource)
            more = resource_labels(resource, all_of_them=False)
            if not labels or not more:
                return
            self._origins[origin] = {**more, **labels}
            shown = self._find(family, (origin, ()), _TARGET, _INFO)
        if shown is not None:
            shown.value, shown.seen_ns, shown.time_ns = 1, self._now_ns, self._now_ns


class _Target:
    """What a metric view and a point of `target_info` would say."""

    name = "target_info"
    unit = ""
    description = "Target metadata"
    start_ns = 0


_TARGET: Final = _Target()
_INFO: Final = Points("gauge", (), False, False, store_read)
