"""`otelcol-llm price`: explains what a call costs, line by line, and checks a pricing file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from collector.defaults import CONFIGS
from collector.errors import Problem
from collector.pricing import PricingFile, read
from processors.genai.models import vendor_of_model
from processors.llm_cost import money
from processors.llm_cost.book import Book, Identity, Miss, Offer
from processors.llm_cost.catalog import SECOND, moment
from processors.llm_cost.names import clean, host
from processors.llm_cost.tariff import FEES, Line, Tariff
from processors.llm_cost.usage import Usage, settle

_Function = TypeVar("_Function", bound=Callable[..., Any])

SHIPPED: Final = CONFIGS / "pricing.yaml"
_COUNTS: Final = {
    "input": "Input tokens, cached ones included.",
    "output": "Output tokens, reasoning included.",
    "cache_read": "Of the input: read from a cache.",
    "cache_write": "Of the input: written to a cache.",
    "cache_write_1h": "Of those written: kept for an hour.",
    "reasoning": "Of the output: reasoning.",
    "audio_in": "Of the input: audio.",
    "audio_out": "Of the output: audio.",
    "cache_audio_read": "Of the audio input: read from a cache.",
    "image_in": "Of the input: images.",
    "image_out": "Of the output: images.",
    "compaction_in": "Input of a compaction, outside the total.",
    "compaction_out": "Output of a compaction, outside the total.",
    "web_searches": "Searches.",
    "images": "Images made.",
}
_CONTEXT: Final = {
    "service_tier": "Such as flex or priority.",
    "processing": "batch.",
    "speed": "Such as fast.",
    "region": "Such as eu.",
}
_COUNT: Final = click.IntRange(min=0)
_WORDS: Final = {
    "input": "fresh input",
    "cache_read": "read from cache",
    "cache_write": "written to cache",
    "cache_write_1h": "written to cache for 1 h",
    "audio_in": "audio input",
    "cache_audio_read": "audio read from cache",
    "image_in": "image input",
    "audio_out": "audio output",
    "image_out": "image output",
    "compaction_in": "compaction input",
    "compaction_out": "compaction output",
    "web_search": "web searches",
    "audio_second": "seconds of audio",
    "image": "images",
}


def _usage_options(function: _Function) -> _Function:
    """Add one option for each count of a usage and each condition of a price."""
    for name, text in reversed(_CONTEXT.items()):
        add = click.option(_option(name), default="", metavar="TEXT", help=text)
        function = add(function)
    for name, text in reversed(_COUNTS.items()):
        add = click.option(_option(name), type=_COUNT, metavar="N", help=text)
        function = add(function)
    return function


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


class _Time(click.ParamType):  # type: ignore[type-arg] # generic in newer releases of click only
    """A date (its midnight) or a time, UTC."""

    name = "date"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        try:
            return value if isinstance(value, int) else moment(value)
        except ValueError:
            self.fail(f"expected a date such as 2026-08-17 or 2026-08-17T06:30Z, got {value!r}")


@click.command()
@click.option("--model", metavar="NAME", help="The model, in any spelling.")
@click.option(
    "--provider", default="", metavar="NAME", help="Told by the model's name if left out."
)
@click.option("--host", "address", default="", metavar="NAME", help="server.address of the call.")
@click.option(
    "--at", type=_Time(), metavar="DATE", help="When the call was made, UTC. Default: now."
)
@click.option("--pricing", type=click.Path(path_type=Path), default=SHIPPED, metavar="FILE",
              help="Your prices. Default: the shipped pricing.yaml.")  # fmt: skip
@click.option("--check", type=click.Path(path_type=Path), metavar="FILE",
              help="Check a pricing file: errors, and what looks wrong.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@_usage_options
@click.pass_context
def price(
    ctx: click.Context,
    /,
    model: str | None,
    provider: str,
    address: str,
    at: int | None,
    pricing: Path,
    check: Path | None,
    as_json: bool,
    **rest: Any,
) -> None:
    """Explain what a call of a model costs, line by line; or check a pricing file.

    otelcol-llm price --model gpt-4o --input 2006 --cache-read 1920 --output 300
    """
    now = time.time_ns()
    if check is not None:
        _check(read(check), str(check), now)
        return
    if model is None:
        raise click.UsageError("expected --model NAME, or --check FILE")
    at = now if at is None else at
    guessed = "" if provider or address else vendor_of_model(model) or ""
    identity = Identity(
        provider=clean(provider or guessed),
        request_model=clean(model),
        host=host(address),
        **{name: clean(rest.pop(name)) for name in _CONTEXT},
    )
    answer = _Answer(read(pricing).book, identity, _usage(rest), at)
    click.echo(json.dumps(answer.plain(), indent=2) if as_json else "", nl=as_json)
    if not as_json:
        answer.show(guessed=bool(guessed))
    if answer.atto is None:
        ctx.exit(1)


def _usage(counts: dict[str, int | None]) -> Usage:
    stated: dict[str, Any] = {name: n for name, n in counts.items() if n is not None}
    stated["counted"] = bool(stated.keys() & {"web_searches", "images"})
    usage = settle(Usage(**stated))
    if isinstance(usage, Usage):
        return usage
    reason = {"no_usage": "expected --input or --output, got neither"}
    raise click.UsageError(reason.get(usage, "the parts of the usage do not fit into its totals"))


class _Answer:
    """What a call costs and why."""

    def __init__(self, book: Book, identity: Identity, usage: Usage, at: int) -> None:
        self.book, self.identity, self.usage, self.at = book, identity, usage, at
        self.offer = book.resolve(identity, at)
        self.tariff: Tariff | None = None
        self.atto: int | None = None
        if isinstance(self.offer, Offer):
            self.tariff = self.offer.tariff(usage.total_input)
            self.atto = self.tariff.cost(usage)

    def plain(self) -> dict[str, Any]:
        """Return the answer as data."""
        if self.tariff is None or self.atto is None or isinstance(self.offer, Miss):
            return {"cost_usd": None, "reason": self.reason}
        lines = [
            {"what": line.leaf, "amount": str(line.amount), "usd": money.text(line.atto)}
            for line in self.tariff.lines(self.usage)
        ]
        facts = {
            name.replace(" ", "_"): text for name, text in self._facts(self.offer, self.tariff)
        }
        return {"cost_usd": money.text(self.atto), **facts, "lines": lines}

    @property
    def reason(self) -> str:
        """Why there is no price."""
        return self.offer.reason if isinstance(self.offer, Miss) else "no_rate"

    def show(self, *, guessed: bool) -> None:
        """Print the answer for people."""
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        console = Console(highlight=False)
        if self.tariff is None or self.atto is None or isinstance(self.offer, Miss):
            console.print(f"[bold]No price:[/] {escape(self._why())}", soft_wrap=True)
            return
        facts = Table(box=None, show_header=False, pad_edge=False)
        for name, text in self._facts(self.offer, self.tariff):
            told = " [dim](told by the model's name)[/]" if guessed and name == "provider" else ""
            facts.add_row(f"[dim]{name}[/]", escape(text) + told)
        bill = Table("", box=None, pad_edge=False, header_style="dim")
        for heading in ("amount", "USD per 1M", "USD"):
            bill.add_column(heading, justify="right")
        for line in self.tariff.lines(self.usage):
            bill.add_row(*_row(line))
        bill.add_row("[bold]total[/]", "", "", f"[bold]{money.text(self.atto)}[/]")
        console.print(facts, "", bill, sep="\n")

    def _facts(self, offer: Offer, tariff: Tariff) -> Iterator[tuple[str, str]]:
        yield "provider", offer.provider
        yield "model", offer.entry
        yield "found by", offer.match + ("" if offer.model in offer.entry else f" ({offer.model})")
        yield "source", f"{offer.source}, {offer.version}"
        yield "at", _moment(self.at)
        yield "in force since", offer.effective_from or "the first price that is known"
        if tariff.above >= 0:
            yield "tier", f"above {tariff.above:,} tokens of input"
        if offer.variant:
            yield "variant", offer.variant
        for why, factor in offer.factors:
            yield f"{why} factor", str(factor)
        if offer.unpriced:
            yield "not priced", f"{', '.join(offer.unpriced)}: the usual price is taken"

    def _why(self) -> str:
        if isinstance(self.offer, Offer):
            return f"no_rate. {self.offer.entry} has no rate for a kind of token that was used."
        name, provider = self.offer.model, self.offer.provider
        if self.offer.reason == "unknown_provider":
            return f"unknown_provider. Nothing tells who sells {name!r}; name it with --provider."
        if self.offer.reason == "no_rate":
            return f"no_rate. {name!r} of {provider} has no price at {_moment(self.at)}."
        known = self.book.base.providers.get(provider)
        ids = [model["id"] for model in known.models] if known else []
        near = get_close_matches(name, ids, n=3)
        hint = f" Near: {', '.join(near)}." if near else ""
        return f"unknown_model. {provider} has no model {name!r}.{hint}"


def _row(line: Line) -> tuple[str, str, str, str]:
    name = _WORDS.get(line.leaf, line.leaf)
    if line.leaf in FEES:
        return name, f"{line.amount:,}", f"{money.text(line.each)} each", money.text(line.atto)
    rate = money.text(line.each * 10**6)
    if line.rate != line.leaf:
        name += f" [dim](at the {line.rate} rate)[/]"
    return name, f"{line.amount:,}", rate, money.text(line.atto)


def _moment(at: int) -> str:
    text = datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{text.removesuffix(' 00:00:00')} UTC"


def _check(file: PricingFile, name: str, now: int) -> None:
    from collector.cli import render

    told: list[Problem] = sorted({*file.warnings, *file.doubts(now)})
    click.echo(render(told), nl=bool(told))
    items, rows = len(file.book.overlay.items), len(file.book.overlay.rows)
    doubts = f"{len(told)} to look at" if told else "nothing to look at"
    click.echo(f"{name}: {_count(items, 'model')}, {_count(rows, 'provider')}, {doubts}.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
