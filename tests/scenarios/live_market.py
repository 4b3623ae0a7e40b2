"""A trader and an exchange on one clock that only waiting moves: hours pass in seconds, and every run is the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event, text

from backend.database import Database
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.market.exchange import ExchangeMarket
from backend.market.exchange_client import Manners
from backend.models import Base
from backend.settings import Settings, load_settings
from backend.trading.live import TraderLoop
from backend.trading.turns import Patience, Workplace
from tests.market.exchange_server import LocalExchange

BEGIN = datetime(2026, 3, 2, 12, 0, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SYMBOLS = ("BTCUSDC", "ETHUSDC", "SOLUSDC")
OVERSLEPT = timedelta(milliseconds=3)
"""No wait is exact; were it so, each question for the time would come at a whole second."""
MANNERS = Manners(timeout_seconds=0.4, spaced=False)
EVERYTHING = {
    "samples": "select decision_id, symbol, timestamp, state, price, predicted_action, prediction_score, reason,"
    " explored, propensity, model_version, features_blob, forward_return, forward_price_at, forward_return_source,"
    " executed, execution_side, entry_price, quantity, entry_time, fees, exit_price, exit_time, exit_reason,"
    " realized_pnl, market_return, target_label, target_class, label_source, outcome_known from ai_training_samples"
    " order by timestamp, symbol",
    "positions": "select s.decision_id, p.side, p.state, p.ordered_at, p.quantity, p.entry_price, p.target_price,"
    " p.stop_price, p.close_requested, p.closed_at from positions p join ai_training_samples s on s.id = p.sample_id"
    " order by 1",
    "fills": "select s.decision_id, f.leg, f.fill_id, f.price, f.quantity, f.fees, f.filled_at from fills f"
    " join ai_training_samples s on s.id = f.sample_id order by 1, 2",
    "trades": "select decision_id, side, quantity, entry_price, entry_time, exit_price, exit_time, exit_reason, fees,"
    " realized_pnl from trade_logs order by 1",
    "candles": "select symbol, open_time, open, high, low, close, volume from candles order by 1, 2",
    "feed": "select source, state, market_time, detail from feeds",
}


@dataclass
class LiveMarket:
    """One run: its exchange, its database, its clock and the loop that a process would have."""

    folder: Path
    exchange: LocalExchange
    given: dict[str, str] = field(default_factory=dict)
    behind: timedelta = timedelta(0)
    begin: datetime = BEGIN
    watch: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        """A new installation, started; ``behind`` is how far its clock is behind the exchange's."""
        self.now = self.begin - self.behind
        self.exchange.clock, self.exchange.skew = self.clock, self.behind
        environ = {
            "QT_ADMIN_TOKEN": "an-admin-token-for-tests-only",
            "QT_DATABASE_URL": f"sqlite:///{self.folder / 'quantum_trader.db'}",
            "QT_MODEL_DIR": str(self.folder / "models"),
            "QT_MARKET": "binance",
            "QT_EXCHANGE_URL": self.exchange.url,
            "QT_SYMBOLS": ",".join(SYMBOLS),
            "QT_TIMEFRAME": "1m",
        }
        self.settings: Settings = load_settings(environ | self.given, env_file=None)
        self.database = Database(self.settings.database_url)
        event.listen(self.database.engine, "connect", _careless)
        Base.metadata.create_all(self.database.engine)
        self.loop = self._loop()

    def clock(self) -> datetime:
        """The time of this machine; the exchange's is the same plus its skew."""
        return self.now

    def _seconds(self) -> float:
        return (self.now - self.begin).total_seconds()

    def _loop(self) -> TraderLoop:
        return TraderLoop(
            Workplace(
                self.database,
                self.settings,
                Serving(ArtifactStore(self.settings.model_dir)),
                self.clock,
                patience=Patience(timer=self._seconds),
                market=self._market,
            )
        )

    def _market(self, settings: Settings, clock: Callable[[], datetime], also: Sequence[str]) -> ExchangeMarket:
        symbols = tuple(dict.fromkeys((*settings.symbols, *also)))
        return ExchangeMarket(
            settings.market,
            symbols,
            settings.timeframe,
            url=settings.exchange_url,
            now=clock,
            manners=MANNERS,
        )

    def restart(self) -> None:
        """A new process in place of one that was killed: nothing in memory is carried over."""
        self.loop.stop()
        self.loop = self._loop()

    def until(self, moment: datetime) -> None:
        """Take turns and wait as long as each says, until the exchange's clock shows ``moment``."""
        while (left := moment - self.exchange.now()) > timedelta(0):
            wait = self.loop.turn()
            assert wait is not None
            assert wait > 0
            self.watch()
            self.now += min(timedelta(seconds=wait) + OVERSLEPT, left)

    def close(self) -> None:
        """The end."""
        self.loop.stop()
        self.database.close()

    def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """What a query finds."""
        return rows(self.database, query, **values)

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that trading left behind."""
        return everything(self.database)


def rows(database: Database, query: str, **values: Any) -> list[tuple[Any, ...]]:
    """What a query finds."""
    return database.read(lambda session: [tuple(row) for row in session.execute(text(query), values)])


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All rows that trading left behind, without what tells one run from another (ids, wall-clock times)."""
    return {name: rows(database, query) for name, query in EVERYTHING.items()}


def _careless(connection: Any, _record: object) -> None:
    """A power cut may lose what a test wrote."""
    connection.execute("PRAGMA synchronous=OFF")
