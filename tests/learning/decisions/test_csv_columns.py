"""Headings of other programs, recognised or said; what is not known is asked for, never guessed."""

import pytest

from backend.errors import InvalidInputError
from backend.learning.decisions.csv_columns import FIELDS, RECOGNISED, Plan, Wishes, bare, plan_of

NEEDED = ["Symbol", "Side", "Open Time", "Close Time", "Open Price", "Close Price"]


def names(plan: Plan) -> dict[str, str]:
    return {name: column.heading for name, column in plan.columns.items()}


@pytest.mark.parametrize(
    ("headings", "expected"),
    [
        (
            NEEDED,
            {"symbol": "Symbol", "predicted_action": "Side", "entry_time": "Open Time", "exit_time": "Close Time",
             "entry_price": "Open Price", "exit_price": "Close Price"},
        ),
        (  # a backtester's export
            ["pair", "is_short", "open_date", "close_date", "open_rate", "close_rate", "amount", "profit_abs",
             "exit_reason", "fee_open", "profit_ratio"],
            {"symbol": "pair", "predicted_action": "is_short", "entry_time": "open_date", "exit_time": "close_date",
             "entry_price": "open_rate", "exit_price": "close_rate", "quantity": "amount",
             "realized_pnl": "profit_abs", "exit_reason": "exit_reason"},
        ),
        (  # an exchange's position history
            ["Opened", "Closed", "Symbol", "Position Side", "Avg. Entry Price", "Avg. Close Price (USDT)",
             "Closed Qty", "Closed PNL", "Trading Fees"],
            {"symbol": "Symbol", "predicted_action": "Position Side", "entry_time": "Opened", "exit_time": "Closed",
             "entry_price": "Avg. Entry Price", "exit_price": "Avg. Close Price (USDT)", "quantity": "Closed Qty",
             "realized_pnl": "Closed PNL", "fees": "Trading Fees"},
        ),
        (  # a spreadsheet
            ["Date(UTC)", "Market", "Direction", "Entry", "Exit", "Exit date", "Size", "Commission", "P&L %"],
            {"symbol": "Market", "timestamp": "Date(UTC)", "predicted_action": "Direction", "entry_price": "Entry",
             "exit_price": "Exit", "exit_time": "Exit date", "quantity": "Size", "fees": "Commission"},
        ),
    ],
)  # fmt: skip
def test_the_headings_of_common_exports_are_recognised(headings: list[str], expected: dict[str, str]) -> None:
    assert names(plan_of(headings, Wishes())) == expected


def test_what_is_not_read_is_told() -> None:
    plan = plan_of([*NEEDED, "Leverage", "Profit %"], Wishes())

    assert plan.unused == ("Leverage", "Profit %")
    assert plan.width == 8


def test_a_column_serves_one_field_and_of_several_the_better_name_counts() -> None:
    plan = plan_of([*NEEDED, "PnL", "Realized PnL", "Id", "Trade ID"], Wishes())

    assert names(plan)["realized_pnl"] == "Realized PnL"
    assert names(plan)["decision_id"] == "Trade ID"
    indexes = [column.index for column in plan.columns.values()]
    assert len(set(indexes)) == len(indexes)


def test_what_was_said_goes_before_what_is_recognised() -> None:
    wishes = Wishes(columns={"entry_price": "My entry", "fees": "-Cost", "quantity": ""})
    plan = plan_of([*NEEDED, "My entry", "Cost", "Fees", "Amount"], wishes)

    assert names(plan)["entry_price"] == "My entry"
    assert names(plan)["fees"] == "Cost"
    assert plan.columns["fees"].negated
    assert "quantity" not in plan.columns
    assert plan.unused == ("Open Price", "Fees", "Amount")


def test_a_value_for_every_row_stands_for_a_column() -> None:
    plan = plan_of(NEEDED[1:], Wishes(constants={"symbol": "BTCUSDC"}))

    assert "symbol" not in plan.columns
    assert plan.constants == {"symbol": "BTCUSDC"}


