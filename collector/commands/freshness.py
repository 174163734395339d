"""`otelcol-llm freshness`: one probe by hand."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import click

from collector.config.load import load
from collector.config.model import component_type
from collector.config.settings import resolve
from collector.extensions.freshness import Config, prober
from collector.extensions.freshness.eyes import Web
from collector.extensions.freshness.probe import make
from collector.extensions.freshness.prober import Outcome
from collector.registry import schema_of

_SCHEMA = "collector/extensions/freshness/schema.json"


@click.command()
@click.option("--config", metavar="FILE", help="Configuration with an extension `freshness`.")
@click.option("--send", metavar="URL", help="OTLP/HTTP receiver to send to.")
@click.option("--metrics", metavar="URL", help="Prometheus to look in.")
@click.option("--traces", metavar="URL", help="Tempo to look in.")
@click.option(
    "--trace-path", metavar="PATH", help="Where a trace is; {trace_id} stands for its id."
)
@click.option("--timeout", type=float, metavar="SECONDS", help="When to give up.")
def freshness(
    config: str | None,
    send: str | None,
    metrics: str | None,
    traces: str | None,
    trace_path: str | None,
    timeout: float | None,
) -> None:
    """Send one tagged model call and tell how long it takes until it can be seen."""
    settings = _settings(config)
    places = {"send": send, "metrics": metrics, "traces": traces}
    named = {name: replace(getattr(settings, name), url=url) for name, url in places.items() if url}
    settings = replace(
        settings,
        **named,
        trace_path=trace_path or settings.trace_path,
        timeout_s=timeout or settings.timeout_s,
        tenant=f"{settings.tenant}-by-hand",  # not counted as one of the running collector's
    )
    if not (settings.metrics.url or settings.traces.url):
        raise click.UsageError("expected --metrics, --traces or a configuration that names one")
    outcomes = _round(settings)
    for outcome in outcomes:
        click.echo(_line(outcome))
    sys.exit(0 if all(outcome.result == "ok" for outcome in outcomes) else 1)


def _settings(config: str | None) -> Config:
    """Return what a configuration says, or the defaults."""
    if config is not None:
        loaded = load([config], (), ())
        for name in loaded.config.extensions:
            if component_type(name) == "freshness":
                return Config.load(loaded.config.components["extensions"][name])
        raise click.UsageError(f"expected an extension `freshness` in {config}, found none")
    return Config.load(resolve(schema_of(_SCHEMA), {}))


def _round(config: Config) -> list[Outcome]:
    """Send one probe and look for it until it is seen everywhere or lost."""
    web = Web()
    try:
        looking = prober(config, web)
        probe = make(config.tenant, config.environment, time.time_ns())
        outcomes = looking.send(probe, time.monotonic())
        while looking.pending:
            outcomes += looking.look(time.monotonic())
            if looking.pending:
                time.sleep(config.poll_s)
        return outcomes
    finally:
        web.close()


def _line(outcome: Outcome) -> str:
    said = f" ({outcome.why})" if outcome.why else ""
    return f"{outcome.signal:8} {outcome.result:5} {outcome.seconds:7.1f} s  trace {outcome.trace_id}{said}"
