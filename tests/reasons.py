"""Every stable name that the service may give as a reason, collected from its source."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from backend.settings import ROOT

NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
FOLDERS = ("ai_engine", "backend")
REASON_COLUMNS = {"reason", "quarantine_reason", "exit_reason", "close_requested", "due", "failed", "no_model"}
TAKES_REASONS = {"refuse", "_hold", "Refused", "Exit"}
"""Functions whose text arguments are reasons."""
REASON_TABLES = {"REASONS", "RULES"}
"""Module-level tables whose keys, or whose entries, are reasons."""


def reasons() -> dict[str, set[str]]:
    """Each reason, and the files that may give it."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        for name in _of_file(path):
            found[name].add(path.relative_to(ROOT).as_posix())
    return dict(found)


def _of_file(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    constants = _constants(tree)
    for node in ast.walk(tree):
        for value in _values(node):
            yield from _texts(value, constants)
    if path.name == "policy.py":
        yield from constants.values()


def _constants(tree: ast.Module) -> dict[str, str]:
    """Texts that a module names at its top."""
    found: dict[str, str] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant | ast.Tuple):
            for target in statement.targets:
                found |= dict(_pairs(target, statement.value))
    return found


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, str]]:
    if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield target.id, value.value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, its in zip(target.elts, value.elts, strict=True):
            yield from _pairs(one, its)


def _values(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions within the node that are given as a reason."""
    if isinstance(node, ast.Call):
        yield from (word.value for word in node.keywords if word.arg in REASON_COLUMNS)
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in TAKES_REASONS:
            yield from node.args
        if name == "_answer":  # health's: a state and its reasons
            yield from (one for each in node.args if isinstance(each, ast.List) for one in each.elts)
        if name == "Counter":
            yield from (key for each in node.args if isinstance(each, ast.Dict) for key in each.keys if key)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value in REASON_COLUMNS and not isinstance(value, ast.Tuple):
                yield value
    elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = {ast.unparse(target).rpartition(".")[2] for target in targets}
        if names & REASON_COLUMNS:
            yield node.value
        if names & REASON_TABLES:
            yield from node.value.keys if isinstance(node.value, ast.Dict) else [node.value]  # type: ignore[misc]
    elif isinstance(node, ast.arguments):
        with_defaults = list(zip(node.kwonlyargs, node.kw_defaults, strict=True))
        positional = node.posonlyargs + node.args
        with_defaults += list(zip(positional[len(positional) - len(node.defaults) :], node.defaults, strict=True))
        yield from (default for one, default in with_defaults if one.arg in REASON_COLUMNS and default is not None)


def _texts(node: ast.expr | None, constants: dict[str, str]) -> Iterator[str]:
    """The texts that an expression may be: a constant, a named one, or one of several."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
        yield node.value
    elif isinstance(node, ast.Name) and node.id in constants:
        yield from (text for text in [constants[node.id]] if NAME.fullmatch(text))
    elif isinstance(node, ast.IfExp):
        yield from (*_texts(node.body, constants), *_texts(node.orelse, constants))
    elif isinstance(node, ast.Tuple | ast.List):
        for one in node.elts:
            yield from _texts(one, constants)
