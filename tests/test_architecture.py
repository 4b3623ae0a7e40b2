"""The house rules hold; and each rule, shown a tree that breaks it, says where."""

from pathlib import Path

import pytest

from backend.settings import ROOT
from tests import architecture, architecture_rules
from tests.architecture import Project, Rule

RULES: tuple[Rule, ...] = (
    architecture.forbidden_imports,
    architecture.upward_imports,
    architecture.relative_imports,
    architecture.hidden_imports,
    architecture.cycles,
    architecture_rules.commits,
    architecture_rules.slow_writes,
    architecture_rules.environment_readers,
    architecture_rules.clock_readers,
    architecture_rules.assemblers,
    architecture_rules.budgets,
    architecture_rules.too_few_tests,
    architecture_rules.empty_tests,
    architecture_rules.library_hidden,
    architecture_rules.foreign_text,
)

CLEAN = {
    "ai_engine/__init__.py": "",
    "ai_engine/labels.py": '"""Labels."""\n\nimport numpy as np\n\n\ndef fit() -> None:\n    import xgboost\n',
    "ai_engine/pipeline.py": "def train() -> None: ...\n",
    "backend/__init__.py": "",
    "backend/settings.py": "import os\n\nHOME = os.environ\n",
    "backend/database.py": "def write(session):\n    with session.begin():\n        session.commit()\n",
    "backend/models/__init__.py": "",
    "backend/learning/record.py": "from backend.models import x\n\n\ndef record(session): ...\n",
    "backend/learning/versions/serve.py": "from ai_engine import labels\n",
    "backend/api/decisions.py": (
        "from backend.learning.record import record\n\n\ndef post(service):\n    service.database.write(record)\n"
    ),
    "tests/test_labels.py": "def test_it():\n    assert True\n" + "\n" * 100,
    "README.md": "A project.\n",
}

MANY_PARAMETERS = ", ".join(f"p{number}" for number in range(7))
LONG_DOCSTRING = '"""Title.\n' + "\n" * 100 + '"""\n'

# Rule, the file that is planted, its content.
PLANTED = [
    ("forbidden_imports", "ai_engine/bad.py", "import os\n"),
    ("forbidden_imports", "ai_engine/bad.py", "from sqlalchemy.orm import Session\n"),
    ("forbidden_imports", "ai_engine/bad.py", "from backend.clock import utc_now\n"),
    ("forbidden_imports", "backend/learning/bad.py", "from fastapi import Request\n"),
    ("forbidden_imports", "backend/learning/versions/bad.py", "def f():\n    import httpx2\n"),
    ("forbidden_imports", "backend/trading/bad.py", "import urllib.request\n"),
    ("upward_imports", "backend/clock.py", "from backend.learning.record import record\n"),
    ("upward_imports", "backend/database.py", "from backend.models import Base\n"),
    ("upward_imports", "backend/models/bad.py", "from backend.learning.record import record\n"),
    ("upward_imports", "backend/operations/bad.py", "from backend.market.candles import append\n"),
    ("upward_imports", "backend/market/bad.py", "from backend import trading\n"),
    ("upward_imports", "backend/learning/decisions/bad.py", "from backend.learning.versions import serve\n"),
    ("upward_imports", "backend/learning/decisions/bad.py", "from backend.market.simulated import SimulatedMarket\n"),
    ("upward_imports", "backend/learning/versions/bad.py", "from backend.learning.evidence import status\n"),
    ("upward_imports", "backend/trading/bad.py", "from backend.api import deps\n"),
    ("upward_imports", "backend/api/bad.py", "from backend.cli.main import main\n"),
    ("upward_imports", "backend/scheduler.py", "from backend.api.deps import AppContext\n"),
    ("relative_imports", "backend/bad.py", "from . import settings\n"),
    ("hidden_imports", "backend/bad.py", "def f():\n    from backend import settings\n"),
    ("hidden_imports", "ai_engine/bad.py", "class A:\n    def f(self):\n        import json\n"),
    ("cycles", "ai_engine/bad.py", "from ai_engine import worse\n"),
    ("commits", "backend/bad.py", "def f(session):\n    session.commit()\n"),
    ("commits", "backend/bad.py", "def f(self):\n    with self.session.begin():\n        pass\n"),
    (
        "slow_writes",
        "backend/bad.py",
        "def g(s, model):\n    model.forecast(1)\n\n\ndef f(database):\n    database.write(g)\n",
    ),
    (
        "slow_writes",
        "backend/bad.py",
        "from ai_engine import pipeline\n\n\ndef h():\n    pipeline.train()\n\n\ndef g(s):\n    h()\n\n\n"
        "def f(self):\n    self._database.write(g)\n",
    ),
    (
        "slow_writes",
        "backend/bad.py",
        "from backend.worse import g as use_case\n\n\ndef f(self):\n    self.service.database.write(use_case, 1)\n",
    ),
    ("environment_readers", "backend/bad.py", "import os\n\nHOME = os.environ['HOME']\n"),
    ("environment_readers", "ai_engine/bad.py", "import os\n\nHOME = os.getenv('HOME')\n"),
    ("clock_readers", "backend/learning/bad.py", "from datetime import datetime\n\nNOW = datetime.now()\n"),
    ("clock_readers", "ai_engine/bad.py", "import time\n\nNOW = time.time()\n"),
    ("assemblers", "backend/learning/bad.py", "def f(url):\n    return Database(url)\n"),
    ("budgets", "backend/bad.py", "x = 1\n" * 301),
    ("budgets", "scripts/bad.py", "def f():\n" + "    x = 1\n" * 40),
    ("budgets", "backend/bad.py", f"def f({MANY_PARAMETERS}): ...\n"),
    ("budgets", "backend/bad.py", "class A:\n" + "".join(f"    def m{n}(self): ...\n" for n in range(13))),
    ("too_few_tests", "backend/bad.py", "x = 1\n" * 200),
    ("empty_tests", "tests/test_bad.py", "def test_nothing():\n    print('fine')\n"),
    ("library_hidden", "alembic/__init__.py", ""),
    ("foreign_text", "README.md", "See https://py" + "pi.org/project/x\n"),
    ("foreign_text", "docs/guide.md", "It lies in /wo" + "rk/main.\n"),
    ("foreign_text", "backend/bad.py", "# TO" + "DO: later\n"),
]

