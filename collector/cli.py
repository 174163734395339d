"""The command line: runs the collector, and everything around running it. Only this module exits.

Exit codes: 0 fine, 1 runtime failure, 2 configuration or usage.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from signal import SIGHUP, SIGINT, SIGTERM
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

from collector import commands
from collector.defaults import EMBEDDED
from collector.errors import CollectorError, ConfigError, Problem
from processors.errors import InvalidConfig

if TYPE_CHECKING:
    from collector.config.model import GraphConfig

_Words: TypeAlias = tuple[str, ...]
_Asked: TypeAlias = tuple[_Words, _Words, _Words]
_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Commands(click.Group):
    """The commands of this module and those of `collector.commands`: each a module with a command of its name.

    They are imported when they are called, so that the collector starts without them.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = {module.name for module in pkgutil.iter_modules(commands.__path__)}
        return sorted({*super().list_commands(ctx), *names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = super().get_command(ctx, cmd_name)
        if known is not None or cmd_name not in self.list_commands(ctx):
            return known
        module = importlib.import_module(f"{commands.__name__}.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command


def _config_options(function: _Function) -> _Function:
    """Add the options that say which configuration is meant."""
    options = [
        click.option(
            "--config",
            "configs",
            multiple=True,
            metavar="FILE",
            help="File, or yaml:… or env:NAME. Again: merged over those before. None: the embedded default.",
        ),
        click.option(
            "--set",
            "sets",
            multiple=True,
            metavar="KEY=VALUE",
            help="Set one value: processors.batch.timeout=2s.",
        ),
        click.option(
            "--feature-gates",
            "gates",
            multiple=True,
            metavar="ID,-ID",
            help="Turn gates on and off.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="otelcol-llm", prog_name="otelcol-llm")
@_config_options
@click.pass_context
def cli(ctx: click.Context, configs: _Words, sets: _Words, gates: _Words) -> None:
    """OpenTelemetry Collector for LLM applications. Without a command: run."""
    if ctx.invoked_subcommand is None:
        ctx.exit(_run(configs, sets, gates))
    ctx.obj = (configs, sets, gates)


def _run(configs: _Words, sets: _Words, gates: _Words) -> int:
    from collector.signals import Signals
    from collector.tuning import poll_where_calls_are_served, put_off_garbage_collection

    # First of all: until then SIGHUP ends the process, and as process 1 of a container it never hears SIGTERM.
    signals = Signals(SIGTERM, SIGINT, SIGHUP)
    put_off_garbage_collection()
    poll_where_calls_are_served()  # before the imports below: grpc looks once
    from collector import app, logs
    from collector.config.load import load
    from collector.own_key import own_key

    secret = own_key() if _is_embedded(configs) else None
    again = partial(load, configs or [str(EMBEDDED)], sets, gates, secret=secret)
    loaded = again()
    telemetry = loaded.config.telemetry
    logs.set_up(telemetry.log_level, telemetry.log_encoding)
    for warning in loaded.warnings:
        logs.warn(warning.text, path=warning.path, place=warning.place)
    try:
        return app.run(loaded, again, signals, secret)
    except InvalidConfig as error:
        raise ConfigError([loaded.problem(error)]) from error


def _is_embedded(configs: _Words) -> bool:
    """Say whether the shipped default is run, alone or as the base of more."""
    return not configs or configs[0] == str(EMBEDDED)


@cli.command()
@_config_options
@click.option(
    "--contrib", is_flag=True, help="Also list what the OpenTelemetry Collector would refuse."
)
@click.pass_obj
def validate(before: _Asked, configs: _Words, sets: _Words, gates: _Words, contrib: bool) -> None:
    """Print everything that is wrong with a configuration."""
    from collector.config.build import try_pure
    from collector.config.contrib import beyond_contrib
    from collector.config.load import load

    configs = (*before[0], *configs) or (str(EMBEDDED),)
    secret = (
        bytes(32) if _is_embedded(configs) else None
    )  # stands for the key that a run would have
    loaded = load(configs, (*before[1], *sets), (*before[2], *gates), secret=secret)
    try_pure(loaded, secret)
    told = [*loaded.warnings, *(beyond_contrib(loaded.document) if contrib else ())]
    click.echo(render(told), nl=bool(told))
    for line in _redaction_modes(loaded.config):
        click.echo(line)
    click.echo(f"The configuration is valid: {_count(loaded.config.pipelines, 'pipeline')}.")


def _redaction_modes(config: GraphConfig) -> Iterator[str]:
    """Yield which of its two modes each redaction component is in: the keys decide, so it is easily mistaken."""
    from collector.config.model import component_type
    from processors.redaction import ours

    for name, settings in sorted(config.components["processors"].items()):
        if component_type(name) == "redaction":
            mode = (
                "ours: entities are found everywhere text can be"
                if ours(settings)
                else "contrib: only contrib's keys are written, so the results are contrib's"
            )
            yield f"processors.{name} is in the mode {mode}."


@cli.command(name="components")
def show_components() -> None:
    """List every component type with the signals it works on."""
    from rich.console import Console
    from rich.table import Table

    from collector.config.parts import KINDS
    from collector.registry import components
    from processors.batch import Signal

    table = Table(box=None, pad_edge=False)
    for heading in ("kind", "type", "signals", "also called"):
        table.add_column(heading)
    for kind in KINDS:
        types = {component.type: component for component in components(kind).values()}
        for name, component in sorted(types.items()):
            signals = ", ".join(s.label for s in Signal if s in component.signals)
            emits = ", ".join(s.label for s in Signal if s in component.emits)
            ways = f"{signals} → {emits}" if emits not in ("", signals) else signals
            table.add_row(
                kind, name, "" if kind == "extensions" else ways, ", ".join(component.aliases)
            )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


@cli.command()
@click.argument("component", required=False)
def schema(component: str | None) -> None:
    """Print the JSON Schema of COMPONENT (a type, or kind/type), or of a whole configuration."""
    from collector.config.whole import schema_named, whole_schema

    try:
        found = whole_schema() if component is None else schema_named(component)
    except LookupError as error:
        raise click.UsageError(str(error)) from error
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


def render(problems: Iterable[Problem]) -> str:
    """Write problems for people and editors: place and path, then the sentence."""
    rows = sorted(problems)
    width = max((len(row.place) for row in rows), default=0) + 3
    return "\n".join(
        f"{row.place:{width}}{row.path}".rstrip()
        + f"\n    {'warning: ' if row.warning else ''}{row.text}"
        for row in rows
    )


def _count(items: Iterable[object], noun: str) -> str:
    number = len(list(items))
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _summary(problems: Sequence[Problem]) -> str:
    warnings = [problem for problem in problems if problem.warning]
    told = _count(problems[len(warnings) :], "problem")
    return f"{told}, {_count(warnings, 'warning')}" if warnings else told


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, or these arguments, and exit."""
    try:
        sys.exit(cli.main(arguments, prog_name="otelcol-llm", standalone_mode=False) or 0)
    except ConfigError as error:
        click.echo(f"{render(error.problems)}\n{_summary(error.problems)}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(1)
    except CollectorError as error:
        click.echo(f"otelcol-llm: {error}", err=True)
        sys.exit(1)
