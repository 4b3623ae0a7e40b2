"""``qt token``: the token alone on standard output, and a new one without locking anybody out."""

import stat
from pathlib import Path
from typing import Any

import pytest

from backend.cli.token import replace_token
from backend.env_file import read

OLD = "the-old-token-0123456789"


def test_the_token_alone_is_printed(qt: Any, environ: dict[str, str]) -> None:
    answer = qt("token")

    assert answer.out == environ["QT_ADMIN_TOKEN"] + "\n"
    assert answer.err == ""
    assert qt("token", "--json").json == {"token": environ["QT_ADMIN_TOKEN"]}


def test_a_new_token_keeps_the_old_one_as_the_previous(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(f"# mine\nQT_ADMIN_TOKEN={OLD}\nQT_PORT=9000\n")

    new = replace_token(file)

    assert read(file) == {"QT_ADMIN_TOKEN": new, "QT_PORT": "9000", "QT_ADMIN_TOKEN_PREVIOUS": OLD}
    assert file.read_text().startswith("# mine\n")
    assert len(new) >= 32


def test_each_new_token_is_another_one(tmp_path: Path) -> None:
    made = {replace_token(tmp_path / ".env") for _ in range(20)}

    assert len(made) == 20
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) in (0o600, 0o666)


@pytest.mark.parametrize("weak", ["", "live-admin-token", "short"])
def test_a_token_that_is_refused_is_not_kept(tmp_path: Path, weak: str) -> None:
    file = tmp_path / ".env"
    file.write_text(f"QT_ADMIN_TOKEN={weak}\n")

    new = replace_token(file)

    assert read(file) == {"QT_ADMIN_TOKEN": new}


def test_the_way_on_from_a_printed_token_works(project: Path, qt_there: Any) -> None:
    (project / ".env").write_text("QT_ADMIN_TOKEN=live-admin-token\n")

    refused = qt_there("token")
    made = qt_there("token", "--new")
    shown = qt_there("token")

    assert (refused.code, refused.out) == (1, "")
    assert "qt token --new" in refused.err
    assert "live-admin-token" not in refused.err
    assert (made.code, shown.code) == (0, 0)
    assert made.out == shown.out
    assert "at its next start" in made.err


def test_a_new_token_behind_one_in_the_environment_says_so(project: Path, qt_there: Any) -> None:
    answer = qt_there("token", "--new", QT_ADMIN_TOKEN=OLD)

    assert "the environment goes before it" in answer.err
    assert read(project / ".env")["QT_ADMIN_TOKEN"] == answer.out.strip()
