"""The house rules as functions over the syntax tree: each takes a project and names every place that breaks it."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

SOURCES = ("ai_engine", "backend", "scripts", "benchmarks", "examples")
PRODUCT = ("ai_engine", "backend")
NOT_OURS = {"__pycache__", "node_modules", "build", "dist", "var", "data", "models"}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Rule = Callable[["Project"], list[str]]


@dataclass(frozen=True)
class Module:
    """One source file: where it is, what it is called when imported, and its syntax tree."""

    path: str
    name: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text, self.path)

    @cached_property
    def functions(self) -> list[Function]:
        """Every function and method."""
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @cached_property
    def calls(self) -> list[ast.Call]:
        """Every call."""
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]

    def imports(self) -> Iterator[tuple[ast.stmt, str]]:
        """Each import with the full name of what it names: ``from a.b import c`` is ``a.b.c``."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                module = "." * node.level + (node.module or "")
                yield from ((node, f"{module}.{alias.name}") for alias in node.names)

    def at(self, node: ast.stmt | ast.expr, what: str) -> str:
        """A finding in this file."""
        return f"{self.path}:{node.lineno}: {what}"


class Project:
    """The source files below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def modules(self, *folders: str) -> list[Module]:
        """The Python files of these folders (all of them where none is named)."""
        return [module for folder in folders or SOURCES for module in self._loaded if _within(module.path, folder)]

    @cached_property
    def _loaded(self) -> list[Module]:
        return [
            _module(self.root, path) for folder in (*SOURCES, "tests") for path in _python_files(self.root / folder)
        ]

    @cached_property
    def names(self) -> dict[str, Module]:
        """The product's modules by the name they are imported under."""
        return {module.name: module for module in self.modules(*PRODUCT)}

    def module_of(self, imported: str) -> Module | None:
        """The product's module that an imported name is, or is a part of."""
        return self.names.get(imported) or self.names.get(imported.rpartition(".")[0])

    def texts(self) -> Iterator[tuple[str, str]]:
        """Every text file that belongs to the project, with its content."""
        for path in sorted(self._files(self.root)):
            content = path.read_bytes()
            if b"\0" not in content:
                yield path.relative_to(self.root).as_posix(), content.decode("utf-8", "replace")

    def _files(self, folder: Path) -> Iterator[Path]:
        for path in folder.iterdir():
            name = path.name
            if path.is_dir():
                hidden = name.startswith(".") and name not in (".ci", ".github")
                if not (hidden or name.endswith(".egg-info") or name in NOT_OURS - {"models"} or _artifacts(path)):
                    yield from self._files(path)
            elif name not in (".env", ".git") and not name.endswith((".db", ".db-wal", ".db-shm", ".pyc")):
                yield path


def _artifacts(path: Path) -> bool:
    return path.name == "models" and path.parent.name == "ai_engine"


def _within(path: str, folder: str) -> bool:
    return path == f"{folder}.py" or path.startswith(f"{folder}/")


def _python_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def _module(root: Path, path: Path) -> Module:
    relative = path.relative_to(root)
    name = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
    return Module(relative.as_posix(), name, path.read_text(encoding="utf-8"))


# --- Who may know whom ---

WEB = {"fastapi", "starlette", "uvicorn"}
NETWORK = {"httpx", "httpx2", "requests", "urllib.request", "urllib3", "http.client", "ccxt", "apprise", "aiohttp"}
TERMINAL = {"typer", "rich"}
SCHEDULING = {"apscheduler"}

FORBIDDEN: dict[str, set[str]] = {
    "ai_engine": WEB | NETWORK | TERMINAL | SCHEDULING
    | {"backend", "sqlalchemy", "alembic", "os", "pathlib", "time", "subprocess", "socket", "threading", "tempfile",
       "shutil", "logging", "structlog", "pydantic"},
    "backend/models": WEB | NETWORK | TERMINAL | SCHEDULING | {"os", "pathlib"},
    "backend/operations": WEB | TERMINAL | SCHEDULING,
    "backend/market": WEB | TERMINAL | SCHEDULING,
    "backend/learning": WEB | NETWORK | TERMINAL | SCHEDULING | {"alembic"},
    "backend/trading": WEB | NETWORK | TERMINAL | SCHEDULING | {"alembic"},
    "backend/api": NETWORK | TERMINAL | SCHEDULING | {"alembic"},
    "backend/cli": SCHEDULING,
}  # fmt: skip

