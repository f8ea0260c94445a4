"""Downloads from real servers on this machine: mirrors that are away, break off, ignore Range, crawl or lie."""

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from support.processes import free_port

from pipeline.data import download
from pipeline.data.download import Archive, fetch
from pipeline.errors import UserError

CONTENT = np.random.default_rng(0).bytes(3_000_000)
PACES = {"crawls": 10_000, "creeps": 500_000}  # bytes at once
LIE = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])


class Handler(BaseHTTPRequestHandler):
    """The first word of the path says how the server behaves."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        how = self.path.split("/")[1]
        self.server.asked.append((how, self.headers.get("Range")))
        if how == "gone":
            return self.send_error(404)
        begin = int(self.headers.get("Range", "bytes=0-")[6:-1])
        body = LIE if how == "lies" else CONTENT
        if begin and how != "ignores":
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        else:
            begin = 0
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - begin))
        self.end_headers()
        if how == "breaks":
            self.wfile.write(body[begin : begin + 1_000_000])
        elif how in PACES:
            for at in range(begin, len(body), PACES[how]):
                self.wfile.write(body[at : at + PACES[how]])
                time.sleep(0.05)
        else:
            self.wfile.write(body[begin:])


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):  # a client that leaves a slow mirror hangs up
        pass


@contextmanager
def serving():
    server = Server(("127.0.0.1", 0), Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def mirrors(tmp_path, monkeypatch):
    """(fetch from mirrors that behave so, what the server was asked, the cache)."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("STRIVE_DATA_MIRROR", raising=False)
    said = []
    with serving() as server:
        top = f"http://127.0.0.1:{server.server_port}"

        def get(*behaviors):
            addresses = [b if ":" in b else f"{top}/{b}/file" for b in behaviors]
            return fetch(
                Archive("file", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), tuple(addresses)), said.append
            )

        get.asked, get.said, get.top = server.asked, said, top
        get.part = tmp_path / "strive" / "data" / "file.part"
        yield get


def test_a_download_is_the_published_bytes_and_happens_once(mirrors):
    assert mirrors("good").read_bytes() == CONTENT
    assert mirrors("good").read_bytes() == CONTENT
    assert mirrors.asked == [("good", None)]


def test_the_next_mirror_goes_on_where_one_broke_off(mirrors):
    silent = f"http://127.0.0.1:{free_port()}/file"
    assert mirrors(silent, "gone", "breaks", "good").read_bytes() == CONTENT
    assert mirrors.asked == [("gone", None), ("breaks", None), ("good", "bytes=1000000-")]
    assert not mirrors.part.exists()


def test_a_killed_download_is_resumed(mirrors):
    mirrors.part.parent.mkdir(parents=True)
    mirrors.part.write_bytes(CONTENT[:1234])
    assert mirrors("good").read_bytes() == CONTENT
    assert mirrors.asked == [("good", "bytes=1234-")]


def test_of_processes_that_want_it_at_once_one_fetches_it(mirrors):
    """As on a machine where `strive work` begins on every core; each has its own look at the lock, as threads here."""
    with ThreadPoolExecutor(4) as workers:
        found = list(workers.map(lambda _: mirrors("creeps").read_bytes(), range(4)))
    assert all(data == CONTENT for data in found)
    assert mirrors.asked == [("creeps", None)]
    assert mirrors.said.count("another process downloads file: waiting for it") == 3


@pytest.mark.parametrize("left", [1234, len(CONTENT), len(CONTENT) + 5])
def test_a_part_of_something_else_costs_a_second_try_and_no_more(mirrors, left):
    mirrors.part.parent.mkdir(parents=True)
    mirrors.part.write_bytes(bytes(left))
    assert mirrors("good").read_bytes() == CONTENT


def test_a_server_that_ignores_range_sends_everything_anew(mirrors):
    assert mirrors("breaks", "ignores").read_bytes() == CONTENT
    assert mirrors.asked == [("breaks", None), ("ignores", "bytes=1000000-")]


def test_a_mirror_with_other_bytes_is_passed_over(mirrors):
    assert mirrors("lies", "good").read_bytes() == CONTENT
    assert "other bytes" in "".join(mirrors.said)


def test_a_mirror_that_crawls_is_left_while_there_are_others(mirrors, monkeypatch):
    monkeypatch.setattr(download, "SLOW_SECONDS", 0.2)
    monkeypatch.setattr(download, "SLOW_BYTES", 1_000_000)
    monkeypatch.setattr(download, "CHUNK", 10_000)
    assert mirrors("crawls", "good").read_bytes() == CONTENT
    (first, _), (second, behind) = mirrors.asked
    assert (first, second) == ("crawls", "good")
    assert 0 < int(behind[6:-1]) < len(CONTENT) / 2


def test_a_mirror_that_crawls_is_better_than_none(mirrors, monkeypatch):
    monkeypatch.setattr(download, "SLOW_SECONDS", 0.1)
    monkeypatch.setattr(download, "SLOW_BYTES", 1_000_000)
    mirrors.part.parent.mkdir(parents=True)
    mirrors.part.write_bytes(CONTENT[:-200_000])
    assert mirrors("gone", "crawls").read_bytes() == CONTENT


def test_when_none_has_it_every_reason_is_said_and_what_came_is_kept(mirrors):
    with pytest.raises(UserError) as refused:
        mirrors("gone", "breaks", "not an address:")
    text = str(refused.value)
    assert "404" in text
    assert "2,000,000 bytes of 3,000,000" in text
    assert "--data-dir" in text
    assert "STRIVE_DATA_MIRROR" in text
    assert mirrors.part.read_bytes() == CONTENT[:2_000_000]


def test_a_mirror_of_ones_own_is_asked_first(mirrors, monkeypatch):
    monkeypatch.setenv("STRIVE_DATA_MIRROR", f"{mirrors.top}/own/")
    assert mirrors("good").read_bytes() == CONTENT
    assert mirrors.asked == [("own", None)]


def test_a_cached_file_that_was_changed_is_refused_by_name(mirrors):
    file = mirrors("good")
    file.write_bytes(LIE)
    with pytest.raises(UserError, match=f"{file} is not the published file"):
        mirrors("good")


def test_progress_is_shown(mirrors, monkeypatch):
    monkeypatch.setattr(download, "SHOW_SECONDS", 0.0)
    mirrors("good")
    assert "of 3 MB" in mirrors.said[-1]
