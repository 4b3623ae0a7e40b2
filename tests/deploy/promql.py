"""What a PromQL expression or a text with labels names; enough of the language for the rules and the dashboard."""

import re
from dataclasses import dataclass

NAME = re.compile(r"(?<![\w.\"$])[a-zA-Z_:][a-zA-Z0-9_:]*(?![\w(]|\s*\()")
CALLED = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?=\s*\()")
SELECTOR = re.compile(r"(?P<metric>[a-zA-Z_:][a-zA-Z0-9_:]*)?\s*\{(?P<matchers>[^{}]*)\}")
MATCHER = re.compile(r"(?P<label>[a-zA-Z_]\w*)\s*(?P<how>=~|!~|!=|=)\s*\"(?P<value>[^\"]*)\"")
GROUPED = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
SHOWN = re.compile(r"\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}")
WORDS = {
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "and",
    "or",
    "unless",
    "bool",
    "offset",
    "inf",
    "nan",
}
SPAN = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True)
class Named:
    """What one expression names."""

    metrics: frozenset[str]
    labels: frozenset[str]
    matched: frozenset[tuple[str, str, str, str]]
    """Metric, label, how it is compared, and with what."""


def named(expression: str) -> Named:
    """Metrics, labels, and the values that labels are compared with."""
    matched = frozenset(
        (selector["metric"] or "", matcher["label"], matcher["how"], matcher["value"])
        for selector in SELECTOR.finditer(expression)
        for matcher in MATCHER.finditer(selector["matchers"])
    )
    grouped = frozenset(label for found in GROUPED.findall(expression) for label in re.findall(r"[a-zA-Z_]\w*", found))
    plain = GROUPED.sub(" ", SPAN.sub(" ", re.sub(r"\{[^{}]*\}", " ", expression)))
    metrics = frozenset(NAME.findall(plain)) - WORDS - frozenset(CALLED.findall(plain))
    return Named(metrics, frozenset(label for _, label, _, _ in matched) | grouped, matched)


def labels_shown(text: str) -> frozenset[str]:
    """The labels that a legend or an annotation prints."""
    return frozenset(SHOWN.findall(text)) - {"end"}
