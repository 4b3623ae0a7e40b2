"""Import, list and export of training samples."""

import csv
import io
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import NAMES, TRADER, assert_problem, closed_samples, contents, features

KEYS = [
    "id",
    "decision_id",
    "strategy",
    "symbol",
    "timestamp",
    "predicted_action",
    "prediction_score",
    "prediction_confidence",
    "model_version",
    "executed",
    "execution_side",
    "entry_price",
    "quantity",
    "fees",
    "fees_known",
    "entry_time",
    "exit_price",
    "exit_time",
    "exit_reason",
    "realized_pnl",
    "market_return",
    "forward_return",
    "target_label",
    "target_class",
    "label_source",
    "outcome_known",
]
DOCUMENT_ROW: dict[str, Any] = {
    "symbol": "BTCUSDC",
    "timestamp": "2025-11-12T10:30:00Z",
    "predicted_action": "BUY",
    "entry_price": 45_000.0,
    "exit_price": 45_500.0,
    "quantity": 0.1,
    "exit_time": "2025-11-12T11:30:00Z",
    "target_label": 0.0111,
    "target_class": "WIN",
    "features": features(),
}
JSON = {"Content-Type": "application/json"}


def post(client: TestClient, *rows: Any) -> Any:
    answer = client.post("/ai/training-samples", json={"samples": list(rows)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_documents_row_reads_back_as_the_document_says(client: TestClient) -> None:
    imported = post(client, DOCUMENT_ROW)

    listed = client.get("/ai/training-samples?limit=50&outcome_known=true").json()

    assert (imported["accepted"], imported["duplicates"], imported["rejected"]) == (1, 0, [])
    assert imported["strategy_created"] is True
    (sample,) = listed["samples"]
    assert round(sample["target_label"], 4) == 0.0111
    assert sample["realized_pnl"] == pytest.approx(50.0)
    assert sample["target_class"] == "WIN"
    assert set(KEYS) <= set(sample)


def test_the_same_rows_again_are_duplicates(client: TestClient) -> None:
    rows = closed_samples(20)
    post(client, *rows)
    before = contents(client)

    again = post(client, *rows)

    assert (again["accepted"], again["duplicates"], again["rejected"]) == (0, 20, [])
    assert contents(client)["ai_training_samples"] == before["ai_training_samples"]


def test_a_bad_row_is_refused_alone_with_its_index(client: TestClient) -> None:
    nested: Any = 1
    for _ in range(12):
        nested = [nested]
    bad: list[Any] = [
        {**DOCUMENT_ROW, "exit_price": None},
        {**DOCUMENT_ROW, "symbol": "BTC\x00"},
        {**DOCUMENT_ROW, "exit_reason": "\ud800"},
        {**DOCUMENT_ROW, "features": {**features(), "feature_0": "1"}},
        {**DOCUMENT_ROW, "features": {**features(), "feature_0": nested}},
        {**DOCUMENT_ROW, "unknown": 1},
        {},
    ]
    body = json.dumps({"samples": [DOCUMENT_ROW, *bad, {**DOCUMENT_ROW, "symbol": "ETHUSDC"}]})

    answer = client.post("/ai/training-samples", content=body, headers=JSON).json()

    assert answer["accepted"] == 2
    assert [refusal["index"] for refusal in answer["rejected"]] == [1, 2, 3, 4, 5, 6, 7]
    assert all(refusal["reason"] for refusal in answer["rejected"])


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "true", "1" + "0" * 400])
@pytest.mark.parametrize("key", ["exit_price", "quantity"])
def test_a_number_that_is_none_refuses_its_row_alone(client: TestClient, key: str, value: str) -> None:
    body = json.dumps({"samples": [{**DOCUMENT_ROW, key: "@"}, DOCUMENT_ROW]}).replace('"@"', value)

    answer = client.post("/ai/training-samples", content=body, headers=JSON)

    assert answer.status_code == 200
    assert [refusal["index"] for refusal in answer.json()["rejected"]] == [0]
    assert answer.json()["accepted"] == 1


def test_the_trader_token_may_not_import(client: TestClient) -> None:
    assert_problem(client.post("/ai/training-samples", json={"samples": []}, headers=TRADER), 403)


