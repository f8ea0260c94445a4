"""A store that refuses: one sentence with store, cause and remedy; and what others put into it harms nothing."""

import threading
import time

import pytest

from pipeline.data import prepare
from pipeline.errors import StoreRefused, UserError
from pipeline.plan.studies import study
from pipeline.publication import index, pull
from pipeline.store import probe
from pipeline.store.local import Folder
from pipeline.store.objects import Store, open_store
from pipeline.store.paths import DatasetFolder, RunFolder, StudyFolder
from pipeline.training import checkpoint
from pipeline.training.attempts import MAX_FAILURES, attempts, failures
from pipeline.training.leases import acquire
from pipeline.training.owners import LeaseObserver, this_process
from pipeline.training.progress import Progress
from pipeline.visualization import gallery

ONE = study("smoke").experiments[0]
RUN = RunFolder(ONE.id)


def answers(status, code, body=True):
    """A server that answers everything so; a HEAD without a body, as S3 does."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # uploads wait for its 100 Continue

        def reply(self):
            said = f"<Error><Code>{code}</Code><Message>said so</Message></Error>".encode()
            said = b"" if self.command == "HEAD" else said
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_PUT = do_HEAD = do_DELETE = reply

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.mark.parametrize(
    ("status", "code", "cause", "remedy"),
    [
        (400, "ExpiredToken", "its session token has expired", "AWS_SESSION_TOKEN"),
        (
            403,
            "SignatureDoesNotMatch",
            "it does not accept the credentials",
            "correct AWS_ACCESS_KEY_ID and",
        ),
        (403, "InvalidAccessKeyId", "it does not accept the credentials", "correct AWS_ACCESS_KEY_ID and"),
        (403, "AccessDenied", "it does not let these credentials in", "grant them the right"),
        (404, "NoSuchBucket", "has no bucket somewhere", "make it with `python infra/bucket.py`, or correct --store"),
        (507, "XMinioStorageFull", "it has no room left", "free space there"),
        (501, "NotImplemented", "it does not know conditional puts", "choose another store"),
    ],
)
def test_a_server_that_refuses_is_named_with_cause_and_remedy(monkeypatch, status, code, cause, remedy):
    server = answers(status, code)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    store = open_store("s3://somewhere/x", 20)
    try:
        for ask in (store.exists, store.read, store.names, lambda path: store.write(path, b"")):
            began = time.monotonic()
            with pytest.raises(StoreRefused, match=rf"^the store s3://somewhere/x: .*{cause}.*: .*{remedy}"):
                ask("x")
            assert time.monotonic() - began < 5
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "address",
    ["localhost:9000", "http://host:99999", "http://host:abc", "http://host:0", "http://[::1", "http://:9000"],
)
def test_an_address_that_is_none_is_refused(monkeypatch, address):
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(UserError, match="AWS_ENDPOINT_URL must be an address"):
        open_store("s3://somewhere/x")


@pytest.mark.parametrize("way", ["write", "create"])
def test_a_full_disk_is_named_with_the_path_and_leaves_no_part(tmp_path, monkeypatch, way):
    """The kernel's own: /dev/full takes no byte."""
    store = open_store(str(tmp_path / "store"))
    store.write("before", b"1")
    real = open

    def full(file, mode="r", *more, **named):
        if "x" not in mode:
            return real(file, mode, *more, **named)
        real(file, mode).close()
        return real("/dev/full", "wb", buffering=0)

    monkeypatch.setattr("builtins.open", full)
    with pytest.raises(StoreRefused, match=rf"the store {store.url}: its disk is full \({store.url}/a/b\): free space"):
        getattr(store, way)("a/b", b"1234")
    monkeypatch.undo()
    assert [p.name for p in (tmp_path / "store").rglob("*") if p.is_file()] == ["before"]


@pytest.mark.s3
def test_the_store_is_tried_before_data_are_prepared(s3, monkeypatch):
    monkeypatch.setattr(prepare, "raw", lambda *_: pytest.fail("the data came first"))
    with pytest.raises(StoreRefused, match="has no bucket"):
        prepare.make(open_store("s3://strive-that-is-not-there/x", 60), ONE.dataset, ONE.recipe.preprocess)


