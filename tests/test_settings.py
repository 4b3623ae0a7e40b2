"""Settings: what is read, from where, what is resolved, and how each mistake is answered."""

import dataclasses
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend import env_file as env_files
from backend.logs import Redactor
from backend.main import create_app
from backend.setting_values import secrets_of
from backend.settings import ENV_FILE, ROOT, Settings, SettingsError, database_url_in_force, load_settings

TOKEN = "a-good-token-of-some-length"

# Names that the Qt toolkit, CMake and desktop environments use.
TOOLKIT_NAMES = [
    "QT_ACCESSIBILITY",
    "QT_IM_MODULE",
    "QT_IM_MODULES",
    "QT_SCALE_FACTOR",
    "QT_QPA_PLATFORM",
    "QT_QPA_PLATFORMTHEME",
    "QT_STYLE_OVERRIDE",
    "QT_DEBUG_PLUGINS",
    "QT_LOGGING_RULES",
    "QT_LOGGING_CONF",
    "QT_PLUGIN_PATH",
    "QT_API",
    "QT_FONT_DPI",
    "QT_XCB_GL_INTEGRATION",
    "QT_SELECT",
    "QT_SCREEN_SCALE_FACTORS",
    "QT_AUTO_SCREEN_SCALE_FACTOR",
    "QT_ENABLE_HIGHDPI_SCALING",
    "QT_QUICK_BACKEND",
    "QT_QUICK_CONTROLS_STYLE",
    "QT_VERSION",
    "QT_DIR",
    "QT_ROOT",
    "QT_HOST_PATH",
    "QT_HASH_SEED",
    "QT_MESSAGE_PATTERN",
    "QT_NO_GLIB",
    "QT_OPENGL",
    "QT_WAYLAND_DISABLE_WINDOWDECORATION",
    "QT_LINUX_ACCESSIBILITY_ALWAYS_ON",
    "QT_MEDIA_BACKEND",
    "QT_GRAPHICSSYSTEM",
    "QT_X11_NO_MITSHM",
    "QT_ASSUME_STDERR_HAS_CONSOLE",
    "QT_BEARER_POLL_TIMEOUT",
    "QT_DEVICE_PIXEL_RATIO",
    "QT_FILESYSTEMMODEL_WATCH_FILES",
    "QT_VIRTUALKEYBOARD_STYLE",
    "QT_INSTALL_PREFIX",
]


def load(**given: str) -> Settings:
    """Settings of a process whose environment holds the admin token and ``given`` (without the prefix)."""
    return load_settings(environ={"QT_ADMIN_TOKEN": TOKEN} | {f"QT_{name}": value for name, value in given.items()})


def refusal(**given: str) -> str:
    """The sentence with which settings are refused."""
    with pytest.raises(SettingsError) as caught:
        load(**given)
    return str(caught.value)


def names() -> list[str]:
    """Every setting's name, from the class alone."""
    return [f"QT_{field.name.upper()}" for field in dataclasses.fields(Settings) if field.name != "root"]


def test_defaults_are_those_of_the_contract() -> None:
    settings = load()

    assert settings.admin_token.get_secret_value() == TOKEN
    assert settings.admin_token_previous is None
    assert settings.trader_token is None
    assert settings.metrics_token is None
    shown = settings.in_force()
    assert shown == {
        "host": "127.0.0.1",
        "port": 8000,
        "allowed_hosts": ["127.0.0.1", "localhost", "[::1]"],
        "model_dir": str(ROOT / "ai_engine" / "models"),
        "ai_retraining_enabled": True,
        "ai_retrain_schedule": "0 3 * * *",
        "ai_retrain_min_samples": 100,
        "ai_retrain_min_new": None,
        "ai_retrain_window_days": 30,
        "activation_gate": "warn",
        "market": "simulated",
        "market_files": None,
        "market_speed": 20.0,
        "strategy": "simulated",
        "exchange_url": None,
        "symbols": ["BTCUSDC", "ETHUSDC", "SOLUSDC"],
        "timeframe": "5m",
        "horizon_candles": 12,
        "sides": "long,short",
        "enable_ai_trading": True,
        "enable_execution": True,
        "paper_trading": True,
        "min_confidence": 0.51,
        "require_edge": False,
        "fee_rate": 0.001,
        "slippage_bps": 2.0,
        "exploration_rate": 0.02,
        "auto_rollback": False,
        "log_format": "text",
    }
    assert settings.database_url == f"sqlite:///{(ROOT / 'backend' / 'quantum_trader.db').as_posix()}"
    assert settings.notify_urls == ()
    assert settings.webhook_url is None
    assert settings.webhook_secret is None
    assert settings.cost == pytest.approx(0.0024)
    assert settings.timeframe_ms == 300_000


