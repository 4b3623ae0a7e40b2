"""A backup's file: a tar that begins with a manifest of every member, and is believed only as far as it fits that."""

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Any

from backend import system
from backend.errors import ConflictError, InvalidInputError, UnavailableError
from backend.operations.backup_manifest import FORMAT, MANIFEST, Manifest, Member, damaged, read_manifest

Progress = Callable[[str, float], None]

PLAIN, PACKED = (".tar",), (".tar.gz", ".tgz")
GZIP_MAGIC = b"\x1f\x8b"
GZIP_LEVEL = 4
PIECE = 1 << 20
MOST_AT_ONCE = 64 << 20
DAMAGE = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError, RecursionError)


def member_of(name: str, file: Path) -> Member:
    """The file as a member of that name."""
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as handle:
        while piece := handle.read(PIECE):
            digest.update(piece)
            size += len(piece)
    return Member(name, size, digest.hexdigest())


def check_name(file: Path, *, overwrite: bool) -> None:
    """Refuse a file that cannot be written, before anything is read."""
    if not file.name.endswith(PLAIN + PACKED):
        raise InvalidInputError(
            f"{file} must end in .tar.gz, .tgz or .tar.", field="file", reason="backup_name_unknown"
        )
    if not file.parent.is_dir():
        raise InvalidInputError(f"The folder {file.parent} does not exist. Make it first.", field="file")
    if file.exists() and not overwrite:
        raise _exists(file)


