"""More house rules: transactions, the environment, the clock, sizes, tests and committed text."""

import ast
import re
from collections.abc import Iterator

from tests.architecture import PRODUCT, Function, Module, Project

# --- One door for writes ---

DOOR = "backend/database.py"


def commits(project: Project) -> list[str]:
    """One file commits, so that an answer never promises what a failed commit took back."""
    return [
        module.at(call, f"only {DOOR} may commit or begin a session's transaction")
        for module in project.modules("backend")
        for call in module.calls
        if module.path != DOOR and isinstance(call.func, ast.Attribute) and _is_commit(call.func)
    ]


def _is_commit(function: ast.Attribute) -> bool:
    of = ast.unparse(function.value).lower()
    return function.attr == "commit" or (function.attr == "begin" and "session" in of)


# Whatever asks the network, fits, scores with a model or waits: a second inside a write transaction stops everybody.
SLOW = {"forecast", "check_canaries", "urlopen", "sleep", "getresponse", "fetch_ohlcv", "model_for", "shadows_for"}
SLOW_FUNCTIONS = {"ai_engine.pipeline.train", "ai_engine.artifact.load", "time.sleep", "subprocess.run"}


def slow_writes(project: Project) -> list[str]:
    """No network and no model call inside a write transaction: followed from each ``database.write(use_case)``."""
    found = []
    for module in project.modules("backend"):
        for call in module.calls:
            if isinstance(call.func, ast.Attribute) and call.func.attr == "write" and _is_database(call.func.value):
                use_case = _resolve(project, module, call.args[0]) if call.args else None
                if use_case is not None:
                    reached = _slow_calls(project, *use_case, set())
                    found += [module.at(call, f"the write of {use_case[1].name} reaches {slow}") for slow in reached]
    return found


def _is_database(node: ast.expr) -> bool:
    return ast.unparse(node).removeprefix("self.").split(".")[-1].lstrip("_") == "database"


def _resolve(project: Project, module: Module, node: ast.expr) -> tuple[Module, Function] | None:
    """The project's function that an expression names, where that can be told without running anything."""
    dotted = ast.unparse(node).removeprefix("self.")
    own = next((one for one in module.functions if one.name == dotted), None)
    if own is not None:
        return module, own
    first, _, rest = dotted.partition(".")
    for statement, imported in module.imports():
        if first in _bound_names(statement, imported):
            full = f"{imported}.{rest}" if rest else imported
            target, name = project.module_of(full), full.rpartition(".")[2]
            known = next((one for one in target.functions if one.name == name), None) if target else None
            if target is not None and known is not None:
                return target, known
    return None


def _bound_names(statement: ast.stmt, imported: str) -> set[str]:
    assert isinstance(statement, ast.Import | ast.ImportFrom)
    name = imported.rpartition(".")[2]
    return {alias.asname or alias.name for alias in statement.names if alias.name.rpartition(".")[2] == name}


def _slow_calls(project: Project, module: Module, function: Function, seen: set[tuple[str, str]]) -> Iterator[str]:
    if (module.name, function.name) in seen:
        return
    seen.add((module.name, function.name))
    for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        if isinstance(call.func, ast.Attribute) and call.func.attr in SLOW:
            yield f"{name} ({module.path}:{call.lineno})"
        target = _resolve(project, module, call.func)
        if target is not None:
            if f"{target[0].name}.{target[1].name}" in SLOW_FUNCTIONS:
                yield f"{name} ({module.path}:{call.lineno})"
            yield from _slow_calls(project, *target, seen)


# --- What is passed as an argument ---

# The trainer hands the environment on to its child, without the settings.
READS_ENVIRONMENT = {"backend/settings.py", "backend/system.py", "backend/learning/versions/children.py"}
TELLS_TIME = {"backend/clock.py"}
ASSEMBLES = ("backend/main.py", "backend/scheduler.py", "backend/cli/", "backend/migrations.py", "backend/database.py")
ASSEMBLED = {"Database", "Serving", "ArtifactStore", "SubprocessTrainer", "create_engine", "open_engine"}


def environment_readers(project: Project) -> list[str]:
    """Only the settings look at the environment."""
    return [
        module.at(node, "only the settings read the environment")
        for module in project.modules(*PRODUCT)
        if module.path not in READS_ENVIRONMENT
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in ("os.environ", "os.getenv", "environb")
    ]


def clock_readers(project: Project) -> list[str]:
    """The time is an argument: nothing but the clock asks the system for it."""
    asks = re.compile(r"(datetime|date)\.(now|utcnow|today)|time\.(time|time_ns)|datetime\.datetime\.\w*now")
    return [
        module.at(call, f"{ast.unparse(call.func)} asks for the time instead of being told")
        for module in project.modules(*PRODUCT)
        if module.path not in TELLS_TIME
        for call in module.calls
        if asks.fullmatch(ast.unparse(call.func))
    ]