@pytest.fixture
def filled(client: TestClient) -> TestClient:
    """A service that holds forty imported samples."""
    post(client, *closed_samples(40))
    return client


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("symbol=BTCUSDC", lambda sample: sample["symbol"] == "BTCUSDC"),
        ("symbol=BTC/USDC", lambda sample: sample["symbol"] == "BTCUSDC"),
        ("action=SELL", lambda sample: sample["predicted_action"] == "SELL"),
        ("target_class=WIN", lambda sample: sample["target_class"] == "WIN"),
        ("label_source=executed", lambda sample: sample["label_source"] == "executed"),
        ("outcome_known=true", lambda sample: sample["outcome_known"]),
        ("since=2026-03-01T00:00:00Z", lambda sample: sample["timestamp"] >= "2026-03-01T00:00:00Z"),
        ("until=2026-03-01T01:00:00%2B01:00", lambda sample: sample["timestamp"] <= "2026-03-01T00:00:00Z"),
    ],
)
def test_a_filter_leaves_exactly_what_it_says(filled: TestClient, query: str, holds: Any) -> None:
    everything = filled.get("/ai/training-samples?limit=1000").json()["samples"]

    chosen = filled.get(f"/ai/training-samples?limit=1000&{query}").json()

    assert chosen["samples"] == [sample for sample in everything if holds(sample)]
    assert chosen["count"] == len(chosen["samples"]) > 0
    assert chosen["next_cursor"] is None


def test_unknown_outcomes_only_are_none_here(filled: TestClient) -> None:
    assert filled.get("/ai/training-samples?outcome_known=false").json()["count"] == 0


def test_features_come_only_when_asked_for(filled: TestClient) -> None:
    plain = filled.get("/ai/training-samples?limit=1").json()["samples"][0]
    full = filled.get("/ai/training-samples?limit=1&features=true").json()["samples"][0]

    assert "features" not in plain
    assert full["feature_names"] == list(NAMES)
    assert full["features"] == pytest.approx(list(closed_samples(40)[-1]["features"].values()), rel=1e-6)


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_csv_export_holds_every_sample_the_json_does(filled: TestClient) -> None:
    listed = filled.get("/ai/training-samples?limit=1000&features=true").json()["samples"]

    answer = filled.get("/ai/training-samples?features=true", headers={"Accept": "text/csv"})
    lines = read_csv(answer.text)

    assert answer.headers["content-type"].startswith("text/csv")
    assert [line["decision_id"] for line in lines] == [sample["decision_id"] for sample in listed]
    for line, sample in zip(lines, listed, strict=True):
        assert float(line["target_label"]) == sample["target_label"]
        assert [float(line[name]) for name in NAMES] == sample["features"]
        assert (line["outcome_known"], line["forward_return"]) == ("true", "")
    assert list(lines[0])[: len(KEYS)] == KEYS


def test_a_limited_csv_export_ends_at_its_limit(filled: TestClient) -> None:
    answer = filled.get("/ai/training-samples?limit=7&action=BUY", headers={"Accept": "text/csv"})

    assert len(read_csv(answer.text)) == 7
    assert {line["predicted_action"] for line in read_csv(answer.text)} == {"BUY"}


def test_an_empty_csv_export_still_has_its_head(client: TestClient) -> None:
    answer = client.get("/ai/training-samples", headers={"Accept": "text/csv"})

    assert answer.text.strip().split(",") == KEYS


@pytest.mark.parametrize("said", ['=HYPERLINK("http://x","y")', "+1", "-1", "@x", 'a "b", c', "'=1"])
def test_the_csv_export_is_data_and_repeats_every_text_as_it_was_sent(client: TestClient, said: str) -> None:
    post(client, {**closed_samples(1)[0], "exit_reason": said})

    answer = client.get("/ai/training-samples", headers={"Accept": "text/csv"})

    assert [line["exit_reason"] for line in read_csv(answer.text)] == [said]


TINY = {"entry_price": 1e-200, "exit_price": 1.1e-200, "quantity": 1e-200}
HUGE = {"entry_price": 1e200, "exit_price": 1.1e200, "quantity": 1e200}


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (TINY, "entry_price"),
        ({"entry_price": 5e-324, "exit_price": 5e-324, "quantity": 5e-324}, "entry_price"),
        (HUGE, "entry_price"),
        ({"fees": 1e308}, "fees"),
        ({"realized_pnl": -1e308}, "realized_pnl"),
    ],
)
def test_figures_of_impossible_sizes_refuse_their_row_and_no_other(
    client: TestClient, bad: dict[str, Any], field: str
) -> None:
    row = {**DOCUMENT_ROW, "target_label": None}
    told = post(client, row, {**row, **bad, "decision_id": "bad"})

    assert (told["accepted"], [one["index"] for one in told["rejected"]]) == (1, [1])
    assert field in told["rejected"][0]["reason"]
    assert all("Infinity" not in page.text for page in (client.get("/ai/training-samples"), client.get("/ai/status")))


def test_a_row_of_countless_features_makes_no_schema(client: TestClient) -> None:
    told = post(client, {**DOCUMENT_ROW, "features": {f"f{index}": 1.0 for index in range(200_000)}})

    assert (told["accepted"], told["strategy_created"]) == (0, False)
    assert "2000" in told["rejected"][0]["reason"]


def test_a_body_of_countless_lists_is_refused_at_once(client: TestClient) -> None:
    body = b'{"samples":[' + b"[]," * 2_000_000 + b"[]]}"

    assert_problem(client.post("/ai/training-samples", content=body, headers=JSON), 422)