@pytest.mark.parametrize("missing", ["Symbol", "Side", "Close Time", "Open Price", "Close Price"])
def test_a_field_without_a_column_is_asked_for(missing: str) -> None:
    headings = [heading for heading in NEEDED if heading != missing]

    with pytest.raises(InvalidInputError, match="--map") as told:
        plan_of(headings, Wishes())

    assert told.value.reason == "columns_missing"
    assert len(told.value.extra["missing"]) == 1
    assert all(heading in told.value.message for heading in headings)


def test_without_a_time_of_decision_the_entry_is_one_and_without_either_it_is_asked_for() -> None:
    plan_of(NEEDED, Wishes())
    with pytest.raises(InvalidInputError, match="timestamp"):
        plan_of([heading for heading in NEEDED if heading != "Open Time"], Wishes())


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        (Wishes(columns={"entry": "Open Price"}), "did you mean entry_"),
        (Wishes(columns={"entry_price": "Nope"}), "no column 'Nope'"),
        (Wishes(constants={"features": "1"}), "no field 'features'"),
        (Wishes(features=("rsi",)), "no column 'rsi'"),
        (Wishes(feature_prefix="f_"), "No column begins with 'f_'"),
    ],
)
def test_a_wish_that_cannot_be_met_is_named(wishes: Wishes, said: str) -> None:
    with pytest.raises(InvalidInputError) as told:
        plan_of(NEEDED, wishes)

    assert said in told.value.message


def test_two_columns_of_one_name_are_refused_only_where_that_name_is_wanted() -> None:
    headings = [*NEEDED, "Note", "Note"]

    plan_of(headings, Wishes())
    with pytest.raises(InvalidInputError, match="more than one column 'Note'"):
        plan_of(headings, Wishes(columns={"exit_reason": "Note"}))


def test_features_are_listed_or_begin_alike() -> None:
    headings = [*NEEDED, "f_rsi", "f_trend", "f_", "volatility"]

    by_prefix = plan_of(headings, Wishes(feature_prefix="f_"))
    listed = plan_of(headings, Wishes(features=("volatility", "f_rsi")))
    both = plan_of(headings, Wishes(features=("volatility",), feature_prefix="f_"))

    assert list(by_prefix.features) == ["rsi", "trend"]
    assert list(listed.features) == ["volatility", "f_rsi"]
    assert set(both.features) == {"rsi", "trend", "volatility"}


def test_a_feature_is_no_field_unless_it_was_said() -> None:
    headings = [*NEEDED, "Size"]

    assert "quantity" not in plan_of(headings, Wishes(features=("Size",))).columns
    assert "quantity" in plan_of(headings, Wishes(features=("Size",), columns={"quantity": "Size"})).columns


def test_an_export_of_this_service_needs_no_word() -> None:
    own = (
        "id decision_id symbol timestamp predicted_action prediction_score entry_price exit_price exit_time reason"
        " label_source target_class outcome_known"
    )
    headings = [*own.split(), "rsi", "trend"]

    plan = plan_of(headings, Wishes())

    assert names(plan)["decision_id"] == "decision_id"
    assert "exit_reason" not in plan.columns
    assert list(plan.features) == ["rsi", "trend"]
    assert plan.unused == ()


def test_headings_are_compared_without_case_blanks_and_brackets() -> None:
    assert {bare(one) for one in ("Open Price", "open_price", "OPEN-PRICE", "Open price (USDT)", "Open Price [$]")} == {
        "openprice"
    }
    assert bare("Close time UTC") == "closetime"
    assert bare("Profit %") != bare("Profit")


@pytest.mark.parametrize(
    ("heading", "in_utc"), [("Date(UTC)", True), ("close_time_utc", True), ("Time (GMT)", True), ("Structure", False)]
)
def test_a_heading_may_say_that_its_times_are_in_utc(heading: str, in_utc: bool) -> None:
    plan = plan_of([*NEEDED, heading], Wishes(columns={"timestamp": heading}))

    assert plan.columns["timestamp"].in_utc is in_utc


def test_no_word_stands_for_two_fields() -> None:
    words = [word for known in RECOGNISED.values() for word in known]

    assert len(set(words)) == len(words)
    assert all(bare(word) == word for word in words)
    assert set(RECOGNISED) == set(FIELDS)
    assert all(bare(name) in known for name, known in RECOGNISED.items())