def assemblers(project: Project) -> list[str]:
    """Only the entrances assemble objects; all else receives what it needs."""
    return [
        module.at(call, f"{ast.unparse(call.func)} is assembled here")
        for module in project.modules("backend")
        if not module.path.startswith(ASSEMBLES)
        for call in module.calls
        if ast.unparse(call.func).rpartition(".")[2] in ASSEMBLED
    ]


# --- Sizes ---

FILE_LINES, FUNCTION_LINES, PARAMETERS, METHODS = 300, 40, 6, 12


def budgets(project: Project) -> list[str]:
    """A file of 300 lines, a function of 40, 6 parameters, a class of 12 methods; docstrings are not counted."""
    found = []
    for module in project.modules():
        lines = len(module.text.splitlines()) - sum(map(_docstring_lines, _documented(module.tree)))
        if lines > FILE_LINES:
            found.append(f"{module.path}: {lines} lines")
        found += [module.at(function, size) for function in module.functions for size in _too_big(function)]
        classes = [node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]
        methods = {node: sum(isinstance(child, Function) for child in node.body) for node in classes}
        found += [module.at(node, f"{node.name}: {n} methods") for node, n in methods.items() if n > METHODS]
    return found


Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _documented(tree: ast.Module) -> list[Documented]:
    return [node for node in ast.walk(tree) if isinstance(node, Documented)]


def _docstring_lines(node: Documented) -> int:
    if ast.get_docstring(node) is None:
        return 0
    first = node.body[0]
    return (first.end_lineno or first.lineno) - first.lineno + 1


def _too_big(function: Function) -> Iterator[str]:
    length = (function.end_lineno or function.lineno) - function.lineno + 1
    inner = [node for node in ast.walk(function) if isinstance(node, Documented)]
    length -= sum(map(_docstring_lines, inner))
    if length > FUNCTION_LINES:
        yield f"{function.name}: {length} lines"
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    count = len(names) - (names[:1] in (["self"], ["cls"]))
    if count > PARAMETERS:
        yield f"{function.name}: {count} parameters"


def too_few_tests(project: Project) -> list[str]:
    """The tests have at least as many lines as what they test."""
    sizes = {name: sum(len(one.text.splitlines()) for one in project.modules(name)) for name in (*PRODUCT, "tests")}
    source = sum(sizes[name] for name in PRODUCT)
    return [f"{sizes['tests']} lines of tests for {source} lines of source"] if sizes["tests"] < source else []


# --- Tests and text ---


def empty_tests(project: Project) -> list[str]:
    """A test that asserts nothing passes whatever happens."""
    found = []
    functions = [function for module in project.modules("tests") for function in module.functions]
    helpers = {
        function.name for function in functions if _asserts(function, set()) and not function.name.startswith("test_")
    }
    for module in project.modules("tests"):
        for function in module.functions:
            if function.name.startswith("test_") and not _asserts(function, helpers):
                found.append(module.at(function, f"{function.name} asserts nothing"))
    return found


def _asserts(function: Function, helpers: set[str]) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in {"raises", "fail", "warns", "testmod"} | helpers or name.startswith(("assert_", "check_")):
                return True
    return False


def library_hidden(project: Project) -> list[str]:
    """``alembic/`` never gets an ``__init__.py``: it would hide the library of that name."""
    hiding = (project.root / folder / "__init__.py" for folder in ("alembic", "alembic/versions"))
    return [
        f"{path.relative_to(project.root).as_posix()} hides the alembic library" for path in hiding if path.exists()
    ]


def _joined(*words: str) -> list[str]:
    """Words written in two halves, so that this file itself does not hold them."""
    return [word.replace("|", "") for word in words]


HOSTS = _joined("py|pi.org", "python|hosted.org", "registry.npm|js", "proxy.go|lang.org", "crates|.io", "arti|factory")
PLACES = _joined("/wo|rk/", "/ro|ot/", "/tmp/p|lan", "file:///o|pt", "--index|-url", "extra-index|-url")
LEFTOVERS = _joined("TO|DO", "FIX|ME", "XX|X:")


def foreign_text(project: Project) -> list[str]:
    """The committed text names no package registry, no private machine's places, and leaves no note to do later."""
    found = []
    for path, text in project.texts():
        for number, line in enumerate(text.splitlines(), start=1):
            found += [f"{path}:{number}: names {word}" for word in (*HOSTS, *PLACES) if word in line]
            found += [f"{path}:{number}: {word}" for word in LEFTOVERS if re.search(rf"\b{word}", line)]
    return found
