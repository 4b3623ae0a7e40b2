"""A backup's file: whole or refused, whatever was done to it."""

import io
import json
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.errors import ConflictError, InvalidInputError, UnavailableError
from backend.operations.backup_archive import check_name, extract, member_of, write_archive
from backend.operations.backup_manifest import MANIFEST, Manifest

MODEL = "models/xgb_model_v20260302_120000.pkl"


def silent(_stage: str, _share: float) -> None:
    """Nobody watches."""


def write(folder: Path, name: str = "backup.tar.gz", **more: Any) -> Path:
    """A backup of a database of 200,000 bytes and one model."""
    sources = {"database.sqlite": bytes(range(250)) * 800, MODEL: b"model" * 100}
    members = []
    for number, (member, content) in enumerate(sources.items()):
        path = folder / f"source-{number}"
        path.write_bytes(content)
        members.append((member_of(member, path), path))
    manifest = {"created_at": "2026-03-02T12:00:00Z", "database": {"kind": "sqlite", "revision": "0002"}, **more}
    write_archive(folder / name, manifest, members, overwrite=True, progress=silent)
    return folder / name


def unpack(file: Path, folder: Path) -> Manifest:
    target = folder / "unpacked"
    target.mkdir()
    return extract(file, target, silent)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["backup.tar", "backup.tar.gz", "backup.tgz"])
def test_what_went_in_comes_out(tmp_path: Path, name: str) -> None:
    manifest = unpack(write(tmp_path, name), tmp_path)

    assert files_of(tmp_path / "unpacked") == {
        "database.sqlite": bytes(range(250)) * 800,
        MODEL: b"model" * 100,
    }
    assert [(member.name, member.size) for member in manifest.members] == [("database.sqlite", 200_000), (MODEL, 500)]
    assert (manifest.kind, manifest.size) == ("sqlite", 200_500)
    assert manifest.created_at == datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def test_any_tar_program_can_read_it(tmp_path: Path) -> None:
    with tarfile.open(write(tmp_path)) as archive:
        assert archive.getnames() == [MANIFEST, "database.sqlite", MODEL]
        assert {entry.mode for entry in archive} == {0o600}


def test_progress_goes_from_nothing_to_all(tmp_path: Path) -> None:
    shares: list[float] = []
    path = tmp_path / "source"
    path.write_bytes(b"x" * 100_000)
    manifest = {"database": {"kind": "sqlite"}}
    member = member_of("database.sqlite", path)

    write_archive(
        tmp_path / "a.tar", manifest, [(member, path)], overwrite=False, progress=lambda _, share: shares.append(share)
    )

    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize("name", ["backup.zip", "backup", "backup.gz"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match="must end in") as told:
        check_name(tmp_path / name, overwrite=False)

    assert told.value.reason == "backup_name_unknown"


def test_a_file_that_exists_stays_unless_it_may_go(tmp_path: Path) -> None:
    file = write(tmp_path)

    with pytest.raises(ConflictError, match="--overwrite"):
        check_name(file, overwrite=False)
    check_name(file, overwrite=True)


def test_one_that_appears_meanwhile_stays_too(tmp_path: Path) -> None:
    file, path = tmp_path / "a.tar", tmp_path / "source"
    path.write_bytes(b"x")

    def appearing(_stage: str, _share: float) -> None:
        file.write_text("another's")

    with pytest.raises(ConflictError):
        write_archive(
            file,
            {"database": {"kind": "sqlite"}},
            [(member_of("database.sqlite", path), path)],
            overwrite=False,
            progress=appearing,
        )

    assert file.read_text() == "another's"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.tar", "source"]


def test_a_backup_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"x" * 1000)
    member = member_of("database.sqlite", path)
    path.write_bytes(b"x" * 10)

    with pytest.raises(OSError, match="unexpected end of data"):
        write_archive(
            tmp_path / "a.tar", {"database": {"kind": "sqlite"}}, [(member, path)], overwrite=False, progress=silent
        )

    assert [one.name for one in tmp_path.iterdir()] == ["source"]


def refusal(file: Path, folder: Path) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as told:
        unpack(file, folder)
    assert "\n" not in told.value.message
    return told.value


