"""What a configuration says beyond the Collector is listed, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.cli import render
from collector.config.contrib import beyond_contrib
from collector.config.document import parse
from collector.config.load import load
from collector.config.report import Mark, Report

ACCEPTED = Path(__file__).parents[1] / "golden" / "config_accepted"

OURS = """\
receivers:
  otlp:
    protocols: {grpc: }
    limits: {max_items: 10}
processors:
  genai:
  redaction/ours: {allow_all_keys: true, entities: {}}
  tail_sampling:
    buffer: {max_bytes: 1MiB}
    policies:
      - {name: dear, type: trace_cost, trace_cost: {min_usd: 0.1}}
      - name: both
        type: and
        and: {and_sub_policy: [{name: slow, type: latency, latency: {threshold_ms: 1, soft: 1}}]}
exporters:
  otlp: {endpoint: "127.0.0.1:1", sending_queue: {max_bytes: 1MiB}}
"""

LISTED = """\
ours.yaml:4:5     receivers.otlp.limits
    warning: the Collector's otlp has no key limits
ours.yaml:6:3     processors.genai
    warning: the Collector has no processor genai
ours.yaml:7:42    processors.redaction/ours.entities
    warning: the Collector's redaction has no key entities
ours.yaml:9:5     processors.tail_sampling.buffer
    warning: the Collector's tail_sampling has no key buffer
ours.yaml:11:22   processors.tail_sampling.policies[0].type
    warning: the Collector's tail_sampling has no type trace_cost
ours.yaml:14:87   processors.tail_sampling.policies[1].and.and_sub_policy[0].latency.soft
    warning: the Collector's tail_sampling has no key soft
ours.yaml:16:51   exporters.otlp.sending_queue.max_bytes
    warning: the Collector's otlp has no key max_bytes"""


def test_every_addition_of_ours_is_listed() -> None:
    document = parse(OURS, Mark("ours.yaml", 1, 1), Report())
    assert render(beyond_contrib(document)) == LISTED


@pytest.mark.parametrize("name", sorted(path.name for path in ACCEPTED.glob("*.yaml")))
def test_nothing_of_the_collectors_is_listed(name: str) -> None:
    assert beyond_contrib(load([str(ACCEPTED / name)], env={}).document) == []
