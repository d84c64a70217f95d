"""Starting beside a database: what is refused stays as it was, and what a kill left is made good."""

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from serving import PROGRAM, request, rest, serving, status, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")


def files(folder):
    """Return what is in the files of a folder, without empty logs and without the index that SQLite makes anew."""
    found = (path for path in folder.iterdir() if not path.name.endswith("-shm") and path.name != "lock")
    return {path.name: path.read_bytes() for path in found if path.name != "hitring.db-wal" or path.stat().st_size}


def complaint(folder, *options):
    """Start a server that cannot start, and return its only line."""
    command = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--data", folder, "--max-endpoints", "16", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert done.stderr.count("\n") == 1, done.stderr
    line = json.loads(done.stderr)
    assert line["level"] == "ERROR", line
    return line["message"]


def refused(folder):
    """Return the complaint of a server that leaves all files as they were."""
    before = files(folder)
    line = complaint(folder)
    assert files(folder) == before, line
    return line


@pytest.fixture
def data(tmp_path):
    """The directory of a server that was killed, with a resource and a hit, which is written down."""
    with serving(tmp_path, "--max-endpoints", "16") as server:
        made = server.post("/resources", {"name": "a page"}, 201)
        server.post("/hits", {"resource_id": made["resource_id"]}, 202)
        assert until(lambda: server.metric("hitring_unflushed_hits") == 0)
        server.stop(signal.SIGKILL)
    return tmp_path / "data"


def counted(folder, *options):
    """Start a server, and return the hits of each resource."""
    with serving(folder, "--max-endpoints", "16", *options) as server:
        made = server.get("/resources")["resources"]
        return [server.get(f"/hits/{one['resource_id']}")["count"] for one in made]


def test_a_newer_database_is_refused(tmp_path, data):
    database = sqlite3.connect(data / "hitring.db")
    database.execute("PRAGMA user_version = 99")
    # Its log is left beside it, as a kill leaves it.
    line = refused(data)
    assert "hitring.db" in line and "99" in line and "not changed" in line
    database.close()
    assert "99" in refused(data)
    database = sqlite3.connect(data / "hitring.db")
    database.execute("PRAGMA user_version = 1")
    database.close()
    assert counted(tmp_path) == [1]


def test_a_foreign_database_is_refused(data):
    database = sqlite3.connect(data / "hitring.db")
    database.execute("PRAGMA application_id = 1")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    assert "not a database of hitring" in refused(data)
    (data / "hitring.db").write_bytes(b"")
    assert "not a database of hitring" in refused(data)
    (data / "hitring.db").write_text("a text\n" * 100)
    assert "not a database of hitring" in refused(data)


def test_a_damaged_database_is_named(tmp_path, data):
    database = sqlite3.connect(data / "hitring.db")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    whole = (data / "hitring.db").read_bytes()
    page = 4096
    assert len(whole) >= 8 * page
    for damaged in (whole[: 3 * page], whole[:page] + bytes(page) + whole[2 * page :], whole[:200] + whole[300:]):
        (data / "hitring.db").write_bytes(damaged)
        line = refused(data)
        assert "hitring.db is damaged" in line and "not changed" in line
    (data / "hitring.db").write_bytes(whole)
    assert counted(tmp_path) == [1]


def test_a_database_that_is_not_as_it_was_made_is_named(data):
    database = sqlite3.connect(data / "hitring.db", isolation_level=None)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = (data / "hitring.db").read_bytes()
    for change, said in [
        ("DROP TABLE removal", "removal"),
        ("DELETE FROM meta", "meta"),
        ("PRAGMA user_version = 0", "version is 0"),
        ("PRAGMA user_version = -1", "version is -1"),
        ("ALTER TABLE resource ADD COLUMN more TEXT", "resource"),
    ]:
        database.execute(change)
        # In the log, and then in the file.
        for _ in range(2):
            line = refused(data)
            assert "is damaged" in line and said in line and len(line) < 400, line
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        (data / "hitring.db").write_bytes(whole)
        database = sqlite3.connect(data / "hitring.db", isolation_level=None)
    # Tables of others are theirs.
    database.execute("CREATE TABLE notes (a)")
    database.close()
    assert counted(data.parent) == [1]


