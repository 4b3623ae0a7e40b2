"""The ``.env`` file: ``NAME=value`` lines, read strictly and changed one line at a time."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path


class SettingsError(ValueError):
    """The settings cannot be used; one sentence that names the setting and the remedy, never a secret."""


def read(path: Path) -> dict[str, str]:
    """The names and values of ``path``; an absent file is empty, the last of a repeated name counts."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path.name} is not UTF-8 text; save it again with that encoding.") from error
    except OSError as error:
        raise SettingsError(f"{path.name} cannot be read ({error.strerror}); check its owner and mode.") from error
    values = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if not equals or not name.strip().isidentifier():
            raise SettingsError(f"{path.name}, line {number}: expected NAME=value, or a comment that starts with #.")
        try:
            values[name.strip()] = _unquoted(value.strip())
        except ValueError as error:
            raise SettingsError(f"{path.name}, line {number}: {error}") from None
    return values


def _unquoted(value: str) -> str:
    if value[:1] in ("'", '"'):
        end = value.find(value[0], 1)
        if end < 0:
            raise ValueError(f"the value begins with {value[0]} and never ends; close the quote, or remove it.")
        return value[1:end]
    if value.startswith("#"):
        return ""
    return value.split(" #", 1)[0].rstrip()


def assign(path: Path, changes: Mapping[str, str]) -> None:
    """Set names in ``path``, every other line as it was; the new file replaces the old at once, mode 0600."""
    lines = path.read_text(encoding="utf-8-sig").splitlines() if path.exists() else []
    left = dict(changes)
    kept = []
    for line in lines:
        name = line.strip().removeprefix("export ").partition("=")[0].strip()
        if name not in changes:
            kept.append(line)
        elif name in left:
            kept.append(f"{name}={left.pop(name)}")
    kept += [f"{name}={value}" for name, value in left.items()]
    _replace(path, "\n".join(kept) + "\n")


def _replace(path: Path, text: str) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