class LooksFirst(Folder):
    """A store whose conditional put looks, and writes afterwards."""

    def create(self, path, data):
        if self.exists(path):
            raise FileExistsError(path)
        time.sleep(0.002)
        self.put(path, data)


def test_two_writers_are_raced_for_and_an_unsafe_store_is_told(store, tmp_path):
    probe.race(store)
    assert store.names("doctor") == []
    unsafe = Store(LooksFirst(str(tmp_path / "unsafe")))
    probe.try_out(unsafe)  # one after the other nothing is wrong with it
    with pytest.raises(UserError, match=r"unsafe is not safe for several processes: in \d+ of 30 races of two writers"):
        probe.race(unsafe)
    assert unsafe.names("doctor") == []


FOREIGN = [
    "claims/notes.txt", "claims/x.json", "claims/a.end.json", "attempts/1/checkpoint/old.json", "attempts/README",
    "attempts/x/checkpoint/3.json", "figures/mine.json", "figures/list.json", "figures/list.png", "lost+found",
]  # fmt: skip


def test_objects_of_others_harm_nothing(store, tmp_path):
    [held], _ = acquire(store, [ONE], 1, this_process(), LeaseObserver(store))
    for path in FOREIGN:
        store.write(f"{RUN.top}/{path}", b"[1, 2]")
    folder = StudyFolder("smoke")
    store.write(folder.report, b"page")
    store.write("runs/.hidden", b"")
    if store.url.startswith("s3://"):
        bucket, _, top = store.url.removeprefix("s3://").partition("/")
        for key in (
            "",
            "runs/",
            f"{RUN.top}/",
            f"{RUN.leases}/",
            f"{RUN.figures}/",
            f"{folder.top}/",
            f"{folder.top}/../x",
        ):
            store.backend.fs.call_s3("put_object", Bucket=bucket, Key=f"{top}/{key}", Body=b"")
    assert attempts(store, RUN).numbers == (1,)
    assert [s.state for s in Progress(store, [ONE]).statuses()] == ["running"]
    assert checkpoint.newest(store, RUN) is None
    store.write_json(RUN.result, {"outcome": "done", "attempt": 1, "wrong": 1, "seen": 9, "epochs": 2})
    gallery.publish_gallery(store, "smoke", [ONE])
    index.write_index(store)
    pull.write_list(store, "smoke", [ONE.id], {folder.report: pull.entry(b"page")})
    pull.pull(store, "smoke", tmp_path / "pulled")
    assert (tmp_path / "pulled" / folder.report).read_bytes() == b"page"
    store.delete(folder.report)  # as a lifecycle rule does
    with pytest.raises(UserError, match=r"report\.html is gone, though the study's list names it: publish"):
        pull.pull(store, "smoke", tmp_path / "again")
    held.end("released", "")


HARM = [b"", b"{", b"{}", b'{"objects": {}, "dataset": {}, "preprocess": {}}', b"[" * 100_000]


def test_a_damaged_manifest_is_named_never_counted_and_mended(store):
    from pipeline.training import job

    folder = DatasetFolder(ONE.dataset, ONE.recipe.preprocess)
    prepare.make(store, ONE.dataset, ONE.recipe.preprocess)
    whole = store.read(folder.manifest)
    assert len(HARM) > MAX_FAILURES
    for harm in HARM:
        store.write(folder.manifest, harm)
        prepare.load.cache_clear()
        held, _ = acquire(store, [ONE], 1, this_process(), LeaseObserver(store))
        named = rf"{store.url_of(folder.manifest)} .*\. `strive check STUDY --repair` removes it"
        with pytest.raises(UserError, match=named):
            job.run(held, store)
    assert failures(store, RUN, attempts(store, RUN)) == []
    store.write(folder.manifest, whole)
    prepare.load.cache_clear()
    held, _ = acquire(store, [ONE], 1, this_process(), LeaseObserver(store))
    assert job.run(held, store)[0].outcome == "done"
