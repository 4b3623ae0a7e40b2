"""The settings: one frozen object, read once and passed on. Nothing else looks at the environment."""

import dataclasses
import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from ai_engine.candles import timeframe_ms
from ai_engine.labels import round_trip_cost
from backend import env_file as env_files
from backend import setting_values as values
from backend.env_file import SettingsError
from backend.setting_values import Reader

__all__ = [
    "ENV_FILE",
    "PREFIX",
    "ROOT",
    "Settings",
    "SettingsError",
    "admin_token_in_environment",
    "database_url_in_force",
    "load_settings",
]

ROOT = Path(__file__).resolve().parents[1]
ENV_FILE = ROOT / ".env"
PREFIX = "QT_"
OWN_MARKETS = ("simulated", "replay")
# Exchanges of ccxt that have derivatives only; on every other one a position is long, unless QT_SIDES says more.
DERIVATIVES_ONLY = frozenset(
    {
        *("apex", "binancecoinm", "binanceusdm", "blofin", "bydfi", "dydx", "extended", "grvt", "hibachi"),
        *("krakenfutures", "kucoinfutures", "modetrade", "mudrex", "paradex", "polymarket", "woofipro"),
    }
)
DAY_MS = 86_400_000
NEAR_MISS = 0.8


def _setting(default: str | None, reader: Reader, *, shown: bool = True) -> Any:
    return dataclasses.field(repr=shown, metadata={"default": default, "reader": reader, "shown": shown})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, checked and resolved; what each means stands in ``.env.example``."""

    root: Path
    admin_token: SecretStr = _setting(None, values.token, shown=False)
    admin_token_previous: SecretStr | None = _setting(None, values.token, shown=False)
    trader_token: SecretStr | None = _setting(None, values.token, shown=False)
    metrics_token: SecretStr | None = _setting(None, values.token, shown=False)
    host: str = _setting("127.0.0.1", values.matching(r"[A-Za-z0-9.:_-]+", "a host name or address"))
    port: int = _setting("8000", values.integer(1, 65535))
    allowed_hosts: tuple[str, ...] = _setting(None, values.items)
    database_url: str = _setting("sqlite:///backend/quantum_trader.db", values.text, shown=False)
    model_dir: Path = _setting("ai_engine/models", values.text)
    ai_retraining_enabled: bool = _setting("1", values.flag)
    ai_retrain_schedule: str = _setting("0 3 * * *", values.schedule)
    ai_retrain_min_samples: int = _setting("100", values.integer(1, 1_000_000))
    ai_retrain_min_new: int | None = _setting(None, values.integer(0, 1_000_000))
    ai_retrain_window_days: int = _setting("30", values.integer(1, 36_500))
    activation_gate: str = _setting("warn", values.choice("warn", "strict"))
    market: str = _setting("simulated", values.market)
    market_files: str | None = _setting(None, values.text)
    market_speed: float = _setting(None, values.number(0, 1_000_000))
    strategy: str = _setting(None, values.matching(r"[a-z0-9][a-z0-9_-]{0,63}", "a name of a-z, 0-9, _ and -"))
    exchange_url: str | None = _setting(None, values.web_address, shown=False)
    symbols: tuple[str, ...] = _setting("BTCUSDC,ETHUSDC,SOLUSDC", values.symbols)
    timeframe: str = _setting("5m", values.text)
    horizon_candles: int = _setting("12", values.integer(1, 10_000))
    sides: str = _setting(None, values.sides)
    enable_ai_trading: bool = _setting("1", values.flag)
    enable_execution: bool = _setting("1", values.flag)
    paper_trading: bool = _setting("1", values.flag)
    min_confidence: float = _setting("0.51", values.number(0, 1))
    require_edge: bool = _setting(None, values.flag)
    fee_rate: float = _setting("0.001", values.number(0, 1))
    slippage_bps: float = _setting("2", values.number(0, 1_000))
    exploration_rate: float = _setting("0.02", values.number(0, 1))
    notify_urls: tuple[str, ...] = _setting("", values.items, shown=False)
    webhook_url: str | None = _setting(None, values.web_address, shown=False)
    webhook_secret: SecretStr | None = _setting(None, values.secret, shown=False)
    auto_rollback: bool = _setting("0", values.flag)
    log_format: str = _setting("text", values.choice("text", "json"))

    @property
    def cost(self) -> float:
        """The round trip's cost as a fraction of the entry notional: fee and slippage on both legs."""
        return round_trip_cost(self.fee_rate, self.slippage_bps)

    @property
    def timeframe_ms(self) -> int:
        """One candle in milliseconds."""
        return timeframe_ms(self.timeframe)

    def in_force(self) -> dict[str, Any]:
        """What may be shown to whoever may read the status: JSON-safe, without any secret or address of one."""
        shown = {field.name: getattr(self, field.name) for field in _FIELDS.values() if field.metadata["shown"]}
        shown["exchange_url"] = self.exchange_url and values.origin(self.exchange_url)
        return {name: _plain(value) for name, value in shown.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


_FIELDS = {PREFIX + field.name.upper(): field for field in dataclasses.fields(Settings) if field.metadata}
_TOKENS = ("QT_ADMIN_TOKEN", "QT_ADMIN_TOKEN_PREVIOUS", "QT_TRADER_TOKEN", "QT_METRICS_TOKEN")


def load_settings(
    environ: Mapping[str, str] | None = None, env_file: Path | None = None, require_token: bool = True
) -> Settings:
    """Read, check and resolve every setting: the environment first, then ``env_file``.

    Without ``environ`` the process's environment and the project's ``.env`` count; with it, only what is given.
    """
    given = _given(environ, env_file)
    if not require_token:
        given = {name: value for name, value in given.items() if name not in _TOKENS}
    elif not given.get("QT_ADMIN_TOKEN"):
        state = "is empty" if "QT_ADMIN_TOKEN" in given else "is not set"
        raise SettingsError(
            f"QT_ADMIN_TOKEN {state}, and without it nobody could be let in. Make one with: qt token --new"
        )
    read = {field.name: _read(name, given.get(name) or None) for name, field in _FIELDS.items()}
    settings = Settings(root=ROOT, **_resolved(read))
    _check(settings)
    return settings


def database_url_in_force() -> str:
    """The database's URL alone; needs no token and no other setting to be right."""
    name = "QT_DATABASE_URL"
    return _database_url(_given(None, None).get(name) or _FIELDS[name].metadata["default"])


def admin_token_in_environment() -> bool:
    """Whether the admin token in force comes from the environment and not from ``.env``."""
    return "QT_ADMIN_TOKEN" in os.environ


def _given(environ: Mapping[str, str] | None, env_file: Path | None) -> dict[str, str]:
    if environ is None:
        environ, env_file = os.environ, env_file or ENV_FILE
    filed = env_files.read(env_file) if env_file else {}
    for name in filed:
        if name.upper().startswith(PREFIX) and name not in _FIELDS:
            raise SettingsError(f"Unknown setting {name} in .env; did you mean {_nearest(name, 0)}?")
    for name in environ:
        # The Qt toolkit and others own names with this prefix too, so only a near miss can be a mistake.
        if name.startswith(PREFIX) and name not in _FIELDS and (near := _nearest(name, NEAR_MISS)):
            raise SettingsError(f"Unknown setting {name} in the environment; did you mean {near}?")
    both = {**filed, **environ}
    return {name: both[name].strip() for name in _FIELDS if name in both}


def _nearest(name: str, at_least: float) -> str | None:
    own = name.upper().removeprefix(PREFIX)
    known = [candidate.removeprefix(PREFIX) for candidate in _FIELDS]
    twisted = [candidate for candidate in known if sorted(candidate) == sorted(own)]
    near = twisted or difflib.get_close_matches(own, known, n=1, cutoff=at_least)
    return PREFIX + near[0] if near else None


def _read(name: str, given: str | None) -> Any:
    metadata = _FIELDS[name].metadata
    value = metadata["default"] if given is None else given
    return None if value is None else metadata["reader"](name, value)


def _resolved(read: dict[str, Any]) -> dict[str, Any]:
    own_market = read["market"] in OWN_MARKETS
    exchange = not own_market and read["market"] != "off"
    rules = {
        "admin_token": SecretStr(""),
        "strategy": read["market"] if own_market else "default",
        "market_speed": 20.0 if read["market"] == "simulated" else 0.0,
        "sides": "long" if exchange and read["market"] not in DERIVATIVES_ONLY else "long,short",
        "require_edge": exchange,
        "allowed_hosts": tuple(dict.fromkeys(("127.0.0.1", "localhost", "[::1]", read["host"]))),
    }
    resolved = {name: rules[name] if value is None and name in rules else value for name, value in read.items()}
    resolved["database_url"] = _database_url(read["database_url"])
    resolved["model_dir"] = ROOT / read["model_dir"]
    resolved["market_files"] = read["market_files"] and str(ROOT / read["market_files"])
    return resolved


def _database_url(url: str) -> str:
    """The URL with a relative SQLite path taken from the project's root, wherever the command was started."""
    if match := re.fullmatch(r"(postgresql|postgres)(?:\+psycopg)?(://.+)", url):
        return f"postgresql+psycopg{match[2]}"
    match = re.fullmatch(r"sqlite:///([^?]+)(\?.*)?", url)
    if match is None or match[1] == ":memory:":
        raise SettingsError(
            "QT_DATABASE_URL must be sqlite:///PATH of a file, or postgresql+psycopg://USER:PASSWORD@HOST/NAME."
        )
    return f"sqlite:///{(ROOT / match[1]).as_posix()}{match[2] or ''}"


def _check(settings: Settings) -> None:
    try:
        width = settings.timeframe_ms
    except ValueError as error:
        raise SettingsError(f"QT_TIMEFRAME: {error}") from error
    if DAY_MS % width:
        raise SettingsError(
            f"QT_TIMEFRAME must divide a day evenly, as 1m, 5m, 15m, 1h, 4h and 1d do; not {settings.timeframe!r}."
        )
    if not settings.paper_trading:
        raise SettingsError(
            "QT_PAPER_TRADING=0 is refused: only paper trading exists as yet. Remove it, or set it to 1."
        )
    if settings.market == "replay" and not settings.market_files:
        raise SettingsError("QT_MARKET=replay needs QT_MARKET_FILES: a folder or a glob of candle files.")
    near = difflib.get_close_matches(settings.market, ("off", *OWN_MARKETS), n=1, cutoff=NEAR_MISS)
    if near and settings.market not in ("off", *OWN_MARKETS):
        raise SettingsError(f"QT_MARKET={settings.market} is not known; did you mean {near[0]}?")
    if settings.webhook_url and not settings.webhook_secret:
        raise SettingsError("QT_WEBHOOK_URL needs QT_WEBHOOK_SECRET, because every event is signed with it.")
    _check_tokens_differ(settings)


def _check_tokens_differ(settings: Settings) -> None:
    taken = {token.get_secret_value() for token in (settings.admin_token, settings.admin_token_previous) if token}
    for name, token in (("QT_TRADER_TOKEN", settings.trader_token), ("QT_METRICS_TOKEN", settings.metrics_token)):
        if token and token.get_secret_value() in taken:
            raise SettingsError(
                f"{name} is the same as another token, so it would carry that one's rights. Choose another."
            )
        taken |= {token.get_secret_value()} if token else set()
