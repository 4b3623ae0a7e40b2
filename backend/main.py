"""The application: assembled from settings, opened and closed by its lifespan. Importing it has no effect."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import structlog
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import FastAPI
from sqlalchemy import inspect

from ai_engine import artifact
from backend.api import (
    alarms,
    compare,
    decisions,
    health,
    metrics,
    models,
    operating,
    pages,
    predictions,
    problems,
    quarantine,
    retraining,
    samples,
    self_audit,
    strategies,
)
from backend.api.auth import Authentication, Tokens, WrongTokenThrottle
from backend.api.deps import AppContext
from backend.api.http_metrics import CountRequests
from backend.api.middleware import AllowedHosts, RequestContext
from backend.clock import Clock, utc_now
from backend.crontab import parse_schedule
from backend.database import Database, explained, parsed, place_of
from backend.errors import UnavailableError
from backend.learning.decisions.posted import DecisionService
from backend.learning.evidence.auditor import Auditor, SubprocessAuditor
from backend.learning.evidence.live_evidence import LiveEvidence
from backend.learning.evidence.self_audit import AuditService
from backend.learning.evidence.watch import WatchService
from backend.learning.versions.activation import VersionService
from backend.learning.versions.retrain import RetrainService
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.learning.versions.trainer import SubprocessTrainer, Trainer
from backend.logs import Redactor, configure_logging
from backend.models import Base
from backend.operations.delivery import Deliverer
from backend.operations.delivery_targets import check_addresses
from backend.operations.jobs import end_own
from backend.scheduler import add_live_evidence, add_self_audits, add_watch, build_scheduler
from backend.setting_values import secrets_of
from backend.settings import Settings
from backend.trading.live import TraderLoop
from backend.trading.markets import has_trader
from backend.trading.turns import Workplace

logger = structlog.get_logger(__name__)

DISTRIBUTION = "quantum-trader"
MOST_WAITING = 64
WARM_UP_AFTER_SECONDS = 1.0
ROUTERS = (
    decisions.router,
    predictions.router,
    samples.router,
    samples.imports,
    quarantine.router,
    retraining.router,
    self_audit.router,
    models.router,
    compare.router,
    strategies.router,
    operating.router,
    alarms.router,
    health.router,
    metrics.router,
)


def create_app(settings: Settings, *, clock: Clock = utc_now) -> FastAPI:
    """The service for these settings; its lifespan opens the database and starts what runs by itself."""
    check_addresses(settings)
    redactor = Redactor(_secrets(settings))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        configure_logging(settings.log_format, redactor)
        async with AsyncExitStack() as stack:
            trainer, auditor = SubprocessTrainer(), SubprocessAuditor()
            context = await run_sync(_open, settings, trainer, auditor, clock)
            stack.callback(context.database.close)
            app.state.context = context
            stack.push_async_callback(_in_thread, partial(end_own, context.database, clock))
            stack.callback(trainer.close)
            stack.callback(auditor.close)
            await _start_delivery(context, stack)
            app.state.trader = _start_jobs(context, stack)
            _warm_up(stack)
            yield
            app.state.context = app.state.trader = None

    app = FastAPI(
        title="Quantum Trader", version=_version(), lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None
    )
    app.state.redactor = redactor
    app.state.context = app.state.trader = None
    app.state.monitor = metrics.Monitor(app.version)
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    pages.mount(app)
    app.add_middleware(Authentication, tokens=Tokens.of(settings), throttle=WrongTokenThrottle())
    app.add_middleware(AllowedHosts, hosts=settings.allowed_hosts)
    app.add_middleware(RequestContext)
    app.add_middleware(CountRequests, figures=app.state.monitor.http)
    return app


def _open(settings: Settings, trainer: Trainer, auditor: Auditor, clock: Clock) -> AppContext:
    store = ArtifactStore(settings.model_dir)
    store.prepare()
    database = Database(settings.database_url)
    try:
        with explained(settings.database_url):
            _refuse_unmigrated(database)
    except BaseException:
        database.close()
        raise
    serving = Serving(store)
    return AppContext(
        settings=settings,
        database=database,
        store=store,
        serving=serving,
        trainer=trainer,
        schedule=parse_schedule(settings.ai_retrain_schedule) if settings.ai_retraining_enabled else None,
        retraining=RetrainService(database, settings, store, trainer, clock),
        auditing=AuditService(database, settings, auditor, clock),
        versions=VersionService(database, settings, store, clock),
        decisions=DecisionService(database, settings, serving, clock),
        clock=clock,
        waiting=CapacityLimiter(MOST_WAITING),
    )


async def _start_delivery(context: AppContext, stack: AsyncExitStack) -> None:
    """Begin to tell whoever is to be told; first in and last out, so that nothing that happens here is missed."""
    deliverer = Deliverer(context.database, context.settings, context.clock)
    await run_sync(deliverer.start)
    stack.push_async_callback(_in_thread, deliverer.stop)


def _start_jobs(context: AppContext, stack: AsyncExitStack) -> TraderLoop | None:
    """Start the scheduler and, where there is a market, the trader; each is stopped when the stack unwinds."""
    scheduler = build_scheduler(context)
    add_watch(
        scheduler, WatchService(context.database, context.settings, context.serving, context.schedule, context.clock)
    )
    add_live_evidence(scheduler, LiveEvidence(context.versions, context.serving))
    add_self_audits(scheduler, context.auditing)
    scheduler.start()
    stack.callback(scheduler.shutdown, wait=False)
    if has_trader(context.settings.market):
        trader = TraderLoop(Workplace(context.database, context.settings, context.serving, context.clock))
        trader.start()
        stack.push_async_callback(_in_thread, trader.stop)
        return trader
    return None


def _warm_up(stack: AsyncExitStack) -> None:
    """Load in the background, once the service answers, what the first activation or prediction would wait for.

    Not a daemon: an end of the process in the middle of the import waits for it. Its priority stays as it is, because
    a thread that yields to other programs while it holds the interpreter would hold up every request.
    """
    timer = threading.Timer(WARM_UP_AFTER_SECONDS, artifact.warm)
    timer.name = "warm-up"
    timer.start()
    stack.callback(timer.cancel)


async def _in_thread(call: Callable[[], None]) -> None:
    await run_sync(call)


def _refuse_unmigrated(database: Database) -> None:
    present = inspect(database.engine)
    tables = set(present.get_table_names())
    for name, table in Base.metadata.tables.items():
        columns = {column["name"] for column in present.get_columns(name)} if name in tables else set()
        if not columns >= {column.name for column in table.columns}:
            raise UnavailableError(
                f"The database {place_of(database.url)} has not been brought up to date (table {name})."
                " Run: qt migrate",
                reason="database_not_migrated",
            )


def _secrets(settings: Settings) -> list[str | None]:
    given = (
        settings.admin_token,
        settings.admin_token_previous,
        settings.trader_token,
        settings.metrics_token,
        settings.webhook_secret,
    )
    addresses = (*settings.notify_urls, settings.webhook_url, parsed(settings.database_url).password)
    exchange = secrets_of(settings.exchange_url) if settings.exchange_url else []
    return [*(secret.get_secret_value() if secret else None for secret in given), *addresses, *exchange]


def _version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "0"
