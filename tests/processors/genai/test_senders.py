"""What holds for all spans of one sender: its service, its dimensions, its scope."""

from __future__ import annotations

from collections.abc import Mapping

from processors.batch import Batch, Signal
from processors.genai import Genai
from processors.wire import Value
from tests.processors.genai.replay import genai
from tests.processors.genai.test_ledger import CALL
from tests.telemetry import span, traces

ENVIRONMENT = "deployment.environment.name"


def sent(processor: Genai, number: int, resource: Mapping[str, object], **edits: str) -> Value:
    """Return the environment of a call, from a resource that a processor before edited."""
    batch = Batch(
        Signal.TRACES, traces(span(number, attributes=CALL), resource=resource), received_ns=1
    )
    for key, value in edits.items():
        batch.groups[0].resource.set(key.replace("_", "."), value)
    out = processor.process(batch)
    assert out is not None
    (item,) = out.spans()
    return item.get(ENVIRONMENT)


def test_each_sender_keeps_its_own_dimensions() -> None:
    processor = genai()
    environments = ["prod", "stage", "prod", "test"]
    seen = [sent(processor, n, {ENVIRONMENT: name}) for n, name in enumerate(environments, 1)]
    assert seen == environments


def test_what_was_written_on_a_resource_before_counts() -> None:
    processor = genai()
    given = {ENVIRONMENT: "prod"}
    assert sent(processor, 1, given) == "prod"
    assert sent(processor, 2, given, deployment_environment_name="stage") == "stage"
    assert sent(processor, 3, given) == "prod"


def test_senders_are_remembered_in_bounded_memory() -> None:
    processor = genai()
    for number in range(1, 600):
        name = f"env-{number}"
        assert sent(processor, number, {ENVIRONMENT: name}) == name
    assert len(processor._senders) <= 256
    large = {ENVIRONMENT: "prod", "process.command_line": "x" * 10_000}
    before = len(processor._senders)
    assert sent(processor, 601, large) == "prod"
    assert len(processor._senders) == before
