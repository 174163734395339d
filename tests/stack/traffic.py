"""Invented traffic in which every metric of the catalogue occurs, for a running collector.

An agent per trace: workflow → tool and model calls, with streaming, caching, prompts by version, refusals, failures,
evaluations, votes and rate-limit headers. `dear` is the prompt version that costs more; it appears later.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.servers import poll
from tests.telemetry import key_values

SECOND = 1_000_000_000
MODEL_CALL_KIND = 3


@dataclass(frozen=True, slots=True)
class Feature:
    """A part of the shop's product that calls a model."""

    name: str
    provider: str
    model: str
    team: str
    weight: int
    input_tokens: int
    ttft_s: float


FEATURES = (
    Feature("chat", "openai", "gpt-4o-mini", "support", 5, 2_500, 0.35),
    Feature("summaries", "anthropic", "claude-sonnet-4-5", "assist", 3, 9_000, 0.8),
    Feature("search", "openai", "gpt-4o", "search", 3, 4_000, 0.5),
    Feature("review", "anthropic", "claude-haiku-4-5", "platform", 2, 6_000, 0.6),
    Feature("invoices", "google", "gemini-2.5-flash", "billing", 1, 3_000, 0.45),
)
TENANTS = ("acme", "globex", "initech", "umbrella")
LANGUAGES = ("en", "en", "en", "de", "es", "ja")
FAILURES = ("429", "503", "timeout", "400")
QUOTA = {
    "http.response.header.x-ratelimit-limit-tokens": ["200000"],
    "http.response.header.x-ratelimit-limit-requests": ["500"],
}

SETTINGS = (
    "connectors.llm_metrics.budgets=["
    "{environment: production, period: day, usd: 40}, {environment: production, period: month, usd: 900},"
    "{environment: production, scope: feature, name: chat, period: day, usd: 4},"
    "{environment: production, scope: feature, name: summaries, period: day, usd: 60}]",
    "connectors.llm_metrics.features={"
    + ", ".join(f"{one.name}: {{team: {one.team}}}" for one in FEATURES)
    + "}",
    "connectors.llm_metrics.users={sample: 1, top: 5}",
    "processors.llm_cost.conversations={expensive_tokens: 60000}",
    "processors.tail_sampling.decision_wait_after_root_received=1s",
)
"""What the configuration must say for it: `--set` arguments."""