@pytest.mark.parametrize("name", ["backup.tar", "backup.tar.gz"])
@pytest.mark.parametrize("share", [0.0, 0.0005, 0.002, 0.1, 0.5, 0.9, 0.95])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, name: str, share: float) -> None:
    file = write(tmp_path, name)
    whole = file.read_bytes()
    content = len(whole.rstrip(b"\0"))  # a tar ends in blanks that nobody needs
    file.write_bytes(whole[: int(share * content)])

    assert refusal(file, tmp_path).reason == "backup_damaged"


def test_a_file_that_ends_between_two_members_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, "backup.tar")
    with tarfile.open(file) as archive:
        place = archive.getmembers()[2].offset
    file.write_bytes(file.read_bytes()[:place])

    assert f"it ends before {MODEL}" in refusal(file, tmp_path).message


@given(place=st.floats(0, 1), flipped=st.integers(1, 255))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", ["backup.tar", "backup.tar.gz"])
def test_a_flipped_byte_never_brings_other_content(
    tmp_path_factory: pytest.TempPathFactory, name: str, place: float, flipped: int
) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    file = write(folder, name)
    whole = bytearray(file.read_bytes())
    whole[min(int(place * len(whole)), len(whole) - 1)] ^= flipped
    file.write_bytes(whole)

    told = None
    try:
        unpack(file, folder)
    except InvalidInputError as error:
        told = error.message

    found = files_of(folder / "unpacked")
    assert told is not None or found == {"database.sqlite": bytes(range(250)) * 800, MODEL: b"model" * 100}
    assert "\n" not in (told or "")


Entry = tuple[tarfile.TarInfo, bytes]


def forge(folder: Path, change: Callable[[list[Entry]], None]) -> Path:
    """A backup whose entries were changed by somebody who knows tar."""
    with tarfile.open(write(folder)) as archive:
        entries = [(entry, (archive.extractfile(entry) or io.BytesIO()).read()) for entry in archive]
    change(entries)
    with tarfile.open(folder / "forged.tar", "w") as archive:
        for entry, content in entries:
            entry.size = len(content) if entry.isreg() else 0
            archive.addfile(entry, io.BytesIO(content))
    return folder / "forged.tar"


def manifest_with(entries: list[Entry], **changes: Any) -> None:
    told = json.loads(entries[0][1]) | changes
    entries[0] = (entries[0][0], json.dumps(told).encode())


def renamed(name: str) -> Callable[[list[Entry]], None]:
    def change(entries: list[Entry]) -> None:
        told = json.loads(entries[0][1])
        told["members"][1]["name"] = name
        manifest_with(entries, members=told["members"])
        entries[2][0].name = name

    return change


def linked(kind: bytes) -> Callable[[list[Entry]], None]:
    def change(entries: list[Entry]) -> None:
        entry = entries[2][0]
        entry.type, entry.linkname = kind, "/etc/passwd"

    return change


def added(name: str) -> Callable[[list[Entry]], None]:
    def change(entries: list[Entry]) -> None:
        entries.append((tarfile.TarInfo(name), b"more"))

    return change


def twice(entries: list[Entry]) -> None:
    entries.append(entries[2])


def another_content(entries: list[Entry]) -> None:
    entries[2] = (entries[2][0], b"other" * 100)


def longer(entries: list[Entry]) -> None:
    entries[2] = (entries[2][0], b"model" * 101)


def without_database(entries: list[Entry]) -> None:
    del entries[1]


def last_first(entries: list[Entry]) -> None:
    entries.insert(0, entries.pop())


def no_json(entries: list[Entry]) -> None:
    entries[0] = (entries[0][0], b"{")


def of_a_later_form(entries: list[Entry]) -> None:
    manifest_with(entries, format="qt-backup/2")


def of_an_unknown_kind(entries: list[Entry]) -> None:
    manifest_with(entries, database={"kind": "oracle"})


def without_members(entries: list[Entry]) -> None:
    manifest_with(entries, members=None)


def saying(**changes: Any) -> Callable[[list[Entry]], None]:
    return lambda entries: manifest_with(entries, **changes)


