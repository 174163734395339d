"""`otelcol-llm traffic`: the demo's invented traffic, sent to a collector that runs already."""

from __future__ import annotations

import time
from itertools import count

import click


@click.command()
@click.option("--endpoint", default="127.0.0.1:4317", show_default=True, help="OTLP/gRPC receiver.")
@click.option("--per-second", default=5.0, show_default=True, help="Traces per second.")
@click.option("--traces", default=0, help="Stop after that many (default: never).")
def traffic(endpoint: str, per_second: float, traces: int) -> None:
    """Send invented traffic, on and on."""
    try:
        from collector.demo.traffic import Company
    except ModuleNotFoundError as missing:
        if missing.name is None or not missing.name.startswith("opentelemetry"):
            raise
        raise click.ClickException(
            "invented traffic is sent through the OpenTelemetry SDK; install it with: pip install 'otelcol-llm[demo]'"
        ) from missing
    company = Company(endpoint, seed=time.time_ns())
    began = time.monotonic()
    try:
        for number in range(1, traces + 1) if traces else count(1):
            for _ in company.send(1):
                company.questions.clear()  # only the demo's report looks at them
            time.sleep(max(0.0, began + number / per_second - time.monotonic()))
    finally:
        company.close()
