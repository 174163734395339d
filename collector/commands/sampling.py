"""`otelcol-llm sampling`: what a change of the sampling policies would do, before it does it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from operator import gt, lt
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from collector.captures import requests
from collector.config.load import load
from collector.config.model import component_type
from collector.config.units import PARSERS
from collector.errors import CollectorError
from processors.errors import InvalidConfig
from processors.ports import Context
from processors.tail_sampling.config import QUIRKS_GATE, Config
from processors.tail_sampling.replay import Difference, Replay, Summary, compare, summarise

_CONDITION: Final = re.compile(r"lost-errors|(bytes|kept-usd)([<>])(.+)")


class Condition(NamedTuple):
    """When `--fail-on` fails."""

    text: str
    broken: Callable[[Summary], bool]


@click.group()
def sampling() -> None:
    """Try sampling policies on captured traffic."""


@sampling.command()
@click.option(
    "--config",
    "config",
    required=True,
    metavar="FILE",
    help="The configuration to try, as for a run.",
)
@click.option("--against", metavar="FILE", help="The one to compare with.")
@click.option(
    "--component", metavar="ID", help="Which tail_sampling component, where there are several."
)
@click.option(
    "--fail-on", "conditions", multiple=True, metavar="CONDITION",
    help="Exit with 1 on lost-errors, bytes>SIZE or kept-usd<AMOUNT.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@click.argument(
    "captures",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
def replay(
    config: str,
    against: str | None,
    component: str | None,
    conditions: Sequence[str],
    as_json: bool,
    captures: Sequence[Path],
) -> None:
    """Say what a configuration keeps of captured traces, and what that costs.

    CAPTURES: what a file exporter wrote in front of the sampler, JSON lines or length-delimited protobuf; or the
    journal of a stopped collector, tail-….db in its storage directory, of which the traces count that still waited.
    """
    checks = [_condition(text) for text in conditions]
    new = _replayed(config, component, captures)
    old = _replayed(against, component, captures) if against else None
    summary = summarise(new)
    difference = compare(new, old) if old is not None else None
    if as_json:
        click.echo(json.dumps(_numbers(summary, difference), indent=2))
    else:
        for line in (*_table(summary), *_comparison(against or "", difference)):
            click.echo(line)
    broken = [check.text for check in checks if check.broken(summary)]
    if broken:
        click.echo(f"Failed on {', '.join(broken)}.", err=True)
        sys.exit(1)


def _condition(text: str) -> Condition:
    found = _CONDITION.fullmatch(text.replace(" ", ""))
    if found is None:
        raise click.BadParameter(
            f"expected lost-errors, bytes>SIZE or kept-usd<AMOUNT, got {text!r}",
            param_hint="--fail-on",
        )
    what, sign, bound = found.groups()
    if what is None:
        return Condition(text, lambda summary: summary.lost_errors > 0)
    try:
        limit = PARSERS["size"](bound) if what == "bytes" else float(bound)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--fail-on") from error
    compare_with = gt if sign == ">" else lt
    if what == "bytes":
        return Condition(text, lambda summary: bool(compare_with(summary.stored_bytes, limit)))
    return Condition(text, lambda summary: bool(compare_with(summary.kept_usd, limit)))


def _replayed(source: str, component: str | None, captures: Sequence[Path]) -> Replay:
    loaded = load(
        [source], secret=bytes(32)
    )  # stands for the key of pseudonyms: nothing is redacted here
    samplers = {
        name: settings
        for name, settings in loaded.config.components["processors"].items()
        if component_type(name) == "tail_sampling"
    }
    name = _chosen(source, sorted(samplers), component)
    gates = loaded.config.gates
    config = Config.load(samplers[name], quirks=QUIRKS_GATE in gates)
    try:
        played = Replay(config, Context(id=name, gates=gates))
    except InvalidConfig as error:
        raise CollectorError(f"{source}: {name}: {error}") from error
    for path in captures:
        for raw in requests(path):
            played.feed(raw)
    played.finish()
    return played


def _chosen(source: str, names: Sequence[str], component: str | None) -> str:
    if component in names:
        return str(component)
    if component is None and len(names) == 1:
        return names[0]
    listed = ", ".join(names) or "none"
    raise click.UsageError(
        f"{source}: expected a tail_sampling component"
        + (f" named {component!r}" if component else ", or --component to say which")
        + f"; a pipeline uses {listed}."
    )


def _numbers(summary: Summary, difference: Difference | None) -> dict[str, Any]:
    numbers = asdict(summary) | {
        "kept_usd": summary.kept_usd,
        "skeleton_usd": summary.skeleton_usd,
        "stored_bytes": summary.stored_bytes,
    }
    return numbers | ({"against": asdict(difference)} if difference else {})


_ROW: Final = "{:<16}{:>9}{:>11}{:>10}{:>12}{:>15}   {}"


def _table(summary: Summary) -> Iterator[str]:
    yield _ROW.format("policy", "votes", "decides", "kept %", "kept $", "stored bytes", "").rstrip()
    for row in summary.rows:
        money = f"{row.usd:.2f}" if row.tier == "full" else f"({row.usd:.2f})"
        note = "" if row.tier == "full" else "skeleton"
        yield _ROW.format(
            row.policy or "oversize", _grouped(row.votes), _grouped(row.decides), f"{row.share:.2f}", money,
            _size(row.stored_bytes), note,
        ).rstrip()  # fmt: skip
    yield _ROW.format(
        "not kept",
        "–",
        _grouped(summary.not_kept),
        "–",
        f"({summary.usd_not_kept:.2f})",
        "–",
        _false_drops(summary),
    )
    yield _ROW.format(
        "all", _grouped(summary.traces), "", f"{sum(row.share for row in summary.rows):.2f}",
        f"{summary.kept_usd:.2f}", _size(summary.stored_bytes), _shares(summary),
    ).rstrip()  # fmt: skip
    if summary.estimated_usd is None:
        yield "estimated spend unknown: some kept traces have no adjusted count"
    else:
        yield (
            f"estimated spend {summary.estimated_usd:.2f} $ ± {summary.estimated_sigma:.2f} (1 σ) from the kept "  # noqa: RUF001 - sigma is meant
            f"traces' adjusted counts, true {summary.usd:.2f} $"
        )


def _false_drops(summary: Summary) -> str:
    return (
        f"false drops: {summary.lost_errors} errors, {summary.lost_slow} over 5 s, "
        f"{summary.lost_expensive} of 0.10 $ or more"
    )


def _shares(summary: Summary) -> str:
    if not summary.usd:
        return ""
    stored = 100 * (summary.kept_usd + summary.skeleton_usd) / summary.usd
    whole = 100 * summary.kept_usd / summary.usd
    return f"{stored:.1f} % of {summary.usd:.2f} $ stored at all, {whole:.1f} % with content"


def _comparison(against: str, difference: Difference | None) -> Iterator[str]:
    if difference is not None:
        yield (
            f"against {against}: +{_grouped(difference.gained)} kept, −{_grouped(difference.lost)} lost "  # noqa: RUF001 - a minus sign is meant
            f"({difference.lost_errors} errors, {difference.lost_slow} over 5 s), "
            f"bytes {_signed(difference.bytes_share)}, kept $ {_signed(difference.usd_share)}"
        )


def _signed(share: float | None) -> str:
    return "from nothing" if share is None else f"{share:+.0f} %".replace("-", "−")  # noqa: RUF001 - as above


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
