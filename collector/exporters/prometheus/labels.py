"""Attributes → label text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from collector.exporters.prometheus.names import label_name
from processors.batch import Resource
from processors.wire import Value, decode_value, key_value

_JOB_KEYS = ("service.name", "service.namespace", "service.instance.id")


def decoded(attributes: Iterable[bytes]) -> Iterable[tuple[str, str]]:
    """Return keys and values of encoded KeyValues."""
    for pair in attributes:
        key, start, end = key_value(pair, 0, len(pair))
        yield key.decode("utf-8", "replace"), text(decode_value(pair, start, end))


def job_labels(resource: Resource) -> dict[str, str]:
    """Return `job` and `instance` as the OpenTelemetry specification derives them from a resource."""
    name, namespace, instance = (text(resource.get(key)) for key in _JOB_KEYS)
    labels = {}
    if name:
        labels["job"] = f"{namespace}/{name}" if namespace else name
    if instance:
        labels["instance"] = instance
    return labels


def resource_labels(resource: Resource, *, all_of_them: bool) -> dict[str, str]:
    """Return a resource's attributes as labels, or those only that do not say `job` or `instance`."""
    pairs = [
        (key, text(resource.get(key)))
        for key in resource.keys()  # noqa: SIM118 - a resource is no mapping
        if all_of_them or key not in _JOB_KEYS
    ]
    return joined(pairs)


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return label names with their values; values of keys that become one name are joined by `;`."""
    labels: dict[str, str] = {}
    for key, value in pairs:
        name = label_name(key)
        labels[name] = f"{labels[name]};{value}" if name in labels else value
    return labels


def rendered(labels: Mapping[str, str]) -> str:
    """Return labels as the text formats have them, sorted; an empty value is an absent label."""
    return ",".join(
        [f'{name}="{escaped(value)}"' for name, value in sorted(labels.items()) if value]
    )


def escaped(value: str) -> str:
    """Escape a label value."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def text(value: Value) -> str:
    """Return a value as the Collector writes it into a label."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.hex() if isinstance(value, bytes) else str(value)
