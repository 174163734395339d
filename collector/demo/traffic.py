"""Invented traffic of an invented company, sent through the real OpenTelemetry SDK over loopback OTLP.

Four services, five features, four tenants; three dialects of GenAI telemetry side by side. Most traces are ordinary;
some fail, some are slow, some are expensive, and their prompts hold personal data. All names, addresses and numbers are
made up; card numbers are the card industry's published test numbers.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from collector.demo.told import Teller

_MS: Final = 1_000_000
_TENANTS: Final = ("acme", "globex", "initech", "umbrella")


@dataclass(frozen=True, slots=True)
class Service:
    """One application: what it is for, what it calls and how its instrumentation speaks."""

    name: str
    feature: str
    provider: str
    model: str
    dialect: str


SERVICES: Final = (
    Service("support-bot", "chat", "openai", "gpt-4o-mini", "otel"),
    Service("support-bot", "summaries", "anthropic", "claude-sonnet-4-5", "otel"),
    Service("doc-search", "search", "openai", "gpt-4o", "openinference"),
    Service("code-review", "review", "anthropic", "claude-haiku-4-5", "traceloop"),
    Service("billing-agent", "invoices", "google", "gemini-2.5-flash", "otel"),
)

_QUESTIONS: Final = (
    "Where is my order {order}? Write to {mail} or call {phone}.",
    "Please change the address of {name}, social security number {ssn}.",
    "My card {card} was charged twice, can you look at {order}?",
    "The login from {ip} was not me. My mail is {mail}.",
    "How do I return a pair of shoes that does not fit?",
    "Summarise the discussion about the release plan in three sentences.",
    "Which of the two functions is faster, and why?",
    "What does clause 7 of the contract say about late delivery?",
)


def _people(rnd: random.Random) -> Mapping[str, str]:
    first = rnd.choice(("maria", "jonas", "aiko", "samuel", "lucia"))
    last = rnd.choice(("keller", "okafor", "tanaka", "moreau", "silva"))
    return {
        "name": f"{first} {last}".title(),
        "mail": f"{first}.{last}@mail.example",
        "phone": f"+1 415 555 {rnd.randrange(1000, 9999)}",
        "ssn": f"{rnd.randrange(100, 600):03d}-{rnd.randrange(10, 99)}-{rnd.randrange(1000, 9999)}",
        "card": rnd.choice(("4111 1111 1111 1111", "5555 5555 5555 4444")),
        "ip": f"203.0.113.{rnd.randrange(1, 255)}",
        "order": f"A-{rnd.randrange(10**6, 10**7)}",
    }


@dataclass(frozen=True, slots=True)
class Call:
    """One model call, before it is written down in a dialect."""

    service: Service
    question: str
    answer: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int


def _otel(call: Call) -> dict[str, object]:
    """The current OpenTelemetry conventions: input tokens include cached ones."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": call.service.provider,
        "gen_ai.request.model": call.service.model,
        "gen_ai.response.model": call.service.model,
        "gen_ai.usage.input_tokens": call.input_tokens,
        "gen_ai.usage.output_tokens": call.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": call.cached_tokens,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.input.messages": json.dumps(_messages("user", call.question)),
        "gen_ai.output.messages": json.dumps(_messages("assistant", call.answer)),
    }


def _messages(role: str, text: str) -> list[dict[str, object]]:
    return [{"role": role, "parts": [{"type": "text", "content": text}]}]


def _openinference(call: Call) -> dict[str, object]:
    return {
        "openinference.span.kind": "LLM",
        "llm.provider": call.service.provider,
        "llm.model_name": call.service.model,
        "llm.token_count.prompt": call.input_tokens,
        "llm.token_count.completion": call.output_tokens,
        "llm.token_count.prompt_details.cache_read": call.cached_tokens,
        "input.value": call.question,
        "output.value": call.answer,
    }


def _traceloop(call: Call) -> dict[str, object]:
    """Names of 2024, still sent by many."""
    return {
        "gen_ai.system": call.service.provider.capitalize(),
        "llm.request.type": "chat",
        "gen_ai.request.model": call.service.model,
        "gen_ai.usage.prompt_tokens": call.input_tokens,
        "gen_ai.usage.completion_tokens": call.output_tokens,
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": call.question,
        "gen_ai.completion.0.content": call.answer,
    }