def with_member(**changes: Any) -> Callable[[list[Entry]], None]:
    def change(entries: list[Entry]) -> None:
        members = json.loads(entries[0][1])["members"]
        manifest_with(entries, members=[members[0], members[1] | changes])

    return change


def written(content: bytes) -> Callable[[list[Entry]], None]:
    def change(entries: list[Entry]) -> None:
        entries[0] = (entries[0][0], content)

    return change


def without_a_time(entries: list[Entry]) -> None:
    told = json.loads(entries[0][1])
    del told["created_at"]
    written(json.dumps(told).encode())(entries)


def with_holes(entries: list[Entry]) -> None:
    """The model as a sparse file: one byte, and a hole up to its size."""
    entries[2][0].pax_headers = {"GNU.sparse.size": "500", "GNU.sparse.numblocks": "1", "GNU.sparse.map": "0,500"}


@pytest.mark.parametrize(
    "change",
    [
        *(renamed(name) for name in ("../evil.pkl", "/tmp/evil.pkl", "models/../../evil.pkl", "models/.hidden", "x")),
        *(renamed(name) for name in ("models/xgb_model_v20260302_120000.pkl/..", "models\\evil.pkl", "")),
        *(
            linked(kind)
            for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
        ),
        added("../evil"),
        added("models/xgb_model_v20260302_120001.pkl"),
        twice,
        another_content,
        longer,
        without_database,
        last_first,
        no_json,
        of_a_later_form,
        of_an_unknown_kind,
        without_members,
        without_a_time,
        *(saying(created_at=value) for value in (None, 5, "", "\x1b[31mred", "2026-03-02T12:00:00", [], {})),
        *(saying(created_at=value) for value in ("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-14:00")),
        *(saying(database=value) for value in (None, "sqlite", {}, {"kind": None}, {"kind": ["sqlite"]})),
        *(saying(members=value) for value in ({}, "x", [None], [[]], [{}])),
        *(with_member(size=value) for value in (None, "500", 500.0, True, -1, 1e999, 10**4000, 1 << 61)),
        *(with_member(name=value) for value in (None, 5, [], "database.dump", "\x1b[31mred")),
        *(with_member(sha256=value) for value in (None, 5, "", "A" * 64)),
        *(written(content) for content in (b"", b"[]", b"null", b"\xff", b'{"a":' * 100_000, b"[" * 100_000)),
        with_holes,
    ],
)
def test_what_was_forged_is_refused_and_nothing_is_written_outside(
    tmp_path: Path, change: Callable[[list[Entry]], None]
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    file = forge(inner, change)
    before = {path for path in tmp_path.rglob("*") if "unpacked" not in path.parts}

    told = refusal(file, inner)

    assert told.message.isprintable()
    assert told.reason in ("backup_damaged", "backup_newer")
    after = {path for path in tmp_path.rglob("*") if "unpacked" not in path.parts}
    assert after == before
    assert all(path.is_file() or path.is_dir() for path in (inner / "unpacked").rglob("*"))


def test_what_needs_more_room_than_there_is_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    file = forge(tmp_path, with_member(size=1 << 59))

    with pytest.raises(UnavailableError, match=r"576,460,752,303\.[0-9] MB, and the disk of .* free") as told:
        unpack(file, tmp_path)

    assert told.value.reason == "backup_io"
    assert files_of(tmp_path / "unpacked") == {}


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_claims_to_be_endless_is_not_read(tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = kind, 1 << 33
    file = tmp_path / "a.tar"
    file.write_bytes(header.tobuf(tarfile.GNU_FORMAT))
    with file.open("r+b") as handle:
        handle.truncate(1 << 34)

    assert "claims" in refusal(file, tmp_path).message


def test_headers_within_headers_end_in_one_sentence(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type = tarfile.XGLTYPE
    (tmp_path / "a.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) * 5_000)

    assert refusal(tmp_path / "a.tar", tmp_path).reason == "backup_damaged"


def test_a_file_that_is_no_backup_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_text("hello" * 1000)

    assert "is no backup" in refusal(tmp_path / "a.tar", tmp_path).message


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.tar", tmp_path).reason == "backup_unreadable"
