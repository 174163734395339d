"""Builds spans and requests, drives a sampler with a clock of its own, and reads what comes out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.config.settings import resolve
from processors.admission import admit, prove_texts
from processors.batch import Batch, Signal
from processors.encoded import split
from processors.ports import Context
from processors.reading import Reading
from processors.tail_sampling import TailSampling, build, check
from processors.tail_sampling.config import QUIRKS_GATE
from tests.telemetry import key_values

MS = 10**6
SECOND = 10**9
BEGIN = 1_800_000_000 * SECOND
"""When the spans of the tests begin, and when the clock of a `Run` does."""
CODES = {"unset": 0, "ok": 1, "error": 2}
ERRORS = {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}
ALWAYS = {"name": "all", "type": "always_sample"}


def policy(kind: str, name: str = "p", /, **block: Any) -> dict[str, Any]:
    """Return a policy as a user writes it."""
    return {"name": name, "type": kind, kind: block}


def settings(*policies: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Return settings as the collector would hand them over; without a word about it a decision comes after 10 s."""
    schema = json.loads(
        files("processors.tail_sampling").joinpath("schema.json").read_text("utf-8")
    )
    return resolve(schema, {"decision_wait": "10s", "policies": list(policies), **options})


def found(*policies: Mapping[str, Any], quirks: bool = False, **options: Any) -> list[str]:
    """Return what `check` says, warnings marked by an exclamation mark."""
    context = Context(id="tail_sampling", gates=frozenset((QUIRKS_GATE,) if quirks else ()))
    return [
        f"{'!' if finding.warning else ''}{finding.path}: {finding.text}"
        for finding in check(settings(*policies, **options), context)
    ]


def trace_id(name: str | bytes) -> bytes:
    """Return an id for a name."""
    return name if isinstance(name, bytes) else sha256(name.encode()).digest()[:16]


def span_id(trace: str | bytes, name: str) -> bytes:
    return sha256(trace_id(trace) + name.encode()).digest()[:8]


def span(
    trace: str | bytes,
    name: str = "s",
    attributes: Mapping[str, Any] | None = None,
    *,
    status: str = "unset",
    ms: tuple[float, float] = (0, 1),
    parent: str = "",
    **fields: Any,
) -> Span:
    """Return a span. `ms`: start and end after BEGIN; `parent`: the name of another span of the trace."""
    start, end = (BEGIN + round(at * MS) for at in ms)
    return Span(
        trace_id=trace_id(trace),
        span_id=span_id(trace, name),
        parent_span_id=span_id(trace, parent) if parent else b"",
        name=name,
        attributes=key_values(attributes or {}),
        status=Status(code=CODES[status]) if status != "unset" else None,  # type: ignore[arg-type] # an enum's number
        **{"start_time_unix_nano": start, "end_time_unix_nano": end, **fields},
    )


def request(
    spans: Iterable[Span],
    resource: Mapping[str, Any] | None = None,
    *,
    scope: str = "tests",
    schema_url: str = "",
) -> bytes:
    """Encode spans of one resource and scope."""
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add(schema_url=schema_url)
    group.resource.attributes.extend(key_values(resource or {"service.name": "tests"}))
    inner = group.scope_spans.add(schema_url=schema_url)
    inner.scope.name = scope
    inner.spans.extend(spans)
    return message.SerializeToString()


def arrived(raw: bytes, received_ns: int) -> Batch:
    """Return a batch as receivers hand it to a sampler that comes first: read where that can be, never decoded."""
    groups = admit(Signal.TRACES, raw, 10**6, unproved=1).groups
    reading = Reading(groups, lambda came: prove_texts(Signal.TRACES, came)[0]) if groups else None
    items = sum(len(spans) for _, _, spans in split(raw))
    return Batch(Signal.TRACES, raw, received_ns=received_ns, items=items, reading=reading)


