"""`otelcol-llm models`: lists the models that have a price, and at what rates."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

import click

from collector.commands.price import SHIPPED
from collector.pricing import read
from processors.llm_cost.book import ONE, Book
from processors.llm_cost.catalog import Price
from processors.llm_cost.money import times

RATES: Final = ("input", "output", "cache_read", "cache_write")


class Model(NamedTuple):
    """One line of the list: rates in USD per million tokens at the base tier, as text."""

    name: str
    rates: tuple[str, ...]
    since: str
    notes: str
    source: str


@click.command()
@click.argument("pattern", default="*")
@click.option("--pricing", type=click.Path(path_type=Path), default=SHIPPED, metavar="FILE",
              help="Your prices. Default: the shipped pricing.yaml.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def models(ctx: click.Context, /, pattern: str, pricing: Path, as_json: bool) -> None:
    """List priced models whose provider/model contains PATTERN, or matches it where it has * or ?.

    Rates are US dollars per million tokens, as of today: your own prices first, then the base prices.
    """
    found = [
        model for model in _models(read(pricing).book, time.time_ns()) if _fits(model, pattern)
    ]
    if as_json:
        rows = [
            {**model._asdict(), "rates": dict(zip(RATES, model.rates, strict=True))}
            for model in found
        ]
        click.echo(json.dumps(rows, indent=2))
    elif found:
        _show(found)
    if not found:
        click.echo(f"No model matches {pattern!r}.", err=True)
        ctx.exit(1)


def _fits(model: Model, pattern: str) -> bool:
    name, wanted = model.name.lower(), pattern.lower()
    return fnmatchcase(name, wanted) if "*" in wanted or "?" in wanted else wanted in name


def _models(book: Book, now: int) -> Iterator[Model]:
    for own, name in book.overlay.entries():
        notes = [f"as {own.row['same_as']}"] if "same_as" in own.row else []
        notes += [f"x {own.factor}"] if own.factor != 1 else []
        price = own.entry.in_force(now)
        yield _model(f"{own.provider}/{name}", price, own.factor, notes, "overlay")
    for entry in book.base.entries():
        yield _model(entry.name, entry.in_force(now), ONE, [], "base")


def _model(name: str, price: Price | None, factor: Decimal, notes: list[str], source: str) -> Model:
    if price is None or price.empty:
        return Model(name, ("",) * len(RATES), "", "no price", source)
    rates = price.card.steps[0][1]
    notes = notes + [
        f"above {above:,} tokens other rates" for above, _ in price.card.steps if above >= 0
    ]
    notes += [f"{fee} {amount.normalize():f} each" for fee, amount in price.fees.items()]
    notes += ["times of day"] if price.windows else []
    notes += sorted(
        {f"{k}={'|'.join(sorted(v))}" for x in price.variants for k, v in x.when.items()}
    )
    shown = tuple(f"{times(rates[n], factor).normalize():f}" if n in rates else "" for n in RATES)
    return Model(name, shown, price.stated or "", ", ".join(notes), source)


def _show(found: list[Model]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("model", box=None, pad_edge=False, header_style="dim")
    for rate in RATES:
        table.add_column(rate.replace("_", " "), justify="right", no_wrap=True)
    for heading in ("since", "source", "notes"):
        table.add_column(heading, style="dim", overflow="fold")
    for model in found:
        table.add_row(
            escape(model.name), *model.rates, model.since, model.source, escape(model.notes)
        )
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(table)