GROUND = {"settings", "setting_values", "env_file", "database", "errors", "clock", "crontab", "system", "migrations"}
STORE = {"market.candles"}
# The live counters move in the transaction that moves the outcome, so the lowest domain writes them.
ALLOWED: dict[str, set[str]] = {
    **{f"backend/{name}.py": GROUND for name in GROUND},
    "backend/migrations.py": GROUND | {"models"},
    "backend/models": {"models"},
    "backend/operations": GROUND | {"models", "operations"},
    "backend/market": GROUND | {"models", "operations", "market"},
    "backend/learning/decisions": GROUND | STORE | {"models", "operations", "learning.decisions"},
    "backend/learning/versions": GROUND | STORE | {"models", "operations", "learning.decisions", "learning.versions"},
    "backend/learning/evidence": GROUND | STORE | {"models", "operations", "learning"},
    "backend/trading": GROUND | {"models", "operations", "market", "learning", "trading"},
    "backend/api": GROUND | {"models", "operations", "market", "learning", "trading", "api", "logs"},
    "backend/scheduler.py": GROUND | {"models", "operations", "market", "learning", "trading"},
}


def forbidden_imports(project: Project) -> list[str]:
    """A floor knows nothing of the web, the network or the terminal that it is not made for."""
    return [
        module.at(node, f"{folder} must not import {imported}")
        for folder, forbidden in FORBIDDEN.items()
        for module in project.modules(folder)
        for node, imported in module.imports()
        if any(imported == name or imported.startswith(f"{name}.") for name in forbidden)
    ]


def upward_imports(project: Project) -> list[str]:
    """Arrows go down only."""
    found = []
    for folder, allowed in ALLOWED.items():
        for module in project.modules(folder.removesuffix(".py")):
            for node, imported in module.imports():
                inner = imported.removeprefix("backend.")
                known = any(inner == name or inner.startswith(f"{name}.") for name in allowed)
                if imported.startswith("backend.") and not known:
                    found.append(module.at(node, f"{folder} must not know {imported}"))
    return found


def relative_imports(project: Project) -> list[str]:
    """Imports are absolute."""
    found = (module.at(node, "relative import") for module, node, name in _all_imports(project) if name.startswith("."))
    return list(found)


def _all_imports(project: Project) -> Iterator[tuple[Module, ast.stmt, str]]:
    for module in project.modules():
        for node, name in module.imports():
            yield module, node, name


HEAVY = {
    "xgboost", "sklearn", "pandas", "scipy", "talib", "alembic", "ccxt", "apprise", "joblib", "httpx2", "aiohttp",
}  # fmt: skip


def hidden_imports(project: Project) -> list[str]:
    """No import inside a function: it is a cycle in hiding. Heavy packages on first use are the exception."""
    found = []
    for module in project.modules(*PRODUCT):
        for function in module.functions:
            inside = [node for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)]
            names = {node: node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in inside}
            found += [
                module.at(node, f"{function.name} imports {name}")
                for node, name in names.items()
                if (name or "").partition(".")[0] not in HEAVY
            ]
    return found


def cycles(project: Project) -> list[str]:
    """No module imports, by whatever way round, itself."""
    graph = {name: sorted(_imported_modules(project, module)) for name, module in project.names.items()}
    found, finished = [], set[str]()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            found.append(" -> ".join((*trail[trail.index(name) :], name)))
        elif name not in finished:
            for imported in graph[name]:
                visit(imported, (*trail, name))
            finished.add(name)

    for name in graph:
        visit(name, ())
    return found


def _imported_modules(project: Project, module: Module) -> set[str]:
    found = {target.name for _, imported in module.imports() if (target := project.module_of(imported))}
    return found - {module.name}