def test_a_copy_that_waits_for_readers_becomes_one_that_does_not(tmp_path, data):
    database = sqlite3.connect(data / "hitring.db", isolation_level=None)
    database.execute(f"VACUUM INTO '{tmp_path / 'copy'}'")
    database.close()
    for name in ("hitring.db-wal", "hitring.db-shm"):
        (data / name).unlink(missing_ok=True)
    (tmp_path / "copy").replace(data / "hitring.db")
    os.chmod(data / "hitring.db", 0o600)
    with serving(tmp_path, "--max-endpoints", "16") as server:
        reader = sqlite3.connect(data / "hitring.db", isolation_level=None)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM resource").fetchone() == (1,)
        server.post("/resources", {"name": "more"}, 201)
        reader.close()


def test_a_link_is_not_followed(tmp_path, data):
    (data / "hitring.db").rename(tmp_path / "away")
    (data / "hitring.db").symlink_to(tmp_path / "away")
    assert "is a link" in complaint(data)
    assert (tmp_path / "away").stat().st_size > 0


def test_files_of_others_are_left_alone(tmp_path, data):
    (data / "hitring.db.new-backup").write_text("mine")
    (data / "hitring.db.new-thoughts").mkdir()
    (data / "hitring.db.new-123").write_text("of a server that was killed")
    assert counted(tmp_path) == [1]
    assert (data / "hitring.db.new-backup").read_text() == "mine" and not (data / "hitring.db.new-123").exists()
    (data / "lock").write_text("my text\n")
    assert "lock" in complaint(data) and (data / "lock").read_text() == "my text\n"


def test_a_removal_of_a_former_ring_takes_nothing_from_another(tmp_path):
    with serving(tmp_path, "--max-endpoints", "16") as server:
        server.post("/hits", {"resource_id": "x"}, 202)
        assert server.ask("DELETE", "/resources/x")[0] == 204
        server.stop()
    (tmp_path / "other").mkdir()
    with serving(tmp_path / "other", "--max-endpoints", "16") as server:
        server.post("/hits", {"resource_id": "x", "count": 500}, 202)
        server.stop()
    (tmp_path / "other" / "data" / "hits.ring").replace(tmp_path / "data" / "hits.ring")
    with serving(tmp_path, "--max-endpoints", "16", "--new-ring") as server:
        assert server.get("/hits/x")["count"] == 500


def test_a_database_that_is_gone_takes_nothing(tmp_path):
    with serving(tmp_path, "--max-endpoints", "16") as server:
        server.post("/resources", {"name": "a"}, 201)
        (tmp_path / "data" / "hitring.db").rename(tmp_path / "away")
        assert until(lambda: server.get("/ready")["status"] == "degraded")
        code, _, document = server.ask("POST", "/resources", '{"name": "b"}')
        assert (code, document["type"]) == (503, "urn:hitring:problem:lost") and "hitring.db" in document["detail"]
        assert server.post("/visits/home")["visits"] == 1
        (tmp_path / "away").rename(tmp_path / "data" / "hitring.db")
        assert until(lambda: server.get("/ready")["status"] == "ready")
        server.post("/resources", {"name": "b"}, 201)
        assert server.stop() == 0