@pytest.mark.parametrize(
    ("market", "strategy", "speed", "sides", "require_edge"),
    [
        ("simulated", "simulated", 20.0, "long,short", False),
        ("replay", "replay", 0.0, "long,short", False),
        ("off", "default", 0.0, "long,short", False),
        ("binance", "default", 0.0, "long", True),
        ("Kraken", "default", 0.0, "long", True),
        ("binanceusdm", "default", 0.0, "long,short", True),
    ],
)
def test_what_is_not_given_follows_from_the_market(
    market: str, strategy: str, speed: float, sides: str, require_edge: bool
) -> None:
    settings = load(MARKET=market, MARKET_FILES="candles/*.csv")

    found = (settings.market, settings.strategy, settings.market_speed, settings.sides, settings.require_edge)
    assert found == (market.lower(), strategy, speed, sides, require_edge)


def test_what_is_given_goes_before_what_follows_from_the_market() -> None:
    settings = load(MARKET="binance", STRATEGY="mine", MARKET_SPEED="3", SIDES="short, long", REQUIRE_EDGE="off")

    assert settings.strategy == "mine"
    assert settings.market_speed == 3.0
    assert settings.sides == "long,short"
    assert settings.require_edge is False


def test_zero_given_is_not_taken_for_nothing_given() -> None:
    settings = load(MARKET_SPEED="0", AI_RETRAIN_MIN_NEW="0", MIN_CONFIDENCE="0", FEE_RATE="0", SLIPPAGE_BPS="0")

    assert (settings.market_speed, settings.ai_retrain_min_new, settings.min_confidence) == (0.0, 0, 0.0)
    assert settings.cost == 0.0


def test_empty_means_the_default() -> None:
    assert dataclasses.replace(load(MARKET="", PORT=" ", NOTIFY_URLS="", SIDES="")) == load()


@pytest.mark.parametrize("word", ["1", "true", "TRUE", "on", "On", "yes", "YES"])
def test_words_that_switch_on(word: str) -> None:
    assert load(AUTO_ROLLBACK=word).auto_rollback is True


@pytest.mark.parametrize("word", ["0", "false", "False", "off", "OFF", "no", "No"])
def test_words_that_switch_off(word: str) -> None:
    assert load(AI_RETRAINING_ENABLED=word).ai_retraining_enabled is False


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SYMBOLS", "btc/usdt, ETHUSDT ,BTCUSDT", ("BTCUSDT", "ETHUSDT")),
        ("ALLOWED_HOSTS", "trader.example.org, localhost", ("trader.example.org", "localhost")),
        ("NOTIFY_URLS", "mailto://a, json://b", ("mailto://a", "json://b")),
        ("AI_RETRAIN_SCHEDULE", "every 5m", "every 5m"),
        ("AI_RETRAIN_SCHEDULE", "0 6,18 * * *", "0 6,18 * * *"),
        ("AI_RETRAIN_SCHEDULE", "0 2 * * sun", "0 2 * * sun"),
        ("ACTIVATION_GATE", "Strict", "strict"),
        ("LOG_FORMAT", "json", "json"),
        ("HORIZON_CANDLES", "1", 1),
        ("TIMEFRAME", "1m", "1m"),
        ("STRATEGY", "trend_1", "trend_1"),
        ("EXCHANGE_URL", "http://127.0.0.1:9000/api", "http://127.0.0.1:9000/api"),
    ],
)
def test_values_are_read(name: str, value: str, expected: object) -> None:
    assert getattr(load(**{name: value}), name.lower()) == expected


