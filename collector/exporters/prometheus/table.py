"""What `/metrics` shows: the last point of every series, whoever sent it.

Invariants
- One entry per (exposed name, labels). A later point replaces an earlier one; delta points are added up.
- A metric keeps the type it had first: points of another type under its name are dropped and counted.
- What was not updated for `expiration_ns` is not shown, and shown again with its value when it comes back.
- At most `max_series` entries: the longest expired make room first, then new ones are dropped and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2

from collector.exporters.prometheus.names import label_name, metric_name
from collector.exporters.prometheus.points import Point, points_of
from processors.batch import Batch, Resource, Scope
from processors.wire import Value

ZERO_SCRAPES: Final = 2
"""How many scrapes see a new cumulative series at 0 first, so that `increase()` notices its first step.

Prometheus never sees the step from absent to a first value (prometheus#1673, #3886): with label churn 13 % of a cost
counter were lost. Counted in scrapes, not seconds.
"""


@dataclass(slots=True)
class Shown:
    """One series."""

    labels: str
    """`name="value",…`, escaped; empty without labels."""
    point: Point
    seen_ns: int
    held: int
    """Scrapes that still see it at 0."""


@dataclass(slots=True)
class Family:
    """All series of one exposed name."""

    name: str
    kind: str
    """Prometheus type."""
    help: str
    series: dict[Any, Shown] = field(default_factory=dict)


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
        """`began_ns`: series that began later are new; older ones resume."""
        self._shape = shape
        self._began_ns = began_ns
        self.families: dict[str, Family] = {}
        self.dropped: dict[str, int] = {"type_conflict": 0, "no_room": 0}
        """Points that are not shown, by reason."""
        self.size = 0
        self._names: dict[tuple[str, str, str], str] = {}

    def take(self, batch: Batch, now_ns: int) -> None:
        """Update the series from a metrics batch."""
        for group in batch.groups:
            resource = self._resource_labels(group.resource)
            for scope in group.scopes:
                common = {**resource, **self._scope_labels(scope.scope)}
                for item in scope.items:
                    metric = metrics_pb2.Metric.FromString(item.body())
                    self._update(metric, common, now_ns)

    def _update(self, metric: metrics_pb2.Metric, common: Mapping[str, str], now_ns: int) -> None:
        kind, points = points_of(metric)
        if not points:
            return
        family = self._family(metric, kind)
        if family.kind != kind:
            self.dropped["type_conflict"] += len(points)
            return
        for point in points:
            labels = self._labels(point.attributes, common)
            shown = family.series.get(labels)
            if shown is not None:
                shown.point = point.after(shown.point)
                shown.seen_ns = now_ns
            elif self._make_room(now_ns):
                held = ZERO_SCRAPES if self._is_new(point) else 0
                family.series[labels] = Shown(labels, point, now_ns, held)
                self.size += 1

    def _is_new(self, point: Point) -> bool:
        return point.cumulative and point.start_ns >= self._began_ns

    def _family(self, metric: metrics_pb2.Metric, kind: str) -> Family:
        key = (metric.name, metric.unit, kind)
        if key not in self._names:
            shape = self._shape
            name = metric_name(
                metric.name, metric.unit, kind, shape.namespace, suffixes=shape.suffixes
            )
            self._names[key] = name
            self.families.setdefault(name, Family(name, kind, metric.description))
        return self.families[self._names[key]]

    def _make_room(self, now_ns: int) -> bool:
        if self.size < self._shape.max_series or self._drop_expired(now_ns):
            return True
        self.dropped["no_room"] += 1
        return False

    def _drop_expired(self, now_ns: int) -> bool:
        before = now_ns - self._shape.expiration_ns
        size = self.size
        for family in self.families.values():
            gone = [key for key, shown in family.series.items() if shown.seen_ns < before]
            for key in gone:
                del family.series[key]
            self.size -= len(gone)
        return self.size < size

    def live(self, now_ns: int) -> Iterator[tuple[Family, list[Shown]]]:
        """Yield every family with the series that are to be shown, if there are any."""
        since = now_ns - self._shape.expiration_ns
        for family in self.families.values():
            shown = [one for one in family.series.values() if one.seen_ns >= since]
            if shown:
                yield family, shown

    # -- labels

    def _labels(self, attributes: Iterable[KeyValue], common: Mapping[str, str]) -> str:
        merged = dict(common)
        merged.update(joined((kv.key, text_of(kv.value)) for kv in attributes))
        merged.update(self._shape.const_labels)
        return rendered(merged)

    def _resource_labels(self, resource: Resource) -> dict[str, str]:
        attributes = {key: resource.get(key) for key in resource.keys()}  # noqa: SIM118 - no mapping
        labels = {}
        if self._shape.resource_labels:
            labels = joined((key, plain_text(value)) for key, value in attributes.items())
        name = plain_text(attributes.get("service.name"))
        namespace = plain_text(attributes.get("service.namespace"))
        if name:
            labels["job"] = f"{namespace}/{name}" if namespace else name
        if "service.instance.id" in attributes:
            labels["instance"] = plain_text(attributes["service.instance.id"])
        return labels

    def _scope_labels(self, scope: Scope) -> dict[str, str]:
        if not self._shape.scope_labels or not scope.name:
            return {}
        return {"otel_scope_name": scope.name, "otel_scope_version": scope.version}


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return label names with their values; values of keys that become one name are joined by `;`."""
    labels: dict[str, str] = {}
    for key, value in pairs:
        name = label_name(key)
        labels[name] = f"{labels[name]};{value}" if name in labels else value
    return labels


def rendered(labels: Mapping[str, str]) -> str:
    """Return labels as the text format has them, sorted; empty values are absent labels."""
    return ",".join(
        [f'{name}="{escaped(value)}"' for name, value in sorted(labels.items()) if value]
    )


def escaped(value: str) -> str:
    """Escape a label value."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value


def text_of(value: Any) -> str:
    """Return an AnyValue message as text."""
    if value.HasField("string_value"):
        return str(value.string_value)
    return plain_text(_PLAIN[value.WhichOneof("value")](value))


_PLAIN: Final[Mapping[Any, Callable[[Any], Value]]] = {
    None: lambda value: "",
    "string_value": lambda value: value.string_value,
    "bool_value": lambda value: value.bool_value,
    "int_value": lambda value: value.int_value,
    "double_value": lambda value: value.double_value,
    "bytes_value": lambda value: value.bytes_value.hex(),
    "array_value": lambda value: [text_of(v) for v in value.array_value.values],
    "kvlist_value": lambda value: {kv.key: text_of(kv.value) for kv in value.kvlist_value.values},
}


def plain_text(value: Value) -> str:
    """Return a value as the Collector writes it into a label."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
