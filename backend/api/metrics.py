"""``GET /metrics``: the figures of the database and of this process, in the form that Prometheus reads."""

import platform
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import ClassVar

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from backend.api.auth import Role
from backend.api.deps import AppContext, ContextDep
from backend.api.http_metrics import HttpFigures
from backend.api.routing import AdminRoute
from backend.api.schemas.problems import problems
from backend.crontab import latest_slot, next_slot
from backend.database import is_unavailable
from backend.learning.evidence.metric_families import Durations, Family
from backend.learning.evidence.metrics import View, figures

PREFIX = "quantum_trader_"
BUCKETS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
DAY, LOOK_BACK = timedelta(days=1), timedelta(days=32)
FORMS = tuple(kind.partition(";")[0] for kind in (CONTENT_TYPE_PLAIN_0_0_4, CONTENT_TYPE_LATEST))
KEPT_SECONDS = 1.5
REST = 20.0


class MetricsRoute(AdminRoute):
    """A call for the admin, and for the token that opens nothing else."""

    roles: ClassVar[frozenset[Role]] = frozenset({Role.ADMIN, Role.METRICS})


router = APIRouter(tags=["operating"], route_class=MetricsRoute)


class Monitor(Collector):
    """What this process tells a monitoring system; safe to share between threads.

    A reading of the database is kept for a moment and for twenty times as long as it took, so that scraping, however
    often and by how many, takes at most a twentieth of one processor.
    """

    def __init__(self, version: str, timer: Callable[[], float] = time.monotonic) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self.http = HttpFigures(self._registry)
        self._build = {"version": version, "python": platform.python_version()}
        self._timer = timer
        self._lock = threading.Lock()
        self._read: list[Metric] = []
        self._read_until = 0.0

    def refresh(self, context: AppContext) -> None:
        """Read the database, unless that was done a moment ago."""
        with self._lock:
            started = self._timer()
            if started < self._read_until:
                return
            self._read = list(_database(context))
            took = self._timer() - started
            seconds = GaugeMetricFamily(
                f"{PREFIX}snapshot_duration_seconds", "How long reading the database took.", took
            )
            self._read.append(seconds)
            self._read_until = self._timer() + max(KEPT_SECONDS, REST * took)

    def collect(self) -> Iterator[Metric]:
        """Everything, as the encoders ask for it."""
        build = GaugeMetricFamily(f"{PREFIX}build_info", "Which version runs on what.", labels=list(self._build))
        build.add_metric(list(self._build.values()), 1)
        yield build
        with self._lock:
            read = self._read
        yield from read
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "The figures, in Prometheus' text form, or as OpenMetrics where `Accept` asks for it.",
            "content": {kind: {"schema": {"type": "string"}} for kind in FORMS},
        },
        **problems(),
    },
)
def get_metrics(request: Request, context: ContextDep) -> Response:
    """Everything a monitoring system needs, for the admin token or `QT_METRICS_TOKEN`, which opens nothing else.

    Figures of the database are the same from every process; those of HTTP and of the process are its own. A database
    that cannot be read is told as `quantum_trader_database_up 0`, not as an error.
    """
    monitor: Monitor = request.app.state.monitor
    monitor.refresh(context)
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(monitor), headers={"Content-Type": content_type})


def _database(context: AppContext) -> Iterator[Metric]:
    up = GaugeMetricFamily(f"{PREFIX}database_up", "1 where the database could be read for these figures.")
    try:
        read = context.database.read(figures, _view(context))
    except SQLAlchemyError as error:
        if not is_unavailable(error):
            raise
        read = []
    up.add_metric([], 1 if read else 0)
    yield up
    for family in read:
        yield _histogram(family) if isinstance(family, Durations) else _plain(family)


def _view(context: AppContext) -> View:
    now = context.clock()
    schedule = context.schedule
    if schedule is None:
        return View(context.settings, context.serving, now, None, None)
    last = latest_slot(schedule, now, DAY) or latest_slot(schedule, now, LOOK_BACK)
    return View(context.settings, context.serving, now, last, next_slot(schedule, now))


def _plain(family: Family) -> Metric:
    form = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = form(PREFIX + family.name, family.help, labels=family.labels)
    for labels, value in sorted(family.values.items()):
        metric.add_metric(labels, value)
    return metric


def _histogram(durations: Durations) -> Metric:
    metric = HistogramMetricFamily(PREFIX + durations.name, durations.help, labels=durations.labels)
    for labels, seconds in sorted(durations.seconds.items()):
        fell = [0] * (len(BUCKETS) + 1)
        for one in seconds:
            fell[bisect_left(BUCKETS, one)] += 1
        upto = [sum(fell[: index + 1]) for index in range(len(fell))]
        limits = [*map(str, BUCKETS), "+Inf"]
        metric.add_metric(labels, list(zip(limits, upto, strict=True)), sum(seconds))
    return metric
