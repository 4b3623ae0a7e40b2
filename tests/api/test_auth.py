"""Who may call what."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from backend.api.auth import MINUTE, WRONG_TOKENS_PER_MINUTE, Role, Tokens, WrongTokenThrottle
from tests.api.conftest import ADMIN, METRICS, NOW, TRADER, assert_problem, open_client, settings_in

WRONG = {"X-Admin-Token": "a-token-nobody-has"}
NO_TOKEN = {"X-Admin-Token": ""}
BOT_CALLS = [
    ("POST", "/ai/decisions"),
    ("POST", "/ai/decisions/a/execution"),
    ("POST", "/ai/decisions/a/outcome"),
    ("GET", "/ai/decisions/a"),
    ("GET", "/ai/decisions"),
    ("POST", "/ai/predict"),
]
ADMIN_CALLS = [
    ("POST", "/ai/training-samples"),
    ("GET", "/ai/training-samples"),
    ("POST", "/ai/retrain"),
    ("POST", "/ai/self-audit"),
    ("GET", "/ai/self-audit"),
    ("GET", "/ai/models"),
    ("GET", "/ai/models/v20260101_000000"),
    ("POST", "/ai/activate-model/v20260101_000000"),
    ("POST", "/ai/rollback"),
    ("POST", "/ai/deactivate"),
    ("GET", "/ai/status"),
    ("GET", "/ai/doctor"),
    ("GET", "/ai/audit"),
    ("GET", "/ai/strategies"),
    ("POST", "/ai/strategies/default/schema"),
    ("GET", "/ai/retraining-runs"),
    ("GET", "/ai/retraining-runs/run-1"),
]


@pytest.mark.parametrize(("method", "path"), [*BOT_CALLS, *ADMIN_CALLS, ("GET", "/openapi.json"), ("GET", "/nothing")])
def test_a_call_without_a_token_or_with_a_wrong_one_is_401(shared_client: TestClient, method: str, path: str) -> None:
    missing = assert_problem(shared_client.request(method, path, headers=NO_TOKEN), 401, "unauthorized")
    wrong = shared_client.request(method, path, headers=WRONG)

    assert "X-Admin-Token" in missing["detail"]
    assert wrong.status_code in (401, 429)
    assert WRONG["X-Admin-Token"] not in wrong.text


@pytest.mark.parametrize(("method", "path"), ADMIN_CALLS)
@pytest.mark.parametrize("headers", [TRADER, METRICS])
def test_a_right_token_without_the_right_is_403(
    shared_client: TestClient, method: str, path: str, headers: dict[str, str]
) -> None:
    problem = assert_problem(shared_client.request(method, path, headers=headers), 403, "forbidden")

    assert "admin" in problem["detail"]


@pytest.mark.parametrize(("method", "path"), BOT_CALLS)
def test_a_bots_calls_take_the_trader_token_but_not_the_metrics_token(
    shared_client: TestClient, method: str, path: str
) -> None:
    assert shared_client.request(method, path, headers=TRADER).status_code in (200, 404, 422)
    assert_problem(shared_client.request(method, path, headers=METRICS), 403, "forbidden")


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/", "/docs", "/web/docs.js", "/web/style.css"])
def test_health_and_static_pages_are_open(shared_client: TestClient, path: str) -> None:
    assert shared_client.get(path, headers=NO_TOKEN).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_a_bearer_token_is_as_good(shared_client: TestClient, scheme: str) -> None:
    headers = {**NO_TOKEN, "Authorization": f"{scheme} {ADMIN['X-Admin-Token']}"}

    assert shared_client.get("/ai/status", headers=headers).status_code == 200


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer ", ADMIN["X-Admin-Token"]])
def test_another_scheme_is_a_missing_token(shared_client: TestClient, header: str) -> None:
    answer = shared_client.get("/ai/status", headers={**NO_TOKEN, "Authorization": header})

    assert_problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_previous_admin_token_works_while_rotating(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, QT_ADMIN_TOKEN_PREVIOUS="the-admin-token-of-last-week")

    with open_client(settings, lambda: NOW) as client:
        answer = client.get("/ai/status", headers={"X-Admin-Token": "the-admin-token-of-last-week"})

    assert answer.status_code == 200


def test_the_sixty_first_wrong_token_within_a_minute_is_429_and_a_right_one_still_passes(client: TestClient) -> None:
    for _ in range(WRONG_TOKENS_PER_MINUTE):
        assert_problem(client.get("/ai/status", headers=WRONG), 401)

    throttled = client.get("/ai/status", headers=WRONG)

    assert_problem(throttled, 429, "too_many_wrong_tokens")
    assert 1 <= int(throttled.headers["retry-after"]) <= MINUTE
    assert client.get("/ai/status").status_code == 200
    assert_problem(client.get("/ai/status", headers=NO_TOKEN), 401)


def test_missing_tokens_are_not_counted_as_wrong(client: TestClient) -> None:
    for _ in range(WRONG_TOKENS_PER_MINUTE + 5):
        assert_problem(client.get("/ai/status", headers=NO_TOKEN), 401)

    assert_problem(client.get("/ai/status", headers=WRONG), 401)


def test_the_throttle_forgets_after_a_minute_and_keeps_addresses_apart() -> None:
    time = [0.0]
    throttle = WrongTokenThrottle(timer=lambda: time[0])

    first = [throttle.retry_after("a") for _ in range(WRONG_TOKENS_PER_MINUTE)]
    time[0] = 59.0

    assert set(first) == {None}
    assert throttle.retry_after("a") == 1
    assert throttle.retry_after("b") is None
    time[0] = MINUTE
    assert throttle.retry_after("a") is None


def test_no_token_matches_an_unset_one() -> None:
    tokens = Tokens([(Role.ADMIN, "abc"), (Role.TRADER, None), (Role.METRICS, "")])

    assert tokens.role_of(b"abc") is Role.ADMIN
    assert tokens.role_of(b"") is None
    assert tokens.role_of(b"None") is None


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::2]:80"])
def test_a_foreign_host_header_is_refused_naming_the_setting(shared_client: TestClient, host: str) -> None:
    problem = assert_problem(shared_client.get("/health/live", headers={"Host": host}), 400, "host_not_allowed")

    assert "QT_ALLOWED_HOSTS" in problem["detail"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1:8000", "[::1]", "[::1]:8000"])
def test_loopback_names_are_allowed(shared_client: TestClient, host: str) -> None:
    assert shared_client.get("/health/live", headers={"Host": host}).status_code == 200
