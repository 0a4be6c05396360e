"""What only the store on disk does: files, limits, errors of the machine."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from flowmetal.errors import FlowmetalError, HomeError, InternalError, JournalError, QuotaError, StorageError
from flowmetal.journal import event_reading, events, keys
from flowmetal.journal import home as homes
from flowmetal.journal.journal import Journal
from flowmetal.journal.lmdb_store import LmdbStore
from flowmetal.journal.storage_errors import translate
from flowmetal.journal.writer import Writer
from tests.journal.journal_samples import HeldClock, request, root_header


def test_files_are_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "home" / "journal"
    LmdbStore(path).close()
    assert [oct(part.stat().st_mode & 0o777) for part in (path, path.parent, path.parent.parent)] == ["0o700"] * 3
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in path.iterdir()} == {
        "data.mdb": "0o600",
        "lock.mdb": "0o600",
    }


def test_a_directory_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    LmdbStore(tmp_path).close()
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_new_journal_takes_little_of_the_disk(tmp_path: Path) -> None:
    LmdbStore(tmp_path).close()
    assert (tmp_path / "data.mdb").stat().st_blocks * 512 < 200_000


def test_a_path_below_a_file_is_a_home_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "journal"):
        with pytest.raises(HomeError) as raised:
            LmdbStore(path)
        assert raised.value.place == str(path)
        assert "FLOWMETAL_HOME" in raised.value.remedy


@pytest.mark.parametrize("level", ["full", "os"])
def test_what_was_committed_is_there_after_reopening(tmp_path: Path, level: str) -> None:
    for number in range(3):
        store = LmdbStore(tmp_path, durability=level)  # type: ignore[arg-type]  # both of its literals
        with store.update() as update:
            assert update.get("meta", b"n") == (str(number).encode() if number else None)
            update.put("meta", b"n", str(number + 1).encode())
        store.close()


def test_reading_only(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="no journal"):
        LmdbStore(tmp_path, read_only=True)
    assert list(tmp_path.iterdir()) == []
    store = LmdbStore(tmp_path)
    Journal(store, tmp_path, HeldClock()).begin(request(), None)
    store.close()
    store = LmdbStore(tmp_path, read_only=True)
    journal = Journal(store, tmp_path, HeldClock())
    assert journal.require("etl").run_id == "etl"
    assert len(list(journal.history("etl"))) == 1
    with pytest.raises(HomeError, match="reading only"):
        journal.begin(request("new"), None)
    store.close()


def test_another_process_is_seen(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path)
    before = store.last_transaction()
    script = (
        "import sys; from pathlib import Path; from flowmetal.journal.lmdb_store import LmdbStore\n"
        "with LmdbStore(Path(sys.argv[1])).update() as update: update.put('meta', b'k', b'v')"
    )
    checkout = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=checkout)
    assert store.last_transaction() > before
    with store.view() as view:
        assert view.get("meta", b"k") == b"v"
    store.close()


def test_the_same_directory_twice_in_a_process_is_an_error_of_ours(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path)
    with pytest.raises(HomeError, match="already open"):
        LmdbStore(tmp_path)
    store.close()


# -- damaged files -------------------------------------------------------------------------------------


def filled(path: Path) -> Path:
    store = LmdbStore(path)
    with store.update() as update:
        for number in range(200):
            update.put("blobs", b"%d" % number, bytes(4000))
    store.close()
    return path / "data.mdb"


@pytest.mark.parametrize("content", [b"not a journal" * 1000, bytes(100_000)])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.mdb").write_bytes(content)
    with pytest.raises(JournalError) as raised:
        LmdbStore(tmp_path)
    assert raised.value.remedy


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_a_file_cut_off_is_refused_instead_of_killing_the_process(tmp_path: Path, keep: float) -> None:
    data = filled(tmp_path)
    size = int(data.stat().st_size * keep)
    with data.open("r+b") as file:
        file.truncate(size)
    with pytest.raises(JournalError, match="cut off"):
        LmdbStore(tmp_path)
    with pytest.raises(JournalError, match="cut off"):
        LmdbStore(tmp_path, read_only=True)


def test_an_environment_of_something_else_is_no_journal(tmp_path: Path) -> None:
    environment = lmdb.open(str(tmp_path))
    with environment.begin(write=True) as transaction:
        transaction.put(b"key", b"value")
    environment.close()
    with pytest.raises(JournalError, match="not a journal"):
        LmdbStore(tmp_path, read_only=True)


def test_an_emptied_file_in_a_home_that_was_used_is_no_new_journal(tmp_path: Path) -> None:
    data = filled(tmp_path / "journal")
    data.write_bytes(b"")
    (tmp_path / "engines").mkdir()
    with pytest.raises(JournalError, match="is empty") as raised:
        LmdbStore(tmp_path / "journal")
    assert (raised.value.place, raised.value.exit_code) == (str(data), 3)
    assert "move it away" in raised.value.remedy


def test_a_file_that_was_never_filled_is_a_new_journal(tmp_path: Path) -> None:
    """As a process leaves it that is killed while it makes the home."""
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "data.mdb").touch()
    store = LmdbStore(tmp_path / "journal")
    assert store.last_transaction() > 0
    store.close()


@pytest.mark.parametrize("taken", [".", "journal", "journal/data.mdb", "journal/lock.mdb"])
def test_a_journal_that_is_taken_away_is_noticed_and_goes_on_when_it_is_back(tmp_path: Path, taken: str) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    store = LmdbStore(home / "journal", durability="os")
    before = store.last_transaction()
    (home / taken).rename(away)
    for _ in range(2):
        with pytest.raises(HomeError, match="moved, removed or replaced"), store.update() as update:
            update.put("meta", b"n", b"1")
        with pytest.raises(HomeError, match="moved, removed or replaced"):
            store.last_transaction()
    if taken.endswith(".mdb"):
        (home / taken).touch()
        with pytest.raises(HomeError), store.update():
            pass
    away.replace(home / taken)
    assert store.last_transaction() == before
    with store.update() as update:
        update.put("meta", b"n", b"2")
    store.close()


SMALL_DISK = """
import sys
from pathlib import Path
from flowmetal.errors import StorageError
from flowmetal.journal.lmdb_store import LmdbStore