def write_archive(
    file: Path, manifest: dict[str, Any], members: Sequence[tuple[Member, Path]], *, overwrite: bool, progress: Progress
) -> None:
    """Write the backup whole: under a name of its own first, on the disk, then under ``file``."""
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as handle:
            with _packed(handle, file) as archive:
                told = {"format": FORMAT, **manifest, "members": [asdict(member) for member, _ in members]}
                _add_bytes(archive, MANIFEST, json.dumps(told, indent=2).encode())
                _add_files(archive, members, progress)
            handle.flush()
            os.fsync(handle.fileno())
        _name(Path(temporary), file, overwrite=overwrite)
        system.sync_folder(file.parent)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _name(temporary: Path, file: Path, *, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(file)
        return
    try:
        system.link_new(temporary, file)
    except FileExistsError:
        raise _exists(file) from None


def _exists(file: Path) -> ConflictError:
    return ConflictError(f"{file} exists. Name another file, or say --overwrite.", reason="backup_exists")


def _packed(handle: IO[bytes], file: Path) -> tarfile.TarFile:
    if file.name.endswith(PACKED):
        return tarfile.open(fileobj=handle, mode="w:gz", compresslevel=GZIP_LEVEL)
    return tarfile.open(fileobj=handle, mode="w:")


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    archive.addfile(entry, io.BytesIO(content))


def _add_files(archive: tarfile.TarFile, members: Sequence[tuple[Member, Path]], progress: Progress) -> None:
    total, done = sum(member.size for member, _ in members) or 1, 0
    for member, path in members:
        entry = tarfile.TarInfo(member.name)
        entry.size, entry.mode = member.size, 0o600
        with path.open("rb") as handle:
            archive.addfile(entry, _Told(handle, partial(_tell, progress, done, total)))
        done += member.size


def _tell(progress: Progress, before: int, total: int, read: int) -> None:
    progress("packing", (before + read) / total)


class _Told:
    """A file that says how far it has been read."""

    def __init__(self, handle: IO[bytes], tell: Callable[[int], None]) -> None:
        self._handle, self._tell, self._read = handle, tell, 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        piece = self._handle.read(size)
        self._read += len(piece)
        self._tell(self._read)
        return piece


def extract(file: Path, folder: Path, progress: Progress) -> Manifest:
    """Unpack a backup into an empty folder and give its manifest; whatever does not fit that is refused.

    Names, kinds, sizes and digests are compared before a member counts: nothing outside the folder is written, and no
    more than the manifest says, for which there must be room.
    """
    with _readable(file), _opened(file) as archive:
        entries = iter(archive)
        manifest = _manifest(archive, next(entries, None), file)
        _check_room(manifest, folder, file)
        expected = {member.name: member for member in manifest.members}
        total, done = manifest.size or 1, 0
        for entry in entries:
            member = _expected(entry, expected, file)
            target = folder / member.name
            target.parent.mkdir(exist_ok=True)
            for size in _copied(archive, entry, member, target):
                done += size
                progress("verifying", done / total)
            del expected[member.name]
        if expected:
            raise damaged(file, f"it ends before {min(expected)}")
    return manifest


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Whatever a broken file makes the readers say becomes one sentence."""
    try:
        yield
    except DAMAGE as error:
        raise damaged(file, str(error) or "it ends too early") from error
    except OSError as error:
        raise UnavailableError(f"{file} cannot be unpacked: {error.strerror or error}.", reason="backup_io") from error


@contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        handle = file.open("rb")
    except OSError as error:
        raise InvalidInputError(
            f"{file} cannot be read: {error.strerror or error}.", field="file", reason="backup_unreadable"
        ) from error
    with handle:
        packed = handle.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        handle.seek(0)
        with _tar(_Bounded(gzip.GzipFile(fileobj=handle) if packed else handle), file) as archive:
            yield archive


def _tar(source: "_Bounded", file: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=source, mode="r:")
    except tarfile.ReadError as error:
        raise InvalidInputError(
            f"{file} is no backup: {error}. Name a file that qt backup wrote.", field="file", reason="backup_damaged"
        ) from error


class _Bounded(io.BufferedIOBase):
    """A file that gives no more than a bounded piece at once: a header may claim to be as long as it likes."""

    def __init__(self, handle: IO[bytes] | gzip.GzipFile) -> None:
        super().__init__()
        self._handle = handle

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes."""
        if size is None or not 0 <= size <= MOST_AT_ONCE:
            raise tarfile.ReadError(f"a header claims {size} bytes")
        return self._handle.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return self._handle.seek(offset, whence)

    def tell(self) -> int:
        """Where it is."""
        return self._handle.tell()


def _manifest(archive: tarfile.TarFile, entry: tarfile.TarInfo | None, file: Path) -> Manifest:
    if entry is None or entry.name != MANIFEST or not _is_plain(entry) or entry.size > MOST_AT_ONCE:
        raise damaged(file, f"it does not begin with {MANIFEST}")
    handle = archive.extractfile(entry)
    return read_manifest(handle.read() if handle else b"", file)


def _check_room(manifest: Manifest, folder: Path, file: Path) -> None:
    """Refuse what would fill the disk, before the first byte is written."""
    free = shutil.disk_usage(folder).free
    if manifest.size > free:
        raise UnavailableError(
            f"{file} unpacks to {manifest.size / 1e6:,.1f} MB, and the disk of {folder.parent} has {free / 1e6:,.1f} MB"
            " free. Make room there; nothing was changed.",
            reason="backup_io",
        )


def _is_plain(entry: tarfile.TarInfo) -> bool:
    """Whether it is a file with all its bytes: no link, no folder, and none with holes, which unpack to any size."""
    return entry.isreg() and not entry.issparse()


def _expected(entry: tarfile.TarInfo, expected: dict[str, Member], file: Path) -> Member:
    """The member that the entry is; a link, a folder, or a name that the manifest lacks is refused."""
    member = expected.get(entry.name)
    if member is None or not _is_plain(entry):
        raise damaged(file, f"it holds {entry.name[:80]!r}, which its manifest does not name as a file")
    if entry.size != member.size:
        raise damaged(file, f"{entry.name} has {entry.size} bytes instead of {member.size}")
    return member


def _copied(archive: tarfile.TarFile, entry: tarfile.TarInfo, member: Member, target: Path) -> Iterator[int]:
    """Write the member to the disk, saying how much each time; tarfile.ReadError where its digest is another."""
    handle, digest = archive.extractfile(entry), hashlib.sha256()
    with target.open("xb") as copy:
        while handle is not None and (piece := handle.read(PIECE)):
            digest.update(piece)
            copy.write(piece)
            yield len(piece)
        copy.flush()
        os.fsync(copy.fileno())
    if digest.hexdigest() != member.sha256:
        raise tarfile.ReadError(f"{member.name} is not what was backed up, its SHA-256 differs")
