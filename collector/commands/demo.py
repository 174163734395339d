"""`otelcol-llm demo`."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.option("--traces", default=2_000, show_default=True, help="How many traces to send.")
@click.option("--keep-running", is_flag=True, help="Go on receiving afterwards, to look around.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where kept traces are written (default: a new temporary folder).",
)
def demo(traces: int, keep_running: bool, data_dir: Path | None) -> None:
    """Send invented traffic through the embedded default and print what came out."""
    try:
        from collector.demo.run import run
    except ModuleNotFoundError as missing:
        if missing.name is None or not missing.name.startswith("opentelemetry"):
            raise
        raise click.ClickException(
            "the demo sends through the OpenTelemetry SDK; install it with: pip install 'otelcol-llm[demo]'"
        ) from missing
    sys.exit(run(traces, keep_running, data_dir))
