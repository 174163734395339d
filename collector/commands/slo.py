"""`otelcol-llm slo`: checks a file of objectives, prints its arithmetic, writes its rules."""

from __future__ import annotations

from pathlib import Path

import click

from collector.defaults import CONFIGS
from collector.slo.objectives import Objective, Promises, load, number
from collector.slo.rules import write


@click.command()
@click.argument(
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=CONFIGS / "slo.yaml",
)
@click.option(
    "--write",
    "target",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write the Prometheus rules there; - is the output.",
)
def slo(file: Path, target: Path | None) -> None:
    """Print the error budgets of FILE (default: the shipped slo.yaml) in numbers, or write its rules."""
    promises = load(file)
    if target is None:
        _show(promises)
        return
    text = write(promises, f"{file.parent.name}/{file.name}")
    if str(target) == "-":
        click.echo(text, nl=False)
    else:
        target.write_text(text, "utf-8")


def _show(promises: Promises) -> None:
    for objective in promises.objectives:
        click.echo(f"{objective.name}: {objective.percent} % in {objective.window}")
        click.echo(f"  {objective.summary()}")
        for line in _conditions(objective):
            click.echo(f"  {line}")


def _conditions(objective: Objective) -> list[str]:
    return [
        f"{burn.severity:6} from {number(burn.factor * objective.budget * 100):>6} % bad "
        f"over {burn.long} and {burn.short} (burn rate {number(burn.factor)}: "
        f"{number(burn.share * 100)} % of the budget in {burn.long})"
        for burn in objective.burns
    ]
