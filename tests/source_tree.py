"""Reads the project's own source, for the tests that hold it to its rules."""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("certs", "profiles", "mdmserver")


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One source file."""

    path: Path
    name: str
    source: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """The part that rules are made for: certs, profiles, or the first name below mdmserver."""
        top, _, rest = self.name.partition(".")
        return rest.partition(".")[0] if top == "mdmserver" else top

    @property
    def is_init(self) -> bool:
        return self.path.name == "__init__.py"

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the three packages."""
    return tuple(_module(path) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))


@cache
def modules_of_tests() -> tuple[Module, ...]:
    """Every module below tests."""
    return tuple(_module(path) for path in sorted((ROOT / "tests").rglob("*.py")))


def _module(path: Path) -> Module:
    source = path.read_text()
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(path=path, name=name, source=source, tree=ast.parse(source))


def calls(module: Module) -> Iterator[ast.Call]:
    """Every call in a module."""
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.Call))


def name_of(node: ast.expr) -> str:
    """A dotted name as it is written; empty for anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            return f"{name_of(value)}.{attribute}"
    return ""


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every comment."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