store = LmdbStore(Path(sys.argv[1]), durability="os")
number = 0
try:
    while True:
        number += 1
        with store.update() as update:
            update.put("blobs", b"%d" % number, bytes(100_000))
except StorageError as error:
    print(error.show())
"""


def test_a_full_disk_is_called_full(tmp_path: Path) -> None:
    """LMDB tells a write of which a part had room from a broken disk by nothing."""
    script = 'mount -t tmpfs -o size=3m tmpfs "$1" && exec "$2" -c "$3" "$1/journal"'
    command = ["unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path), sys.executable, SMALL_DISK]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    except FileNotFoundError:
        pytest.skip("a small disk of its own takes unshare(1), which is on Linux")
    if "unshare failed" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"this system gives no small disk to a test: {done.stderr.strip()}")
    assert done.stdout.startswith("error: the disk refused, which is full: "), done.stdout + done.stderr
    assert "help: make room" in done.stdout


# -- the quota -----------------------------------------------------------------------------------------


def test_the_quota_is_named_and_loses_nothing(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, durability="os", quota_bytes=2_000_000)
    journal = Journal(store, tmp_path, HeldClock())
    writer = Writer(store)
    durable = 1

    def fill() -> None:
        nonlocal durable
        for run in range(1000):
            run_id = f"run{run}"
            writer.put_header(root_header(run_id, status="ok", finished_ms=1))
            for number in range(10):
                writer.append(run_id.encode(), events.result(1, number, bytes(1000)))
            durable = writer.commit()

    with pytest.raises(QuotaError) as raised:
        fill()
    assert "2,000,000" in raised.value.message
    assert "flowmetal gc" in raised.value.remedy
    assert 1_500_000 < store.size_bytes() <= 2_000_000
    assert (writer.pending, writer.durable_sequence) == (11, durable)
    with pytest.raises(QuotaError):
        writer.commit()
    assert sum(1 for header in journal.roots() for _ in journal.history(header.run_id)) == durable - 1
    journal.gc(0)
    assert writer.commit() == durable + 10
    assert store.size_bytes() < 200_000
    store.close()


def test_one_large_batch_meets_the_quota_too(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, durability="os", quota_bytes=1_000_000)
    with pytest.raises(QuotaError), store.update() as update:
        update.put("blobs", b"key", bytes(2_000_000))
    with store.view() as view:
        assert view.get("blobs", b"key") is None
    store.close()


# -- errors of the machine -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "family"),
    [
        (lmdb.DiskError("mdb_put"), StorageError),
        (lmdb.MapFullError("mdb_put"), StorageError),
        (lmdb.Error("mdb_txn_commit: Input/output error"), StorageError),
        (lmdb.Error("mdb_txn_commit: No space left on device"), StorageError),
        (OSError(errno.ENOSPC, "No space left on device"), StorageError),
        (lmdb.MemoryError("mdb_env_open"), StorageError),
        (lmdb.CorruptedError("mdb_get"), JournalError),
        (lmdb.PageNotFoundError("mdb_get"), JournalError),
        (lmdb.InvalidError("mdb_env_open"), JournalError),
        (lmdb.BadTxnError("mdb_get"), JournalError),
        (lmdb.VersionMismatchError("mdb_env_open"), JournalError),
        (lmdb.ReadersFullError("mdb_txn_begin"), HomeError),
        (lmdb.ReadonlyError("mdb_put"), HomeError),
        (lmdb.Error("mdb_env_open: Permission denied"), HomeError),
        (PermissionError(errno.EACCES, "Permission denied"), HomeError),
        (lmdb.BadValsizeError("mdb_put"), InternalError),
    ],
)
def test_errors_of_lmdb_become_ours(error: Exception, family: type[FlowmetalError]) -> None:
    translated = translate(error, Path("/home"))
    assert type(translated) is family
    assert translated.place == "/home"


def test_errors_inside_of_transactions_become_ours(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path)
    with pytest.raises(StorageError), store.update():
        raise lmdb.DiskError("mdb_txn_commit")
    with pytest.raises(JournalError), store.view():
        raise lmdb.CorruptedError("mdb_get")
    store.close()


FULL_DISK = """
import resource, sys
from pathlib import Path
from flowmetal.errors import StorageError
from flowmetal.journal import events, keys
from flowmetal.journal.lmdb_store import LmdbStore
from flowmetal.journal.writer import Writer

