"""Remedies that name a call of the HTTP interface, in the words of the terminal."""

import re

WORDS = tuple(
    (re.compile(call), command)
    for call, command in (
        (r"\?force=true&reason=\.\.\.", "--force --reason '...'"),
        (r"POST /ai/activate-model/(\w+)", r"qt activate \1"),
        (r"POST /ai/(retrain|rollback|deactivate)\b", r"qt \1"),
        (r"GET /ai/retraining-runs/[\w-]+", "qt runs --json"),
        (r"GET /ai/retraining-runs\b", "qt runs"),
        (r"GET /ai/models/(\w+)", r"qt model \1"),
        (r"GET /ai/(status|models|doctor)\b", r"qt \1"),
        (r"GET /ai/training-samples\b", "qt samples --json"),
        (r"\b(qt [\w -]+)\?strategy=", r"\1 --strategy "),
        (r"(?<![\w/])\?strategy=", "--strategy "),
    )
)


def in_terminal_words(sentence: str) -> str:
    """The sentence with commands in the place of calls; one that no command makes, as a bot's, stays a call.

    >>> in_terminal_words("Activate one: POST /ai/activate-model/VERSION. Name another one with ?strategy=.")
    'Activate one: qt activate VERSION. Name another one with --strategy.'
    """
    for call, command in WORDS:
        sentence = call.sub(command, sentence)
    return sentence.replace("--strategy .", "--strategy.")
