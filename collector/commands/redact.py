"""`otelcol-llm redact`: shows what the redaction processor makes of a text."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any, TextIO

import click

from collector.defaults import CONFIGS
from collector.errors import ConfigError, Problem
from processors.errors import InvalidConfig
from processors.redaction.cleaner import Cleaner, Receipt
from processors.redaction.detectors import DEFAULT, ENTITIES
from processors.redaction.overlaps import Match

_KEY = b"otelcol-llm redact shows, it keeps nothing"


@click.command()
@click.argument(
    "file", type=click.File("r", encoding="utf-8", errors="surrogateescape"), default="-"
)
@click.option(
    "--config",
    metavar="FILE",
    help="Settings of the processor, or a configuration that holds them.",
)
@click.option("--key", default="", help="Attribute key the text stands under.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.option(
    "--jsonl", is_flag=True, help='Answer lines {"id", "text"} with lines {"id", "spans"}.'
)
@click.option("--list", "show_list", is_flag=True, help="List the entities that are known.")
def redact(
    file: TextIO, config: str | None, key: str, as_json: bool, jsonl: bool, show_list: bool
) -> None:
    """Show a text before and after redaction, with what was found."""
    if show_list:
        _print_entities()
        return
    cleaner = _cleaner(config)
    if jsonl:
        _answer_lines(cleaner, file)
        return
    text = file.read()
    raw = text.encode("utf-8", "surrogateescape")
    found = cleaner.matches(raw, None, key)
    clean = cleaner.clean(raw, None, key, "attributes", Receipt())
    after = (raw if clean is None else clean).decode("utf-8", "replace")
    if as_json:
        click.echo(json.dumps({"text": after, "spans": spans(raw, found)}, ensure_ascii=False))
    else:
        _show(raw, found, after, key)


def _answer_lines(cleaner: Cleaner, lines: Iterable[str]) -> None:
    """Answer what can be answered. Ends with exit code 1 when a line was no request; its content is not repeated."""
    bad = 0
    for number, line in enumerate(lines, 1):
        answer = _answer(cleaner, line)
        if answer is None:
            bad += 1
            click.echo(f'line {number}: expected an object {{"id": ..., "text": "..."}}', err=True)
        else:
            click.echo(answer)
    if bad:
        sys.exit(1)


def _answer(cleaner: Cleaner, line: str) -> str | None:
    """Return what is found in the text of one line, by character; None when it holds none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        return None
    text = row["text"].encode("utf-8", "surrogatepass")
    return json.dumps({"id": row.get("id"), "spans": spans(text, cleaner.matches(text))})


def spans(text: bytes, found: Iterable[Match]) -> list[dict[str, Any]]:
    """Return matches by character instead of by byte."""
    rows = []
    at = characters = 0
    for match in found:
        start = characters + _characters(text[at : match.start])
        characters = start + _characters(text[match.start : match.end])
        at = match.end
        row = {"start": start, "end": characters, "type": match.entity, "confidence": match.score}
        rows.append(row)
    return rows


def _characters(piece: bytes) -> int:
    """Count characters: bytes that do not continue one."""
    return sum(byte & 0xC0 != 0x80 for byte in piece)


def _cleaner(config: str | None) -> Cleaner:
    """Build the cleaner of a configuration, of the shipped settings when there is none."""
    from collector.config.settings import resolve
    from collector.registry import schema_of
    from processors.ports import Context
    from processors.redaction import build
    from processors.redaction.entities import EntityRedaction

    settings = resolve(schema_of("processors/redaction/schema.json"), _settings(config))
    try:
        processor = build(settings, Context(id="redaction", secret=_KEY))
    except InvalidConfig as error:
        file = config or str(CONFIGS / "redaction.yaml")
        raise ConfigError([Problem(file, 0, 0, error.path, error.text)]) from error
    if not isinstance(processor, EntityRedaction):
        raise click.UsageError(
            "expected settings with a key of ours (such as `entities`), got contrib's keys alone"
        )
    return processor.rules.cleaner


def _settings(config: str | None) -> dict[str, Any]:
    """Read the processor's settings from its own file, or from a whole configuration."""
    import yaml

    from collector.config.load import load

    path = config or str(CONFIGS / "redaction.yaml")
    with open(path, encoding="utf-8") as file:
        document = yaml.safe_load(file) or {}
    if "service" in document:
        processors = load([path]).config.components.get("processors", {})
        named = [name for name in processors if name.partition("/")[0] == "redaction"]
        if not named:
            raise click.UsageError(f"expected a processor `redaction` in {path}, got none")
        return dict(processors[named[0]])
    if "hash_keys" in document:  # what is shown does not depend on the user's key
        del document["hash_keys"]
        document.setdefault("dry_run", False)  # still a key of ours
    return dict(document)


def _show(raw: bytes, found: list[Match], after: str, key: str) -> None:
    """Print before, after and a table, in colour on a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    before = Text()
    at = 0
    for match in found:
        before.append(raw[at : match.start].decode("utf-8", "replace"))
        before.append(raw[match.start : match.end].decode("utf-8", "replace"), style="bold red")
        at = match.end
    before.append(raw[at:].decode("utf-8", "replace"))
    console.print(Text("before", style="dim"), before, sep="\n")
    console.print(Text("after", style="dim"), Text(after), sep="\n")
    table = Table("entity", "confidence", "place", "characters", box=None, header_style="dim")
    for row in spans(raw, found):
        place = key or "text"
        table.add_row(
            row["type"], f"{row['confidence']:.2f}", place, f"{row['start']}-{row['end']}"
        )
    console.print(table if found else Text("Nothing was found.", style="dim"))


def _print_entities() -> None:
    for entity in ENTITIES.values():
        mark = "default" if entity.name in DEFAULT else "opt-in"
        click.echo(f"{entity.name:20} {mark:8} {entity.about}")