class Run:
    """A sampler and its clock. What comes out is in `out`, in order."""

    def __init__(
        self,
        *policies: Mapping[str, Any],
        quirks: bool = False,
        id: str = "tail_sampling",
        **options: Any,
    ) -> None:
        self.context = Context(id=id, gates=frozenset((QUIRKS_GATE,) if quirks else ()))
        self.sampler: TailSampling = build(settings(*policies, **options), self.context)
        self.now = BEGIN
        self.out: list[Batch] = []

    def send(self, *spans: Span, resource: Mapping[str, Any] | None = None) -> list[str]:
        """Send spans in one request; return the names of those that came out at once."""
        return self.send_raw(request(spans, resource))

    def send_raw(self, raw: bytes) -> list[str]:
        out = self.sampler.process(arrived(raw, self.now))
        return names(self._took([out] if out is not None else []))

    def wait(self, seconds: float) -> list[str]:
        """Let time pass, with a tick every 100 ms; return the names of the spans that came out."""
        came = []
        for _ in range(round(seconds * 10)):
            self.now += SECOND // 10
            came += self._ticked()
        return names(came)

    def wait_until(self, now: int) -> None:
        """Let time pass to a moment, with one tick then."""
        self.now = now
        self._ticked()

    def _ticked(self) -> list[Batch]:
        came = self._took(self.sampler.tick(self.now))
        while self.sampler.behind:
            came += self._took(self.sampler.tick(self.now))
        return came

    def close(self) -> list[str]:
        came = self._took(self.sampler.close())
        while self.sampler.behind:
            came += self._took(self.sampler.close())
        return names(came)

    def reload(self, *policies: Mapping[str, Any], **options: Any) -> None:
        """Replace the sampler by one with other settings, as a reload does."""
        successor = build(settings(*policies, **options), self.context)
        successor.adopt(self.sampler)
        self.sampler = successor
        assert self.closes

    def _took(self, batches: Iterable[Batch]) -> list[Batch]:
        taken = list(batches)
        self.out += taken
        return taken

    @property
    def spans(self) -> list[Span]:
        """Every span that came out."""
        return spans_of(self.out)

    @property
    def traces(self) -> set[bytes]:
        """Ids of the traces that came out."""
        return {bytes(one.trace_id) for one in self.spans}

    def only(self, name: str) -> Span:
        """Return the one span of that name."""
        (one,) = [one for one in self.spans if one.name == name]
        return one

    def kept(self, *names: str) -> list[str]:
        """Return which of these traces came out."""
        return [name for name in names if trace_id(name) in self.traces]

    def count(self, metric: str, *labels: str) -> float:
        return self.sampler.stats.counters.get((metric, *labels), 0)

    def ledger(self) -> dict[str, float]:
        """Return the terms of the ledger of spans."""
        name = "otelcol_llm_tail_sampling_spans_total"
        terms = {key[1]: n for key, n in self.sampler.stats.counters.items() if key[0] == name}
        held = self.sampler.stats.gauges["otelcol_llm_tail_sampling_held_spans",]()
        return {**terms, "held": held}

    @property
    def closes(self) -> bool:
        """Whether what came in is what went out, was dropped or is held."""
        terms = self.ledger()
        received = terms.pop("received", 0)
        terms.pop("refused", 0)
        return received == sum(terms.values())


def spans_of(batches: Iterable[Batch]) -> list[Span]:
    return [
        one
        for batch in batches
        for group in ExportTraceServiceRequest.FromString(batch.encode()).resource_spans
        for scope in group.scope_spans
        for one in scope.spans
    ]


def names(batches: Iterable[Batch]) -> list[str]:
    return [one.name for one in spans_of(batches)]


def attributes_of(one: Span) -> dict[str, Any]:
    """Return the scalar attributes of a span."""
    return {
        attribute.key: getattr(
            attribute.value, attribute.value.WhichOneof("value") or "string_value"
        )
        for attribute in one.attributes
    }


def keeps(
    rule: Mapping[str, Any],
    *spans: Span,
    quirks: bool = False,
    resource: Mapping[str, Any] | None = None,
    cuts: Sequence[int] = (),
) -> bool:
    """Say whether a policy alone keeps a trace of these spans. `cuts`: where a new request begins."""
    run = Run(rule, quirks=quirks)
    for begin, end in zip((0, *cuts), (*cuts, len(spans)), strict=True):
        run.send(*spans[begin:end], resource=resource)
    run.wait(10)
    return bool(run.spans)
