"""`otelcol-llm freshness`: one probe by hand."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Final

import click

from collector.config.load import load
from collector.config.model import component_type
from collector.config.settings import resolve
from collector.extensions.freshness import Config, prober
from collector.extensions.freshness.eyes import Web
from collector.extensions.freshness.probe import make
from collector.extensions.freshness.prober import Outcome
from collector.registry import schema_of

_SCHEMA: Final = "collector/extensions/freshness/schema.json"
_POLL_S: Final = 0.2
"""Somebody waits: looked for more often than the extension does."""
_SECONDS: Final = click.FloatRange(min=0, min_open=True)


def _url(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Take a URL as the extension does."""
    if value is not None and not value.startswith(("http://", "https://")):
        raise click.BadParameter(f"expected http://… or https://…, got {value}")
    return value and value.rstrip("/")


@click.command()
@click.option(
    "--config",
    "configs",
    multiple=True,
    metavar="FILE",
    help="Configuration with an extension `freshness`. Again: merged over those before.",
)
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Set one value of it.")
@click.option("--send", metavar="URL", callback=_url, help="OTLP/HTTP receiver to send to.")
@click.option("--metrics", metavar="URL", callback=_url, help="Prometheus to look in.")
@click.option("--traces", metavar="URL", callback=_url, help="Tempo to look in.")
@click.option(
    "--trace-path", metavar="PATH", help="Where a trace is; {trace_id} stands for its id."
)
@click.option("--timeout", type=_SECONDS, metavar="SECONDS", help="When to give up.")
def freshness(
    configs: tuple[str, ...],
    sets: tuple[str, ...],
    send: str | None,
    metrics: str | None,
    traces: str | None,
    trace_path: str | None,
    timeout: float | None,
) -> None:
    """Send one tagged model call and tell how long it takes until it can be seen.

    Where to send and look is what a configuration says, or the options. Fails when it is seen late or not at all.
    """
    settings = _settings(configs, sets)
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
        raise click.UsageError(
            "expected --config with an extension `freshness`, or --metrics or --traces, got nowhere to look"
        )
    results = []
    for outcome in _round(settings):
        click.echo(_line(outcome))
        results.append(outcome.result)
    sys.exit(0 if set(results) == {"ok"} else 1)


def _settings(configs: tuple[str, ...], sets: tuple[str, ...]) -> Config:
    """Return what a configuration says, or the defaults."""
    if not configs:
        return Config.load(resolve(schema_of(_SCHEMA), {}))
    loaded = load(configs, sets)
    for name in loaded.config.extensions:
        if component_type(name) == "freshness":
            return Config.load(loaded.config.components["extensions"][name])
    named = ", ".join(configs)
    raise click.UsageError(f"expected an extension `freshness` in {named}, found none")


def _round(config: Config) -> Iterator[Outcome]:
    """Send one probe and look for it until it is seen everywhere or lost; yield what is known at once."""
    with closing(Web()) as web:
        looking = prober(config, web)
        probe = make(config.tenant, config.environment, time.time_ns())
        yield from looking.send(probe, time.monotonic())
        while looking.pending:
            time.sleep(min(_POLL_S, config.poll_s))
            yield from looking.look(time.monotonic())


def _line(outcome: Outcome) -> str:
    why = outcome.why or ("it did not appear" if outcome.result == "lost" else "")
    said = f"  {why}" if why else ""
    return f"{outcome.signal:8} {outcome.result:5} {outcome.seconds:7.1f} s  trace {outcome.trace_id}{said}"