class Shop:
    """Makes requests; the same seed makes the same traffic, but for the time."""

    def __init__(self, seed: int = 7) -> None:
        self._rnd = random.Random(seed)
        self.dear = False
        """The dearer version of the prompt of summaries is out."""
        self.outage = ""
        """The provider of which half of the calls fail."""

    def traces(self, count: int) -> bytes:
        """Return a request with that many traces that end now."""
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        group.resource.attributes.extend(
            key_values(
                {
                    "service.name": "shop",
                    "service.version": "2.1" if self.dear else "2.0",
                    "deployment.environment.name": "production",
                }
            )
        )
        scope = group.scope_spans.add()
        scope.scope.name = "shop"
        for feature in self._rnd.choices(FEATURES, [one.weight for one in FEATURES], k=count):
            self._trace(scope, feature)
        return request.SerializeToString()

    def _trace(self, scope: object, feature: Feature) -> None:
        rnd = self._rnd
        now = time.time_ns()
        trace_id = rnd.randbytes(16)
        root_id = rnd.randbytes(8)
        common: dict[str, object] = {
            "app.llm.feature": feature.name,
            "app.llm.tenant.id": rnd.choices(TENANTS, (5, 3, 2, 1))[0],
            "user.id": f"user-{rnd.randrange(40)}",
        }
        duration = round(rnd.lognormvariate(0.6, 0.5) * SECOND)
        self._span(scope, trace_id, root_id, b"", f"{feature.name} workflow", now - duration, now)
        if rnd.random() < 0.5:
            self._tool(scope, trace_id, root_id, common, now - duration)
        for part in range(rnd.choice((1, 1, 2))):
            start = now - duration + part * duration // 2
            self._call(scope, trace_id, root_id, feature, dict(common), start, now)

    def _tool(
        self,
        scope: object,
        trace_id: bytes,
        parent: bytes,
        common: Mapping[str, object],
        start: int,
    ) -> None:
        rnd = self._rnd
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": rnd.choice(("lookup_order", "search_docs", "send_mail")),
            **common,
        }
        if rnd.random() < 0.1:
            attributes["error.type"] = "timeout"
        end = start + round(rnd.uniform(0.02, 0.4) * SECOND)
        self._span(
            scope, trace_id, rnd.randbytes(8), parent, "execute_tool", start, end, attributes
        )

    def _call(
        self,
        scope: object,
        trace_id: bytes,
        parent: bytes,
        feature: Feature,
        attributes: dict[str, object],
        start: int,
        end: int,
    ) -> None:
        rnd = self._rnd
        dear = self.dear and feature.name == "summaries"
        tokens = round(feature.input_tokens * rnd.uniform(0.6, 1.6) * (2 if dear else 1))
        output = rnd.randint(60, 700)
        version = "v2" if dear else "v1"
        attributes |= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": feature.provider,
            "gen_ai.request.model": feature.model,
            "gen_ai.response.model": feature.model,
            "gen_ai.conversation.id": f"{feature.name}-{rnd.randrange(30)}",
            "gen_ai.usage.input_tokens": tokens,
            "gen_ai.usage.output_tokens": output,
            "gen_ai.usage.cache_read.input_tokens": 0 if dear else tokens // 2,
            "gen_ai.usage.cache_creation.input_tokens": tokens // 10,
            "gen_ai.usage.reasoning.output_tokens": output // 4,
            "gen_ai.response.finish_reasons": ["stop"],
            "app.llm.ttft_s": round(feature.ttft_s * rnd.lognormvariate(0, 0.4), 4),
            "app.llm.prompt.template.version": version,
            "app.llm.prompt.template.sha": f"{feature.name}{version}".encode().hex()[-12:],
            "app.llm.prompt.language": rnd.choice(LANGUAGES),
            **{key: value for key, value in QUOTA.items() if feature.provider == "openai"},
        }
        if feature.provider == "openai":
            left = rnd.randint(20_000, 90_000)
            attributes["http.response.header.x-ratelimit-remaining-tokens"] = [str(left)]
            attributes["http.response.header.x-ratelimit-remaining-requests"] = ["410"]
        if feature.name == "search":
            attributes["app.llm.experiment.id"] = "shorter"
            attributes["app.llm.experiment.variant"] = rnd.choice(("control", "treatment"))
        if feature.name == "review" and rnd.random() < 0.1:
            attributes["gen_ai.response.model"] = attributes["gen_ai.request.model"] = "house-model"
        if feature.name == "chat":
            attributes["app.llm.usage.reported_cost_usd"] = tokens * 1.6e-7 + output * 6.2e-7
        status = self._mishap(feature, attributes)
        span = self._span(
            scope,
            trace_id,
            rnd.randbytes(8),
            parent,
            f"chat {feature.model}",
            start,
            end,
            attributes,
            status,
        )
        self._events(span, start, end, worse=dear)

    def _mishap(self, feature: Feature, attributes: dict[str, object]) -> int:
        """Let some calls fail, refuse or be useless; returns the span's status code."""
        rnd = self._rnd
        share = 0.5 if feature.provider == self.outage else 0.02
        if rnd.random() < share:
            kind = "503" if feature.provider == self.outage else rnd.choice(FAILURES)
            attributes["error.type"] = kind
            if kind.isdecimal():
                attributes["http.response.status_code"] = int(kind)
            for key in [key for key in attributes if key.startswith("gen_ai.usage")]:
                del attributes[key]
            del attributes["gen_ai.response.model"]
            attributes["app.llm.retry_count"] = rnd.randint(0, 2)
            return 2
        mishaps: tuple[dict[str, object], ...] = (
            {"app.llm.validation.error_class": rnd.choice(("json_parse", "schema"))},
            {"app.llm.refusal": True},
            {"app.llm.guardrail.rejected": True},
            {"gen_ai.response.finish_reasons": ["content_filter"]},
            {"app.llm.budget_exceeded": True},
        )
        if rnd.random() < 0.12:
            attributes |= rnd.choice(mishaps)
        return 0

    def _events(self, span: object, start: int, end: int, *, worse: bool) -> None:
        """Add the chunks of the stream, and sometimes an evaluation and a vote."""
        rnd = self._rnd
        for step in range(1, 6):
            self._event(span, "llm.content.completion.chunk", start + (end - start) * step // 6)
        if rnd.random() < 0.3:
            score = max(0.0, min(1.0, rnd.gauss(0.65 if worse else 0.88, 0.08)))
            attributes = {
                "gen_ai.evaluation.name": "helpful",
                "gen_ai.evaluation.score.value": score,
            }
            self._event(span, "gen_ai.evaluation.result", end, attributes)
        if rnd.random() < 0.1:
            vote = 1.0 if rnd.random() < 0.8 else -1.0
            attributes = {
                "gen_ai.evaluation.name": "user_feedback",
                "gen_ai.evaluation.score.value": vote,
            }
            self._event(span, "gen_ai.evaluation.result", end, attributes)

    @staticmethod
    def _event(
        span: object, name: str, when: int, attributes: Mapping[str, object] | None = None
    ) -> None:
        event = span.events.add()  # type: ignore[attr-defined] # a protobuf span
        event.name = name
        event.time_unix_nano = when
        event.attributes.extend(key_values(attributes or {}))

    @staticmethod
    def _span(
        scope: object,
        trace_id: bytes,
        span_id: bytes,
        parent: bytes,
        name: str,
        start: int,
        end: int,
        attributes: Mapping[str, object] | None = None,
        status: int = 0,
    ) -> object:
        span = scope.spans.add()  # type: ignore[attr-defined] # protobuf scope spans
        span.trace_id, span.span_id, span.parent_span_id = trace_id, span_id, parent
        span.name = name
        span.kind = MODEL_CALL_KIND
        span.start_time_unix_nano, span.end_time_unix_nano = start, end
        span.status.code = status
        span.attributes.extend(key_values(attributes or {}))
        return span

    def gauges(self) -> bytes:
        """Return what an application measures itself: calls in flight, queue, drift of topics."""
        request = ExportMetricsServiceRequest()
        group = request.resource_metrics.add()
        group.resource.attributes.extend(
            key_values({"service.name": "shop", "deployment.environment.name": "production"})
        )
        scope = group.scope_metrics.add()
        for name, label, value in (
            ("llm_inflight_requests", {"provider": "openai"}, self._rnd.randint(2, 12)),
            ("llm_queue_depth", {"provider": "openai"}, self._rnd.randint(0, 4)),
            ("llm_topic_kl_divergence", {"feature": "chat"}, self._rnd.uniform(0.05, 0.15)),
        ):
            metric = scope.metrics.add()
            metric.name = name
            point = metric.gauge.data_points.add()
            point.as_double = value
            point.time_unix_nano = time.time_ns()
            point.attributes.extend(key_values(label))
        return request.SerializeToString()


def send(port: int, shop: Shop, seconds: float, per_second: int = 20) -> Iterator[float]:
    """Send traffic at a steady pace; yields the seconds since the start after each request."""
    began = time.monotonic()
    headers = {"content-type": "application/x-protobuf"}
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False
    ) as client:
        while (passed := time.monotonic() - began) < seconds:
            client.post("/v1/traces", content=shop.traces(per_second // 2)).raise_for_status()
            client.post("/v1/metrics", content=shop.gauges()).raise_for_status()
            yield passed
            poll("its turn", lambda due=began + passed + 0.5: time.monotonic() >= due)
