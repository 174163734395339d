"""The applications' own metrics of the catalogue, on their way through: they get the labels that ours carry.

Queue depths, calls in flight and the gaps between chunks are known to applications alone. Under a name of the
catalogue, with dots or underscores, their points get the labels `environment` and `data_mode` from the resource, and
gauges and counters lose their unit; everything else passes as it came.
"""

from __future__ import annotations

from typing import Any, Final

from processors import semconv
from processors.batch import Batch, Metric, Resource
from processors.llm_metrics.bindings import Origin, data_mode
from processors.llm_metrics.labels import clean

OWN: Final = frozenset(
    (
        "llm_streaming_chunk_gap_seconds", "llm_eval_score", "llm_eval_samples_total",
        "llm_eval_samples", "llm_user_feedback_total", "llm_user_feedback",
        "llm_provider_quota_remaining_ratio", "llm_inflight_requests", "llm_queue_depth",
        "llm_topic_kl_divergence",
    )
)  # fmt: skip
"""Metrics of the catalogue that an application may send itself."""


def labelled(batch: Batch) -> Batch:
    """Return a metrics batch with the common labels on the metrics of the catalogue; `batch` stays as it is."""
    out = Batch(batch.signal, batch.encode(), received_ns=batch.received_ns)
    for group in out.groups:
        origin: Origin | None = None
        for scope in group.scopes:
            for item in scope.items:
                if item.view.name.replace(".", "_") in OWN:
                    origin = origin or origin_of(group.resource)
                    _label(item, origin)  # type: ignore[arg-type] # a metrics batch holds metrics
    return out


def origin_of(resource: Resource) -> Origin:
    """Return what a resource says of its items."""
    environment = resource.get(semconv.DEPLOYMENT_ENVIRONMENT_NAME) or resource.get(
        semconv.DEPLOYMENT_ENVIRONMENT
    )
    return Origin(
        environment=clean(environment) or "unknown",
        data_mode=data_mode(resource.get(semconv.APP_LLM_DATA_MODE)),
    )


def _label(item: Metric, origin: Origin) -> None:
    metric: Any = item.message()
    data = metric.WhichOneof("data")
    for point in getattr(metric, data).data_points if data else ():
        present = {pair.key for pair in point.attributes}
        for name, value in origin._asdict().items():
            if name not in present:
                pair = point.attributes.add(key=name)
                pair.value.string_value = value
    if data != "histogram":  # an exposition would append a unit to the name, which is a contract
        metric.unit = ""
    item.replace(metric)
