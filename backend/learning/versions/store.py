"""The folder of published artifacts: written once and whole, and never read into a parser unverified."""

import os
import re
import stat
import tempfile
from pathlib import Path

from ai_engine import artifact
from backend import system
from backend.errors import ConflictError, UnavailableError

FILE_NAME = re.compile(r"xgb_model_v\d{8}_\d{6}\.pkl")
MARKER = re.compile(r"\.(?P<run_id>run-[0-9a-f]+)\.(?P<version_id>v\d{8}_\d{6})\.publishing")
MAX_ARTIFACT_BYTES = 256 * 1024 * 1024


class NameTakenError(Exception):
    """Another file has the version's name."""


class UnusableArtifactError(ConflictError):
    """A version's file is not there, or is not the one that was published."""


def _missing(name: str) -> UnusableArtifactError:
    return UnusableArtifactError(
        f"The file {name} is missing or cannot be read. Make it again with qt rebuild, fetch it from a"
        " backup, or activate another version.",
        reason="artifact_missing",
        file=name,
    )


def _corrupt(name: str, why: str) -> UnusableArtifactError:
    return UnusableArtifactError(
        f"The file {name} differs from what was published ({why}). Make it again with"
        " qt rebuild, fetch it from a backup, or activate another version.",
        reason="artifact_corrupt",
        file=name,
    )


class ArtifactStore:
    """Published ``.pkl`` files in one folder; temporary names begin with a dot."""

    def __init__(self, model_dir: Path) -> None:
        self.model_dir = model_dir

    def prepare(self) -> None:
        """Make the folder and prove that files can be written there; UnavailableError names the setting."""
        try:
            self.model_dir.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.model_dir, prefix=".probe-") as probe:
                probe.write(b"probe")
        except OSError as error:
            raise UnavailableError(
                f"QT_MODEL_DIR={self.model_dir} cannot hold models ({error.strerror or error}). Name a folder that can"
                " be written to, or mend this one.",
                reason="model_dir_unusable",
            ) from error

    def path_of(self, version_id: str) -> Path:
        """Where the version's file is or would be."""
        return self.model_dir / f"xgb_model_{version_id}.pkl"

    def write(self, version_id: str, blob: bytes, run_id: str = "run-0") -> Path:
        """Publish ``blob`` whole under its final name; NameTakenError where another file has it.

        A second, dotted name stays until ``settle`` or ``withdraw``, so that a crash in between can be undone.
        """
        self.model_dir.mkdir(parents=True, exist_ok=True)
        final = self.path_of(version_id)
        if final.exists():
            raise NameTakenError(final.name)
        marker = self._marker(version_id, run_id)
        with marker.open("xb") as handle:
            handle.write(blob)
            handle.flush()
            os.fsync(handle.fileno())
        try:
            system.link_new(marker, final)
        except FileExistsError as error:
            marker.unlink()
            raise NameTakenError(final.name) from error
        system.sync_folder(self.model_dir)
        return final

    def settle(self, version_id: str, run_id: str = "run-0") -> None:
        """Drop the dotted name: the version's row is stored."""
        self._marker(version_id, run_id).unlink(missing_ok=True)

    def withdraw(self, version_id: str, run_id: str = "run-0") -> None:
        """Take back a file whose row was not stored."""
        self.path_of(version_id).unlink(missing_ok=True)
        self._marker(version_id, run_id).unlink(missing_ok=True)

    def unsettled(self) -> list[tuple[str, str]]:
        """``(version_id, run_id)`` of every publication that neither settled nor was withdrawn."""
        if not self.model_dir.is_dir():
            return []
        found = (MARKER.fullmatch(path.name) for path in sorted(self.model_dir.iterdir()))
        return [(match["version_id"], match["run_id"]) for match in found if match]

    def read_verified(self, path: str | Path, *, sha256: str, size: int) -> bytes:
        """The bytes of the version's file, which are the published ones: 409 ``artifact_missing`` or ``…_corrupt``.

        Only the name of ``path`` counts: nothing outside the folder is ever read. The size is compared first.
        """
        name = Path(path).name
        if not FILE_NAME.fullmatch(name):
            raise _missing(name)
        blob = self._read(name, size)
        try:
            artifact.verify(blob, sha256=sha256, size=size)
        except artifact.ArtifactError as error:
            raise _corrupt(name, str(error)) from error
        return blob

    def load(self, path: str | Path, *, sha256: str, size: int) -> artifact.Model:
        """The verified version as a model which answers its canaries as it did at training."""
        blob = self.read_verified(path, sha256=sha256, size=size)
        try:
            model = artifact.load(blob)
            model.check_canaries()
        except artifact.ArtifactError as error:
            raise _corrupt(Path(path).name, str(error)) from error
        return model

    def file_state(self, path: str | Path) -> tuple[int, int, int] | None:
        """What changes when the file does; None where there is none."""
        try:
            found = (self.model_dir / Path(path).name).stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _read(self, name: str, size: int) -> bytes:
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(self.model_dir / name, flags)
        except OSError as error:
            raise _missing(name) from error
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise _corrupt(name, "it is not a file")
            if found.st_size != size or size > MAX_ARTIFACT_BYTES:
                raise _corrupt(name, f"{found.st_size} bytes, {size} published")
            with os.fdopen(descriptor, "rb", closefd=False) as handle:
                return handle.read()
        finally:
            os.close(descriptor)

    def _marker(self, version_id: str, run_id: str) -> Path:
        return self.model_dir / f".{run_id}.{version_id}.publishing"