_DIALECTS: Final[Mapping[str, tuple[str, Callable[[Call], dict[str, object]]]]] = {
    "otel": ("opentelemetry.instrumentation.genai", _otel),
    "openinference": ("openinference.instrumentation.openai", _openinference),
    "traceloop": ("opentelemetry.instrumentation.anthropic", _traceloop),
}
"""Dialect → instrumentation scope and how a call is written."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of trace and how often it happens."""

    name: str
    share: float
    duration_ms: tuple[int, int] = (400, 3_500)
    input_tokens: tuple[int, int] = (400, 3_000)
    services: Sequence[Service] = SERVICES
    fails: bool = False


KINDS: Final = (
    Kind("ordinary", 0.93),
    Kind("failing", 0.025, fails=True),
    Kind("slow", 0.025, duration_ms=(5_500, 14_000)),
    Kind("expensive", 0.02, input_tokens=(60_000, 120_000), services=SERVICES[2:3]),
)


class Company:
    """Sends traces. The same seed sends the same traffic, but for ids and times."""

    def __init__(self, endpoint: str, seed: int = 7) -> None:
        """`endpoint`: OTLP/gRPC receiver, `host:port`."""
        self._rnd = random.Random(seed)  # noqa: S311 - invented data
        self._teller = Teller(seed)
        self._providers: dict[str, TracerProvider] = {}
        self._endpoint = endpoint
        self.questions: dict[tuple[str, str], str] = {}
        """What was asked, by (trace id, span id) in hex: the demo shows it beside what left."""

    def send(self, traces: int) -> Iterator[str]:
        """Send that many traces; yields the kind of each as it is sent."""
        weights = [kind.share for kind in KINDS]
        for _ in range(traces):
            kind = self._rnd.choices(KINDS, weights)[0]
            self._trace(kind, self._rnd.choice(kind.services))
            yield kind.name

    def close(self) -> None:
        """Flush and close every exporter."""
        for provider in self._providers.values():
            provider.shutdown()

    def _tracer(self, service: Service, scope: str) -> Tracer:
        if service.name not in self._providers:
            resource = Resource.create(
                {"service.name": service.name, "deployment.environment.name": "demo"}
            )
            provider = TracerProvider(resource=resource, shutdown_on_exit=False)
            exporter = OTLPSpanExporter(endpoint=self._endpoint, insecure=True)
            provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=20_000))
            self._providers[service.name] = provider
        return self._providers[service.name].get_tracer(scope)

    def _trace(self, kind: Kind, service: Service) -> None:
        """One request: a root span, a retrieval, one to three model calls, children first to end."""
        rnd = self._rnd
        duration = rnd.randint(*kind.duration_ms) * _MS
        start = time.time_ns() - duration
        root = self._tracer(service, "shop.web").start_span(
            f"POST /{service.feature}",
            kind=SpanKind.SERVER,
            start_time=start,
            attributes={
                "app.llm.feature": service.feature,
                "app.llm.tenant.id": rnd.choice(_TENANTS),
            },
        )
        calls = rnd.randint(1, 3)
        for number in range(calls):
            began = start + duration * number // calls
            ended = start + duration * (number + 1) // calls - _MS
            last = number == calls - 1
            self._call(root, kind, service, began, ended, failed=kind.fails and last)
        if kind.fails:
            root.set_status(Status(StatusCode.ERROR, "the model did not answer"))
        root.end(start + duration)

    def _call(
        self, root: Span, kind: Kind, service: Service, began: int, ended: int, *, failed: bool
    ) -> None:
        rnd = self._rnd
        tokens = rnd.randint(*kind.input_tokens)
        call = Call(
            service=service,
            question=rnd.choice(_QUESTIONS).format_map(_people(rnd)),
            answer="Thank you for your message. Here is what I found.",
            input_tokens=tokens,
            output_tokens=rnd.randint(40, 900),
            cached_tokens=rnd.choice((0, 0, tokens // 2)),
        )
        scope, write = _DIALECTS[service.dialect]
        attributes = write(call) | {
            "app.llm.feature": service.feature,
            "app.llm.tenant.id": root.attributes["app.llm.tenant.id"],  # type: ignore[attr-defined] # an SDK span
        }
        if failed:
            attributes |= self._teller.failure()
        else:
            took_s = (ended - began) / 1_000 / _MS
            attributes |= self._teller.call(service.feature, service.provider, took_s)
        span = self._tracer(service, scope).start_span(
            f"chat {service.model}",
            context=set_span_in_context(root),
            kind=SpanKind.CLIENT,
            start_time=began,
            attributes=attributes,
        )
        ids = span.get_span_context()
        self.questions[f"{ids.trace_id:032x}", f"{ids.span_id:016x}"] = call.question
        if failed:
            span.set_attribute("error.type", "timeout")
            span.set_status(Status(StatusCode.ERROR, "timeout"))
        span.end(ended)
