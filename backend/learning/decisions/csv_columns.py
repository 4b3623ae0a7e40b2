"""Which column of a table of trades is which field: said by somebody, or recognised by its heading."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backend.errors import InvalidInputError
from backend.learning.decisions.import_rows import NEEDED, OPTIONAL, READ_ONLY

FIELDS = tuple(name for name in (*NEEDED, *OPTIONAL) if name != "features")
OWN_EXPORT = frozenset({"decision_id", "predicted_action", "label_source", "target_class", "outcome_known"})
SHORT_COLUMN = "isshort"

RECOGNISED: dict[str, tuple[str, ...]] = {
    # A heading counts without case, blanks, marks and what stands in brackets; of several the first named counts.
    "symbol": ("symbol", "pair", "market", "instrument", "ticker", "tradingpair", "contract", "coin", "asset"),
    "timestamp": ("timestamp", "decisiontime", "decidedat", "signaltime", "signaldate", "datetime", "date", "time"),
    "entry_time": (
        *("entrytime", "entrydate", "entrydatetime", "entryat", "opentime", "opendate", "opendatetime", "openedat"),
        *("opened", "timeopened", "timeopen", "openingtime"),
    ),
    "exit_time": (
        *("exittime", "exitdate", "exitdatetime", "exitat", "closetime", "closedate", "closedatetime", "closedat"),
        *("closed", "timeclosed", "timeclose", "closingtime"),
    ),
    "predicted_action": (
        *("predictedaction", "action", "side", "direction", "positionside", "tradeside", "buysell", "longshort"),
        *("position", "tradetype", "type", SHORT_COLUMN),
    ),
    "entry_price": (
        *("entryprice", "openprice", "openrate", "entryrate", "avgentryprice", "averageentryprice", "entryavgprice"),
        *("avgopenprice", "openingprice", "priceopen", "entry"),
    ),
    "exit_price": (
        *("exitprice", "closeprice", "closerate", "exitrate", "avgexitprice", "averageexitprice", "exitavgprice"),
        *("avgcloseprice", "closingprice", "priceclose", "exit"),
    ),
    "quantity": ("quantity", "qty", "amount", "size", "units", "positionsize", "closedqty", "closedsize"),
    "fees": ("fees", "fee", "totalfees", "totalfee", "commission", "commissions", "tradingfees", "tradingfee"),
    "realized_pnl": ("realizedpnl", "pnl", "netpnl", "closedpnl", "profitloss", "netprofit", "profitabs", "profit"),
    "exit_reason": ("exitreason", "closereason", "sellreason"),
    "decision_id": ("decisionid", "tradeid", "id", "ticket", "orderid", "positionid"),
    "executed": ("executed",),
    "execution_side": ("executionside",),
    "prediction_score": ("predictionscore",),
    "prediction_confidence": ("predictionconfidence",),
    "target_label": ("targetlabel",),
}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What somebody said: a column for a field (empty: none, a leading minus: its sign turned), values, features."""

    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    feature_prefix: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """Where a field stands in a row."""

    index: int
    heading: str
    negated: bool = False

    @property
    def in_utc(self) -> bool:
        """Whether the heading says that its times are in UTC."""
        return bool(re.search(r"\b(utc|gmt)\b", self.heading.lower().replace("_", " ")))


@dataclass(frozen=True, slots=True)
class Plan:
    """How each row is read; ``unused`` are the columns that nothing is read from."""

    columns: Mapping[str, Column]
    constants: Mapping[str, str]
    features: Mapping[str, Column]
    unused: tuple[str, ...]
    width: int


class ColumnsMissingError(InvalidInputError):
    """Fields that every row needs have no column; ``plan`` is what was recognised."""

    def __init__(self, message: str, plan: Plan, missing: list[str]) -> None:
        super().__init__(message, field="map", reason="columns_missing", missing=missing)
        self.plan, self.missing = plan, missing


