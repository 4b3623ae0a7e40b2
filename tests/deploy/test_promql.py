"""The reader of expressions finds every name in those that the rules and the dashboard use."""

import pytest

from tests.deploy.promql import labels_shown, named


@pytest.mark.parametrize(
    ("expression", "metrics", "labels"),
    [
        ("up", {"up"}, set()),
        ('up{job="a"} == 0', {"up"}, {"job"}),
        ('sum by (a, b) (rate(x_total{c=~"4..|5.."}[5m])) * 60', {"x_total"}, {"a", "b", "c"}),
        ("time() - max by (s) (t_seconds) > 1e9", {"t_seconds"}, {"s"}),
        ("a < on () group_left () max(b) unless on (s) c > 0", {"a", "b", "c"}, {"s"}),
        ('absent(up{job="x"}) or vector(0)', {"up"}, {"job"}),
        ("histogram_quantile(0.95, sum by (le) (rate(d_bucket[$__rate_interval])))", {"d_bucket"}, {"le"}),
    ],
)
def test_metrics_and_labels_are_found(expression: str, metrics: set[str], labels: set[str]) -> None:
    found = named(expression)

    assert (found.metrics, found.labels) == (metrics, labels)


def test_what_a_label_is_compared_with_is_found_with_its_metric() -> None:
    found = named('max(x{state="stale", kind=~"a|b"}) + y{z!="1"}')

    assert found.matched == {("x", "state", "=", "stale"), ("x", "kind", "=~", "a|b"), ("y", "z", "!=", "1")}


def test_labels_in_legends_and_annotations_are_found() -> None:
    assert labels_shown("{{code}} of {{ $labels.strategy }}: {{ $value | humanize }}") == {"code", "strategy"}