def test_the_host_one_listens_on_is_allowed() -> None:
    assert load(HOST="trader.local").allowed_hosts == ("127.0.0.1", "localhost", "[::1]", "trader.local")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "8000.0"),
        ("PORT", "eight"),
        ("PORT", "10" * 30),
        ("HOST", "not a host"),
        ("AI_RETRAINING_ENABLED", "maybe"),
        ("PAPER_TRADING", "2"),
        ("AI_RETRAIN_SCHEDULE", "at night"),
        ("AI_RETRAIN_SCHEDULE", "0 3 * *"),
        ("AI_RETRAIN_SCHEDULE", "every 0h"),
        ("AI_RETRAIN_MIN_SAMPLES", "0"),
        ("AI_RETRAIN_MIN_SAMPLES", "1000001"),
        ("AI_RETRAIN_MIN_NEW", "-1"),
        ("AI_RETRAIN_WINDOW_DAYS", "0"),
        ("ACTIVATION_GATE", "loose"),
        ("MARKET", "my market"),
        ("MARKET", "simulate"),
        ("MARKET_SPEED", "-1"),
        ("MARKET_SPEED", "inf"),
        ("STRATEGY", "Trend One"),
        ("STRATEGY", "a" * 65),
        ("EXCHANGE_URL", "api.binance.com"),
        ("SYMBOLS", ","),
        ("SYMBOLS", "BTC USDT"),
        ("TIMEFRAME", "5"),
        ("TIMEFRAME", "7m"),
        ("TIMEFRAME", "2d"),
        ("HORIZON_CANDLES", "0"),
        ("SIDES", "short"),
        ("SIDES", "both"),
        ("MIN_CONFIDENCE", "1.01"),
        ("MIN_CONFIDENCE", "nan"),
        ("FEE_RATE", "-0.001"),
        ("FEE_RATE", "0,001"),
        ("SLIPPAGE_BPS", "many"),
        ("EXPLORATION_RATE", "2"),
        ("WEBHOOK_URL", "ftp://example.org"),
        ("DATABASE_URL", "mysql://root@localhost/db"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_value_is_answered_with_one_sentence_that_names_the_setting(name: str, value: str) -> None:
    sentence = refusal(**{name: value})

    assert f"QT_{name}" in sentence
    assert "\n" not in sentence
    assert sentence.endswith((".", "?"))


def test_real_trading_is_refused() -> None:
    assert "only paper trading exists" in refusal(PAPER_TRADING="0")
    assert load(PAPER_TRADING="true").paper_trading is True


def test_replay_without_files_is_refused() -> None:
    assert "QT_MARKET_FILES" in refusal(MARKET="replay")


def test_a_webhook_without_a_secret_is_refused() -> None:
    assert "QT_WEBHOOK_SECRET" in refusal(WEBHOOK_URL="https://example.org/hook")
    assert load(WEBHOOK_URL="https://example.org/hook", WEBHOOK_SECRET="s").webhook_secret is not None


@pytest.mark.parametrize(
    "token",
    [
        "live-admin-token",
        "LIVE-ADMIN-TOKEN",
        "Live-Admin-Token",
        "Change-Me-To-A-Random-Token",
        "tiny-one",
        "fifteen-letters",
        "has a space in it, sadly",
        "ærlig-talt-et-token",
    ],
)
def test_a_weak_admin_token_is_refused_with_the_way_on_and_without_being_repeated(token: str) -> None:
    with pytest.raises(SettingsError, match="qt token --new") as caught:
        load_settings(environ={"QT_ADMIN_TOKEN": token})

    assert "QT_ADMIN_TOKEN" in str(caught.value)
    assert token not in str(caught.value)


@pytest.mark.parametrize(("environ", "state"), [({}, "is not set"), ({"QT_ADMIN_TOKEN": " "}, "is empty")])
def test_no_admin_token_is_refused_with_the_way_on(environ: dict[str, str], state: str) -> None:
    with pytest.raises(SettingsError, match=f"QT_ADMIN_TOKEN {state}.*qt token --new"):
        load_settings(environ=environ)


@pytest.mark.parametrize("name", ["ADMIN_TOKEN_PREVIOUS", "TRADER_TOKEN", "METRICS_TOKEN"])
def test_every_other_token_must_be_strong_too(name: str) -> None:
    assert f"QT_{name}" in refusal(**{name: "live-admin-token"})
    assert f"QT_{name}" in refusal(**{name: "weak"})


@pytest.mark.parametrize(
    ("given", "blamed"),
    [
        ({"TRADER_TOKEN": TOKEN}, "QT_TRADER_TOKEN"),
        ({"METRICS_TOKEN": TOKEN}, "QT_METRICS_TOKEN"),
        ({"TRADER_TOKEN": "the-same-token-twice", "METRICS_TOKEN": "the-same-token-twice"}, "QT_METRICS_TOKEN"),
        (
            {"TRADER_TOKEN": "the-one-that-was-before", "ADMIN_TOKEN_PREVIOUS": "the-one-that-was-before"},
            "QT_TRADER_TOKEN",
        ),
    ],
)
def test_a_token_that_would_carry_anothers_rights_is_refused(given: dict[str, str], blamed: str) -> None:
    sentence = refusal(**given)

    assert blamed in sentence
    assert not any(token in sentence for token in given.values())


def test_what_needs_no_token_does_not_look_at_tokens() -> None:
    settings = load_settings(environ={"QT_TRADER_TOKEN": "weak", "QT_PORT": "9000"}, require_token=False)

    assert settings.port == 9000
    assert settings.admin_token.get_secret_value() == ""
    assert settings.trader_token is None


@given(secret=st.from_regex(r"[!-~]{16,40}", fullmatch=True))
def test_a_secret_is_never_shown(secret: str) -> None:
    given = {"WEBHOOK_SECRET": secret}
    addresses = {"WEBHOOK_URL": f"https://user:{secret}@h/x", "NOTIFY_URLS": f"json://{secret}"}
    database = {"DATABASE_URL": f"postgresql+psycopg://u:{secret}@h/n"}
    environ = {f"QT_{name}": value for name, value in (given | addresses | database).items()}
    environ["QT_ADMIN_TOKEN"] = f"token-{secret}"

    settings = load_settings(environ=environ)

    assert secret not in repr(settings)
    assert secret not in repr(settings.in_force())


@pytest.mark.parametrize("name", TOOLKIT_NAMES)
def test_names_of_other_programs_in_the_environment_are_left_alone(name: str) -> None:
    assert load_settings(environ={"QT_ADMIN_TOKEN": TOKEN, name: "1"}) == load()


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("QT_AI_RETRAINNG_ENABLED", "QT_AI_RETRAINING_ENABLED"),
        ("QT_MARKETS", "QT_MARKET"),
        ("QT_PROT", "QT_PORT"),
        ("QT_ADMINTOKEN", "QT_ADMIN_TOKEN"),
        ("QT_RETRAIN_SCHEDULE", "QT_AI_RETRAIN_SCHEDULE"),
        ("QT_MIN_CONFIDENSE", "QT_MIN_CONFIDENCE"),
        ("QT_SYMBOL", "QT_SYMBOLS"),
        ("QT_Market", "QT_MARKET"),
    ],
)
def test_a_near_miss_in_the_environment_is_refused_with_what_was_meant(wrong: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=rf"{wrong} in the environment; did you mean {meant}\?"):
        load_settings(environ={"QT_ADMIN_TOKEN": TOKEN, wrong: "1"})