WORSE = {
    "ai_engine/worse.py": "from ai_engine import bad\n",
    "backend/worse.py": "import time\n\n\ndef g(session, n):\n    time.sleep(n)\n",
}

# What looks like a breach and is none.
FINE = [
    ("forbidden_imports", "ai_engine/fine.py", "import os_like\nfrom datetime import datetime\n"),
    ("upward_imports", "backend/learning/decisions/fine.py", "from backend.market.candles import open_at\n"),
    ("upward_imports", "backend/learning/evidence/fine.py", "from backend.learning.versions import serve\n"),
    ("upward_imports", "backend/cli/fine.py", "from backend.main import create_app\n"),
    ("hidden_imports", "ai_engine/fine.py", "def f():\n    import pandas as pd\n"),
    ("cycles", "backend/learning/fine.py", "from backend.learning import record\nfrom backend.models import y\n"),
    ("commits", "backend/fine.py", "def f(session, connection):\n    session.begin_nested()\n    connection.begin()\n"),
    ("slow_writes", "backend/fine.py", "def g(s, m):\n    m.forecast(1)\n\n\ndef f(database):\n    database.read(g)\n"),
    ("clock_readers", "backend/fine.py", "import time\n\nBEGAN = time.monotonic()\n"),
    ("assemblers", "backend/cli/fine.py", "def f(url):\n    return Database(url)\n"),
    ("budgets", "backend/fine.py", LONG_DOCSTRING + "x = 1\n" * 290),
    ("budgets", "backend/fine.py", "def f():\n    " + LONG_DOCSTRING.replace("\n", "\n    ") + "\n    return 1\n"),
    ("budgets", "backend/fine.py", "class A:\n    def f(self, a, b, c, d, e, f): ...\n"),
    ("empty_tests", "tests/test_fine.py", "def holds():\n    assert 1\n\n\ndef test_it():\n    holds()\n"),
    ("foreign_text", ".env", "TOKEN=/wo" + "rk/\n"),
]


def plant(folder: Path, files: dict[str, str]) -> Project:
    """A project of these files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Project(folder)


def rule_named(name: str) -> Rule:
    """The rule of that name."""
    return next(rule for rule in RULES if rule.__name__ == name)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def project() -> Project:
    """This project."""
    return Project(ROOT)


@pytest.mark.parametrize("rule", RULES)
def test_the_house_keeps_the_rule(project: Project, rule: Rule) -> None:
    assert rule(project) == []


@pytest.mark.parametrize("rule", RULES)
def test_a_clean_house_breaks_no_rule(tmp_path: Path, rule: Rule) -> None:
    assert rule(plant(tmp_path, CLEAN)) == []


@pytest.mark.parametrize(("name", "path", "text"), PLANTED)
def test_a_planted_breach_is_found_where_it_is(tmp_path: Path, name: str, path: str, text: str) -> None:
    found = rule_named(name)(plant(tmp_path, CLEAN | WORSE | {path: text}))

    assert found
    stem = path.removesuffix(".py").replace("/", ".")
    whole_house = name == "too_few_tests"
    assert whole_house or any(path in finding or stem in finding for finding in found)


@pytest.mark.parametrize(("name", "path", "text"), FINE)
def test_what_is_no_breach_is_let_be(tmp_path: Path, name: str, path: str, text: str) -> None:
    assert rule_named(name)(plant(tmp_path, CLEAN | {path: text})) == []


def test_every_rule_was_seen_to_fail() -> None:
    assert {name for name, _, _ in PLANTED} == {rule.__name__ for rule in RULES}  # type: ignore[attr-defined]


def test_the_table_of_floors_names_folders_that_exist() -> None:
    for path in (*architecture.FORBIDDEN, *architecture.ALLOWED):
        assert (ROOT / path).exists(), path
