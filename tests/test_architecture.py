"""The house rules that a reader relies on: who may import whom, and that the core touches nothing outside itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
CORE = sorted((REPOSITORY / "processors").rglob("*.py"))
SHELL = sorted((REPOSITORY / "collector").rglob("*.py"))

FORBIDDEN_IN_THE_CORE = {
    "asyncio", "collector", "grpc", "http", "httpx", "logging", "multiprocessing", "os", "pathlib", "queue", "random",
    "select", "signal", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib",
}  # fmt: skip


def imports(path: Path) -> set[str]:
    """Return the top-level packages a module imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}"
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_the_core_touches_nothing_outside_itself(path: Path) -> None:
    assert imports(path) & FORBIDDEN_IN_THE_CORE == set()


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_the_core_opens_no_files(path: Path) -> None:
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert calls & {"open", "print", "input", "exec", "eval"} == set()


def test_only_the_command_line_exits() -> None:
    exits = {
        str(path.relative_to(REPOSITORY))
        for path in (*CORE, *SHELL)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.exit", "os._exit")
    }
    assert {
        name for name in exits if not name.startswith(("collector/cli.py", "collector/commands/"))
    } == set()