@given(name=st.sampled_from(names()), data=st.data())
def test_any_one_letter_dropped_from_a_long_name_is_noticed(name: str, data: Any) -> None:
    position = data.draw(st.integers(3, len(name) - 1))
    wrong = name[:position] + name[position + 1 :]

    if wrong not in names():
        with pytest.raises(SettingsError, match="did you mean"):
            load_settings(environ={"QT_ADMIN_TOKEN": TOKEN, wrong: "1"})


@pytest.mark.parametrize("name", ["QT_MARKTE", "QT_SOMETHING_ELSE", "QT_ACCESSIBILITY", "qt_port"])
def test_every_unknown_name_in_the_file_is_refused_with_the_nearest(tmp_path: Path, name: str) -> None:
    file = tmp_path / ".env"
    file.write_text(f"QT_ADMIN_TOKEN={TOKEN}\n{name}=a-secret-value\n")

    with pytest.raises(SettingsError, match=rf"{name} in .env; did you mean QT_[A-Z_]+\?") as caught:
        load_settings(environ={}, env_file=file)

    assert "a-secret-value" not in str(caught.value)


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(f"# comment\nQT_ADMIN_TOKEN={TOKEN}\nQT_PORT=9001\nQT_HOST=10.0.0.1\nPOSTGRES_PASSWORD=x\n")

    settings = load_settings(environ={"QT_PORT": "9002"}, env_file=file)

    assert (settings.port, settings.host) == (9002, "10.0.0.1")


