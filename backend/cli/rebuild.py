"""``qt rebuild``: a version made again from the rows that it was made of."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.cli.assembly import assembled
from backend.cli.completion import complete_version
from backend.cli.output import JsonOption, answer, progress_bar
from backend.errors import UnavailableError
from backend.learning.versions.rebuild import rebuild as make_again


def rebuild(
    version: Annotated[
        str,
        typer.Argument(metavar="VERSION", help="Such as v20251112_150000.", autocompletion=complete_version),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the file there, such as in a lost one's place.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a version again from the same rows, and prove that the same file comes out.

    Where it does not, the sentence says what has changed: rows, recipe or libraries. Nothing is stored or activated.
    """
    with assembled() as assembly, progress_bar("Rebuilding", quiet=as_json) as progress:
        rebuilt = make_again(assembly.database, assembly.trainer, version, progress)
    told = {**rebuilt.as_dict(), "file": None}
    if out is not None:
        _write(out.absolute(), rebuilt.artifact)
        told["file"] = str(out)
    answer(told, as_json, _show)


def _write(path: Path, blob: bytes) -> None:
    """Write the file whole, then give it its name."""
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(blob)
            handle.flush()
            os.fsync(handle.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise UnavailableError(
            f"{path} cannot be written: {error.strerror or error}. Name a file in a folder that can be written to.",
            reason="file_unwritable",
        ) from error


def _show(told: Mapping[str, Any]) -> None:
    print(f"{told['version_id']} came out the same, byte for byte, from {told['rows']:,} rows.")
    print(f"SHA-256 {told['sha256']} ({told['artifact_bytes']:,} bytes)")
    if told["file"]:
        print(f"Written to {told['file']}.")