def plan_of(headings: Sequence[str], wishes: Wishes) -> Plan:
    """Match headings and fields; InvalidInputError where a wish names what is not there, or a field has no column."""
    own = set(headings) >= OWN_EXPORT
    columns = _wished(headings, wishes)
    if own:
        columns = {name: _column(headings, name) for name in FIELDS if name in headings} | columns
    else:
        columns = _recognised(headings, wishes, columns) | columns
    features = _features(headings, wishes, own=own)
    taken = {one.index for one in features.values()}
    columns = {name: one for name, one in columns.items() if one.index not in taken or name in wishes.columns}
    used = taken | {one.index for one in columns.values()}
    left = (heading for index, heading in enumerate(headings) if index not in used and heading)
    unused = tuple(heading for heading in left if not (own and heading in READ_ONLY))
    plan = Plan(columns, dict(wishes.constants), features, unused, len(headings))
    _check_complete(headings, plan)
    return plan


def bare(heading: str) -> str:
    """A heading as it is compared.

    >>> bare("Open Price (USDT)"), bare("Profit %"), bare("close_date")
    ('openprice', 'profitpct', 'closedate')
    """
    without = re.sub(r"\([^)]*\)|\[[^\]]*\]", "", heading.lower())
    without = re.sub(r"\b(utc|gmt)\b", "", without.replace("_", " ")).replace("%", "pct")
    return re.sub(r"[^a-z0-9]", "", without)


def _wished(headings: Sequence[str], wishes: Wishes) -> dict[str, Column]:
    for name in (*wishes.columns, *wishes.constants):
        if name not in FIELDS:
            near = difflib.get_close_matches(name, FIELDS, n=1, cutoff=0.0)
            raise InvalidInputError(
                f"There is no field {name[:60]!r}; did you mean {near[0]}? Fields: {', '.join(FIELDS)}.", field="map"
            )
    return {name: _column(headings, heading) for name, heading in wishes.columns.items() if heading}


def _column(headings: Sequence[str], heading: str) -> Column:
    """The column of that heading, which must be the only one; a minus before it turns the sign of its numbers."""
    negated = heading.startswith("-") and heading not in headings
    wanted = heading[1:] if negated else heading
    places = [index for index, one in enumerate(headings) if one == wanted]
    if not places:
        places = [index for index, one in enumerate(headings) if one.strip().lower() == wanted.strip().lower()]
    if len(places) != 1:
        fault = "no column" if not places else "more than one column"
        raise InvalidInputError(
            f"There is {fault} {wanted[:60]!r}. The columns are: {', '.join(headings)[:600]}.", field="map"
        )
    return Column(places[0], headings[places[0]], negated)


def _recognised(headings: Sequence[str], wishes: Wishes, taken: Mapping[str, Column]) -> dict[str, Column]:
    """The fields that nobody spoke of, found by their headings; each column serves once."""
    free = {index: bare(heading) for index, heading in enumerate(headings)}
    for one in taken.values():
        free.pop(one.index, None)
    found = {}
    for name, words in RECOGNISED.items():
        if name in wishes.columns or name in wishes.constants:
            continue
        index = next((index for word in words for index, heading in free.items() if heading == word), None)
        if index is not None:
            found[name] = Column(index, headings[index])
            del free[index]
    return found


def _features(headings: Sequence[str], wishes: Wishes, *, own: bool) -> dict[str, Column]:
    found = {name: _column(headings, name) for name in wishes.features}
    if wishes.feature_prefix:
        prefix = wishes.feature_prefix
        begun = [
            (index, one) for index, one in enumerate(headings) if one.startswith(prefix) and len(one) > len(prefix)
        ]
        if not begun:
            raise InvalidInputError(
                f"No column begins with {prefix!r}. The columns are: {', '.join(headings)[:600]}.",
                field="feature_prefix",
            )
        found |= {one.removeprefix(prefix): Column(index, one) for index, one in begun}
    if own and not found:
        known = {*FIELDS, *READ_ONLY, "features", "feature_names"}
        found = {one: Column(index, one) for index, one in enumerate(headings) if one and one not in known}
    return found


def _check_complete(headings: Sequence[str], plan: Plan) -> None:
    """Every field that a row needs has a column or a value; a decision's time may be the entry's."""
    known = {*plan.columns, *plan.constants}
    known |= {"timestamp"} if "entry_time" in known else set()
    missing = [name for name in NEEDED if name not in known and name != "features"]
    if missing:
        name = missing[0]
        raise ColumnsMissingError(
            f"No column for {', '.join(missing)} was recognised among: {', '.join(headings)[:600]}. Say which with"
            f" --map {name}=COLUMN, or give all rows one value with --set {name}=VALUE.",
            plan,
            missing,
        )