@pytest.mark.parametrize("times", [1, 2])
def test_what_was_refused_after_a_sync_failed_never_comes(tmp_path, failing_sync, times):
    environment, fails = failing_sync
    options = ("--max-endpoints", "100", "--flush-every", "150")

    def refused(server, method, path, body=None):
        # Nothing but this is written.
        assert until(lambda: server.metric("hitring_unflushed_hits") == 0)
        fails.write_text(f"{times}     ")
        code, _, document = server.ask(method, path, body)
        assert (code, document["type"]) == (507, "urn:hitring:problem:disk"), document
        assert fails.read_text().strip() == "0"

    def names(server):
        return [one["name"] for one in server.get("/resources")["resources"]]

    with serving(tmp_path, *options, environment=environment) as server:
        kept = server.post("/resources", {"name": "kept"}, 201)["resource_id"]
        refused(server, "POST", "/resources", '{"name": "refused"}')
        server.stop(signal.SIGKILL)
    with serving(tmp_path, *options, environment=environment) as server:
        assert names(server) == ["kept"]
        refused(server, "DELETE", f"/resources/{kept}")
        server.post("/hits", {"resource_id": kept, "count": 100}, 202)
        server.stop(signal.SIGKILL)
    with serving(tmp_path, *options, environment=environment) as server:
        assert (names(server), server.get(f"/hits/{kept}")["count"]) == (["kept"], 100)
        refused(server, "POST", "/resources", '{"name": "refused"}')
        assert server.get("/ready")["status"] == "degraded"
        # Another process looks, as `sqlite3` does. When it ends, it must find that the server has the database.
        look = (
            "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT name FROM resource').fetchall())"
        )
        command = [sys.executable, "-c", look, tmp_path / "data" / "hitring.db"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[('kept',)]\n"
        for _ in range(3):
            server.post("/resources", {"name": "later"}, 201)
        assert server.get("/ready")["status"] == "ready"
        server.stop(signal.SIGKILL)
    with serving(tmp_path, *options) as server:
        assert names(server) == ["kept", "later", "later", "later"]


def test_a_server_that_waits_for_a_lock_ends_in_time(tmp_path):
    with serving(tmp_path, "--max-endpoints", "64") as server, contextlib.ExitStack() as opened:
        locker = opened.enter_context(contextlib.closing(sqlite3.connect(tmp_path / "data" / "hitring.db")))
        locker.execute("BEGIN IMMEDIATE")
        clients = [opened.enter_context(server.open()) for _ in range(64)]
        for client in clients:
            client.sendall(
                request(b"/resources", b"content-type: application/json", b"content-length: 12", body=b'{"name":"x"}')
            )
        begun = time.monotonic()
        assert server.stop() == 0
        # Ten seconds, and what a busy machine adds.
        assert time.monotonic() - begun < 14
        assert {status(rest(client)) for client in clients} <= {503, None}


def test_a_log_without_its_database_is_refused(tmp_path, data):
    assert (data / "hitring.db-wal").stat().st_size > 0
    (data / "hitring.db").rename(tmp_path / "away")
    assert "hitring.db-wal" in refused(data)
    (tmp_path / "away").rename(data / "hitring.db")
    assert counted(tmp_path) == [1]


def test_a_ring_that_is_missing_is_not_made_silently(tmp_path, data):
    (data / "hits.ring").rename(tmp_path / "away")
    line = complaint(data)
    assert "hits.ring is missing" in line and "--new-ring" in line
    assert not (data / "hits.ring").exists()
    (tmp_path / "away").rename(data / "hits.ring")
    assert counted(tmp_path) == [1]
    # Another one in its place.
    (data / "hits.ring").rename(tmp_path / "away")
    (tmp_path / "other").mkdir()
    with serving(tmp_path / "other", "--max-endpoints", "16") as server:
        assert server.stop() == 0
    (tmp_path / "other" / "data" / "hits.ring").rename(data / "hits.ring")
    assert "is not the ring" in refused(data)
    # A copy is another writer's, so it would be changed if it were opened for writing.
    shutil.copy(data / "hits.ring", tmp_path / "copy")
    (tmp_path / "copy").replace(data / "hits.ring")
    assert "is not the ring" in refused(data)
    (data / "hits.ring").unlink()
    # What was written down comes back.
    assert counted(tmp_path, "--new-ring") == [1]
    assert "had lost 1 hits" in (tmp_path / "server.log").read_text()
    assert counted(tmp_path) == [1]


def test_a_copied_database_without_its_ring_is_left_as_it_is(tmp_path, data):
    folder = tmp_path / "copy"
    folder.mkdir()
    with serving(tmp_path) as server:
        # Its log goes into the file.
        assert server.stop() == 0
    shutil.copy(data / "hitring.db", folder)
    assert "hits.ring is missing" in refused(folder)


def test_a_ring_too_small_for_what_it_lost_is_refused(tmp_path):
    with serving(tmp_path, "--max-endpoints", "16") as server:
        for page in range(12):
            server.post(f"/visits/{page}")
        assert server.stop() == 0
    data = tmp_path / "data"
    (data / "hits.ring").unlink()
    assert "has no room for 8 names" in complaint(data, "--new-ring")
    larger = tmp_path / "larger.ring"
    subprocess.run([PROGRAM, "compact", data / "hits.ring", larger, "--max-endpoints", "24"], check=True, timeout=30)
    larger.rename(data / "hits.ring")
    with serving(tmp_path) as server:
        assert [server.get(f"/visits/{page}")["visits"] for page in range(12)] == [1] * 12


def test_a_larger_ring_is_the_same_ring(tmp_path, data):
    larger = tmp_path / "larger.ring"
    subprocess.run([PROGRAM, "compact", data / "hits.ring", larger, "--max-endpoints", "32"], check=True, timeout=30)
    larger.rename(data / "hits.ring")
    with serving(tmp_path) as server:
        made = server.get("/resources")["resources"]
        assert [server.get(f"/hits/{one['resource_id']}")["count"] for one in made] == [1]


def test_a_directory_without_a_database_gets_one(tmp_path, data):
    for name in ("hitring.db", "hitring.db-wal", "hitring.db-shm"):
        (data / name).unlink(missing_ok=True)
    # Its resources are known by their hits.
    assert counted(tmp_path) == [1]
    assert "no hitring.db" in (tmp_path / "server.log").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to other users")
def test_a_database_of_another_user_is_refused(tmp_path, data):
    os.chown(data / "hitring.db", 12_345, -1)
    assert "belongs to user 12345" in refused(data)
    os.chown(data / "hitring.db", 0, -1)
    assert counted(tmp_path) == [1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a directory")
def test_a_directory_that_cannot_be_written_is_told(data):
    mounted = subprocess.run(["mount", "--bind", "-o", "ro", data, data], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a directory cannot be mounted here: {mounted.stderr.strip()}")
    try:
        assert "Read-only file system" in refused(data)
    finally:
        subprocess.run(["umount", data], check=True)


def test_a_server_that_is_killed_while_it_starts_harms_nothing(tmp_path):
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        for _ in range(2):
            command = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--data", folder / "data", "--max-endpoints", "16"]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            # A start takes some milliseconds, most of them to load the program.
            time.sleep(draw.uniform(0.01, 0.08))
            process.kill()
            assert process.wait(30) == -signal.SIGKILL, seed
        with serving(folder, "--max-endpoints", "16") as server:
            server.post("/resources", {"name": "x"}, 201)
            assert len(server.get("/resources")["resources"]) == 1
            server.stop()
        assert sorted(path.name for path in (folder / "data").iterdir()) == ["hitring.db", "hits.ring", "lock"], seed


def test_a_lock_is_free_after_a_kill(tmp_path):
    with serving(tmp_path, "--max-endpoints", "16") as server:
        line = refused(tmp_path / "data")
        assert f"process {server.process.pid} at http://{server.address}" in line
        server.stop(signal.SIGKILL)
    assert counted(tmp_path) == []


def test_a_start_that_takes_long_says_what_it_does(data):
    # The lock of a writer that another process holds: a start waits for it, as it notes the ring.
    locker = sqlite3.connect(data / "hitring.db", isolation_level=None)
    locker.execute("UPDATE meta SET ring = NULL")
    locker.execute("BEGIN EXCLUSIVE")
    command = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--data", data, "--max-endpoints", "16"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "hitring.db takes longer than a second" in process.stderr.readline()
    locker.execute("ROLLBACK")
    locker.close()
    assert process.stdout.readline().startswith("hitring: listening on")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_ring_full_of_removed_names_is_compacted_at_the_start(tmp_path):
    disk = {"prefer": "durability=disk"}

    def values(server):
        return [server.get(f"/v1/counter/kept/{name}")["value"] for name in ("a", "b", "c")]

    with serving(tmp_path, "--max-endpoints", "40") as server:
        server.post("/v1/counter/kept/a/increment", {"amount": 3})
        assert server.ask("POST", "/v1/counter/kept/b/increment", '{"amount": 4}', disk)[0] == 200
        assert server.ask("PUT", "/v1/counter/kept/c", '{"value": 5}')[0] == 200
        for number in range(40):
            code, _, _ = server.ask("POST", f"/v1/counter/gone/{number}/increment", None, disk if number % 2 else None)
            if code == 507:
                break
            assert server.ask("DELETE", f"/v1/counter/gone/{number}")[0] == 204
        assert code == 507 and server.get("/ready")["status"] == "degraded"
        assert values(server) == [3, 4, 5]
        server.stop(signal.SIGKILL)
    with serving(tmp_path) as server:
        assert "was full of removed names; 4 of its places" in (tmp_path / "server.log").read_text()
        assert values(server) == [3, 4, 5]
        assert server.get("/v1/hits/counter%2Fkept%2Fb")["count"] == 4
        assert all(server.ask("GET", f"/v1/counter/gone/{gone}")[0] == 404 for gone in range(number))
        for name in ("a", "b", "c"):
            server.post(f"/v1/counter/kept/{name}/increment")
        assert (values(server), server.get("/ready")["status"]) == ([4, 5, 6], "ready")
        assert server.stop() == 0
    before = (tmp_path / "server.log").read_text()
    with serving(tmp_path) as server:
        assert values(server) == [4, 5, 6]
    (line,) = (tmp_path / "server.log").read_text()[len(before) :].splitlines()
    assert json.loads(line)["message"] == "listening"