def test_the_file_may_be_absent(tmp_path: Path) -> None:
    assert load_settings(environ={"QT_ADMIN_TOKEN": TOKEN}, env_file=tmp_path / ".env") == load()


@pytest.mark.parametrize(
    "content", [b"QT_PORT 9000\n", b"\xff\xfeQ\x00T\x00", b"=secret-value\n", b"two words=secret-value\n"]
)
def test_a_file_that_cannot_be_read_is_refused_without_repeating_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / ".env"
    file.write_bytes(content)

    with pytest.raises(SettingsError, match=r"\.env") as caught:
        load_settings(environ={"QT_ADMIN_TOKEN": TOKEN}, env_file=file)

    assert "secret-value" not in str(caught.value)
    assert "9000" not in str(caught.value)


@pytest.mark.parametrize(
    "line", ["QT_HOST='127.0.0.1", 'QT_HOST="127.0.0.1', "QT_HOST='", 'QT_HOST="secret-value # no']
)
def test_a_quote_that_is_never_closed_is_refused_by_its_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / ".env"
    file.write_text(f"# a comment\n\n{line}\nQT_PORT=9000\n")

    with pytest.raises(SettingsError, match=r"^\.env, line 3: .*quote.*\.$") as caught:
        load_settings(environ={"QT_ADMIN_TOKEN": TOKEN}, env_file=file)

    assert "secret-value" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=''", ""),
        ("NAME=it's", "it's"),
        ("NAME=plain", "plain"),
        ("export NAME=plain", "plain"),
        ("  NAME = spaced  ", "spaced"),
        ("NAME='0 3 * * *'", "0 3 * * *"),
        ('NAME="a # b" # comment', "a # b"),
        ("NAME=0 3 * * * # nightly", "0 3 * * *"),
        ("NAME=a#b", "a#b"),
        ("NAME=", ""),
        ("NAME= # nothing", ""),
        ("NAME=a=b", "a=b"),
        ("\ufeffNAME=with a byte order mark", "with a byte order mark"),
    ],
)
def test_lines_of_the_file(tmp_path: Path, line: str, value: str) -> None:
    file = tmp_path / ".env"
    file.write_text(line + "\n", encoding="utf-8")

    assert env_files.read(file) == {"NAME": value}


def test_assigning_keeps_every_other_line(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# mine\nexport A=1\n\nB=2 # two\nA=3\n")

    env_files.assign(file, {"A": "new", "C": "more"})

    assert file.read_text() == "# mine\nA=new\n\nB=2 # two\nC=more\n"
    assert os.name == "nt" or file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sqlite:///var/mine.db", f"sqlite:///{ROOT.as_posix()}/var/mine.db"),
        ("sqlite:////tmp/mine.db", "sqlite:////tmp/mine.db"),
        ("sqlite:///a.db?timeout=5", f"sqlite:///{ROOT.as_posix()}/a.db?timeout=5"),
        ("postgresql+psycopg://u:p@h:5432/n", "postgresql+psycopg://u:p@h:5432/n"),
        ("postgresql://u:p@h/n", "postgresql+psycopg://u:p@h/n"),
    ],
)
def test_the_database_url_is_made_absolute(given: str, expected: str) -> None:
    assert load(DATABASE_URL=given).database_url == expected


def test_a_refused_database_url_is_not_repeated() -> None:
    assert "hunter2" not in refusal(DATABASE_URL="mysql://root:hunter2@localhost/db")


def test_relative_paths_start_at_the_root_wherever_the_command_is_started(tmp_path: Path) -> None:
    program = (
        "from backend.settings import *; "
        "s = load_settings({'QT_ADMIN_TOKEN': 'x' * 20, 'QT_MODEL_DIR': 'm', 'QT_MARKET_FILES': 'c/*.csv'}); "
        "print(s.model_dir, s.market_files, s.database_url, sep='|')"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("QT_")}

    answer = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )

    expected = [str(ROOT / "m"), str(ROOT / "c" / "*.csv"), f"sqlite:///{ROOT.as_posix()}/backend/quantum_trader.db"]
    assert answer.stdout.strip().split("|") == expected