store = LmdbStore(Path(sys.argv[1]))
writer = Writer(store)
writer.append(b"etl", events.timer_fired(1, 1))
writer.commit()
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    while True:
        writer.append(b"etl", events.result(1, 1, bytes(10_000)))
        writer.commit()
except StorageError as error:
    print(writer.durable_sequence, writer.pending)
    print(error.show())
"""


def test_a_full_disk_ends_with_everything_that_was_durable(tmp_path: Path) -> None:
    """A limit on the file's size refuses writes as a full disk does."""
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    durable, pending = map(int, done.stdout.splitlines()[0].split())
    assert durable > 5
    assert pending == 1
    assert "the disk refused" in done.stdout
    assert "help: make room" in done.stdout
    assert done.stderr == ""
    store = LmdbStore(tmp_path)
    journal = Journal(store, tmp_path, HeldClock())
    assert [sequence for sequence, _ in journal.history("etl")] == list(range(2, durable + 1))
    store.close()


LITTLE_ADDRESS_SPACE = """
import resource, sys
from pathlib import Path
from flowmetal.errors import StorageError
from flowmetal.journal.lmdb_store import LmdbStore

resource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32))
try:
    LmdbStore(Path(sys.argv[1]))
except StorageError as error:
    print(error.show())
"""


def test_a_limit_on_address_space_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LITTLE_ADDRESS_SPACE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert "does not fit into the address space" in done.stdout
    assert "ulimit -v" in done.stdout


MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/vdb /home/local ext4 rw 0 0
//server/share /mnt/my\\040share cifs rw 0 0
tmpfs /tmp tmpfs rw 0 0
server:/x /tmp nfs rw 0 0
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/x", "ext4"),
        ("/home/me", "nfs4"),
        ("/homes/me", "ext4"),
        ("/home/local/me", "ext4"),
        ("/mnt/my share/x", "cifs"),
        ("/tmp/x", "nfs"),
    ],
)
def test_network_file_systems_are_refused(path: str, kind: str) -> None:
    assert homes.file_system_of(Path(path), MOUNTS) == kind
    if kind == "ext4":
        homes.refuse_network_file_system(Path(path), MOUNTS)
    else:
        with pytest.raises(HomeError, match=kind) as raised:
            homes.refuse_network_file_system(Path(path), MOUNTS)
        assert "local disk" in raised.value.remedy


def test_without_a_list_of_mounts_nothing_is_refused() -> None:
    homes.refuse_network_file_system(Path("/home"), "")


COMMITTING = """
import sys
from pathlib import Path
from flowmetal.journal import events, keys
from flowmetal.journal.lmdb_store import LmdbStore
from flowmetal.journal.writer import Writer

writer = Writer(LmdbStore(Path(sys.argv[1]), durability="os"), int(sys.argv[2]))
while True:
    for number in range(7):
        writer.append(b"a" if number % 2 else b"b", events.result(1, number, bytes(number * 500)))
    print(writer.commit(), flush=True)
"""


def test_a_process_killed_while_committing_leaves_a_prefix(tmp_path: Path) -> None:
    """Everything it said was durable is there, a batch is there whole or not at all, and nothing is damaged."""
    sequence = 2
    for life in range(4):
        command = [sys.executable, "-c", COMMITTING, str(tmp_path), str(sequence)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        assert process.stdout
        for _ in range(20 + 37 * life):
            process.stdout.readline()
        process.kill()
        said = int((process.communicate()[0].split("\n")[:-1] or [sequence - 1])[-1])
        store = LmdbStore(tmp_path)
        with store.view() as view:
            pairs = list(view.scan("events"))
        store.close()
        for key, data in pairs:
            event_reading.decode(data, str(key))
        sequences = sorted(keys.sequence_of(key) for key, _ in pairs)
        assert sequences == list(range(2, sequences[-1] + 1))
        assert sequences[-1] >= said
        assert (sequences[-1] - 1) % 7 == 0
        sequence = sequences[-1] + 1