def test_the_database_url_alone_needs_nothing_else_to_be_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_ADMIN_TOKEN", "live-admin-token")
    monkeypatch.setenv("QT_PORT", "none")
    monkeypatch.setenv("QT_DATABASE_URL", "sqlite:////tmp/other.db")

    assert database_url_in_force() == "sqlite:////tmp/other.db"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load().port = 1  # type: ignore[misc]


def test_the_example_lists_every_setting_once_with_its_default() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")

    listed = re.findall(r"^# (QT_[A-Z_]+)=(.*)$", text, re.MULTILINE)

    assert [name for name, _ in listed] == names()
    defaults = {
        f"QT_{field.name.upper()}": field.metadata.get("default") or "" for field in dataclasses.fields(Settings)
    }
    assert dict(listed) == {name: defaults[name] for name in names()}


def test_each_setting_of_the_example_stands_under_its_meaning() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    self_evident = {"QT_HOST", "QT_PORT", "QT_SYMBOLS", "QT_HORIZON_CANDLES", "QT_SLIPPAGE_BPS", "QT_WEBHOOK_SECRET"}

    for above, line in itertools.pairwise(lines):
        if (match := re.match(r"# (QT_[A-Z_]+)=", line)) and match[1] not in self_evident:
            assert re.match(r"# (?!QT_).{10}", above), match[1]


def test_the_example_works_as_it_is_with_every_line_uncommented(tmp_path: Path) -> None:
    text = re.sub(r"^# (QT_)", r"\1", (ROOT / ".env.example").read_text(encoding="utf-8"), flags=re.MULTILINE)
    file = tmp_path / ".env"
    file.write_text(text.replace("QT_ADMIN_TOKEN=\n", f"QT_ADMIN_TOKEN={TOKEN}\n"), encoding="utf-8")

    assert load_settings(environ={}, env_file=file) == load()


def test_the_projects_own_file_is_not_committed() -> None:
    assert ENV_FILE == ROOT / ".env"
    assert ".env" in (ROOT / ".gitignore").read_text().split()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
        ("http://[::1]:9000", "http://[::1]:9000"),
        ("http://[broken", "http://[broken"),
        ("https://user:hunter2secret@proxy.example:8443", "https://***@proxy.example:8443"),
        ("https://us@er:hunter2secret@proxy.example", "https://***@proxy.example"),
        ("https://proxy.example?key=hunter2secret", "https://proxy.example/***"),
        ("https://proxy.example/hunter2secret/api/v3", "https://proxy.example/***"),
    ],
)
def test_the_address_of_an_exchange_is_shown_without_what_may_be_secret_in_it(url: str, shown: str) -> None:
    settings = load(EXCHANGE_URL=url)

    assert settings.exchange_url == url
    assert settings.in_force()["exchange_url"] == shown
    assert "hunter2secret" not in repr(settings)
    assert "hunter2secret" not in str(settings.in_force())


@given(st.text("abc:%40@é!", min_size=8, max_size=20))
def test_no_word_of_an_address_s_user_leaves_with_a_line_of_the_log(user: str) -> None:
    url = f"https://{user}@proxy.example"
    redactor = Redactor(secrets_of(url))

    assert redactor.text(f"GET {url}/api/v3/time failed") == "GET ***/api/v3/time failed"
    assert user not in redactor.text(f"the user {user} was refused")


def test_a_plain_address_is_no_secret_and_a_short_word_is_hidden_only_where_it_stands() -> None:
    assert secrets_of("http://127.0.0.1:9000") == []
    redactor = Redactor(secrets_of("http://a:b@proxy.example/?key=1"))

    assert redactor.text("a b 1 a:b key=1") == "a b 1 *** ***"


def test_what_the_exchange_s_address_holds_is_hidden_in_every_answer_of_the_service() -> None:
    app = create_app(load(EXCHANGE_URL="https://user:hunter2secret@proxy.example"))

    assert "hunter2secret" not in app.state.redactor.text("it answered hunter2secret to user:hunter2secret")
