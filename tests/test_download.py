"""Downloads against a server on this machine that does all the harm there is; nothing half passes for whole."""

import errno
import io
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zipfile
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import pytest
import requests

from data_scripts import checksums, download
from data_scripts.download import Patience
from helpers import files
from helpers.files import DataError

CONTENT = np.random.default_rng(8).bytes(300_000)
DIGEST = files.hash_bytes(CONTENT)
DATE = "Mon, 06 Jul 2020 10:00:00 GMT"


def serve(
    handler, content=CONTENT, tag='"1"', ranges=True, upto=None, reset=False, burst=0, pause=0.0, block=0, **headers
):
    """Answer a request as a good server does, unless told to do it badly.

    `upto` ends the connection at that byte of the file, `block` and `pause` make it slow after a `burst`, a header of
    None is left out.
    """
    wanted, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
    start = 0
    if ranges and wanted and (condition in (None, tag, headers.get("Last-Modified")) or ranges == "careless"):
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
    if start >= len(content) > 0 and wanted:
        return refuse(handler, 416)
    facts = {"Content-Length": len(content) - start, "ETag": tag, "Content-Type": "application/zip"}
    if start:
        facts["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    facts |= {name.replace("_", "-"): value for name, value in headers.items()}
    handler.send_response(206 if start else 200)
    for name, value in facts.items():
        if value is not None:
            handler.send_header(name, str(value))
    handler.end_headers()
    body = content[start : len(content) if upto is None else max(upto, start)]
    handler.wfile.write(body[:burst])
    for place in range(burst, len(body), block or len(body) or 1):
        piece = body[place : place + (block or len(body))]
        if facts.get("Transfer-Encoding"):
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        handler.wfile.write(piece)
        time.sleep(pause)
    if facts.get("Transfer-Encoding") and upto is None:
        handler.wfile.write(b"0\r\n\r\n")
    if reset:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(handler.connection.detach())
    handler.close_connection = True


def refuse(handler, status, **headers):
    handler.send_response(status)
    for name, value in ({"Content_Length": 0} | headers).items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


class Site(ThreadingHTTPServer):
    """Gives the answers in `script`, one a request, and then its `usual` one; notes what it was asked."""

    daemon_threads, block_on_close = True, False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.usual, self.asked, self.paths, self.headers = [], serve, [], [], []
        self.url = f"http://127.0.0.1:{self.server_port}/CT-0.zip"

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):  # a client that hangs up is what these tests are about
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append(self.headers.get("Range"))
        self.server.paths.append(self.path)
        self.server.headers.append(self.headers)
        (self.server.script.pop(0) if self.server.script else self.server.usual)(self)

    def log_message(self, *_):
        pass


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with Site() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


class Client:
    """Downloads to one place, without sleeping; keeps what was said and how long it would have waited."""

    def __init__(self, site, folder):
        self.site, self.path, self.lines, self.waits = site, folder / "data.bin", [], []

    def get(self, name="data.bin", tries=4, stall=20.0, slowest=0.1, longest=120.0, **known):
        patience = Patience(tries, stall, slowest, longest, self.waits.append)
        path = self.path.with_name(name)
        return download.download(self.site.url, path, report=self.lines.append, patience=patience, **known)

    def fault(self, **options):
        """The one sentence that a download ends with; nothing half has the file's name then."""
        with pytest.raises(DataError) as caught:
            self.get(**options)
        text = str(caught.value)
        assert "\n" not in text
        assert not self.path.with_name(options.get("name", "data.bin")).exists()
        return text

    @property
    def said(self):
        return "\n".join(self.lines)

    @property
    def part(self):
        return self.path.with_name("data.bin.part")

    def is_whole(self, content=CONTENT):
        """Byte for byte, recorded, and nothing else lies about."""
        entry = json.loads(self.path.with_name("checksums.json").read_text())["data.bin"]
        left = {path.name for path in self.path.parent.iterdir()}
        return (self.path.read_bytes(), entry["sha256"]) == (content, files.hash_bytes(content)) and left == {
            "data.bin",
            "checksums.json",
        }


@pytest.fixture
def client(site, tmp_path):
    return Client(site, tmp_path / "data")


# A good day


def test_a_download_is_whole_recorded_and_made_once(site, client):
    assert client.get(size=len(CONTENT)) == client.path
    assert client.is_whole()
    assert client.lines == [
        "data.bin: getting 0.3 MB from 127.0.0.1",
        "data.bin: it is whole, 0.3 MB",
        f"data.bin: no SHA-256 is published; the one first seen, {DIGEST[:12]}…, now stands in checksums.json",
    ]
    client.get()
    assert client.lines[3:] == ["data.bin: it is there already, 0.3 MB"]
    assert site.asked == [None]
    assert site.headers[0]["Accept-Encoding"] == "identity"  # what is packed on the way has another length
    assert checksums.recorded(client.path) == {"sha256": DIGEST, "bytes": len(CONTENT), "published": False}
    client.get(sha256=DIGEST.upper())
    assert checksums.recorded(client.path)["published"]
    client.get()
    assert checksums.recorded(client.path)["published"]


@pytest.mark.parametrize("known", [{}, {"size": len(CONTENT) + 1}, {"sha256": "0" * 64}])
def test_a_file_that_is_there_and_is_another_one_is_refused_and_stays(site, client, known):
    client.get(sha256=DIGEST)
    client.path.write_bytes(b"other")
    with pytest.raises(DataError, match=r"data\.bin: it(s SHA-256 is| has 5 bytes).*; delete it, and get it again"):
        client.get(**known)
    assert client.path.read_bytes() == b"other"
    assert len(site.asked) == 1


def test_progress_is_shown_with_its_rate_where_somebody_watches(site, client, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr(sys, "stderr", Terminal())
    site.usual = partial(serve, block=30_000, pause=0.05)
    client.get()
    assert "kB/s" in sys.stderr.getvalue()
    assert "/300k " in sys.stderr.getvalue()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)  # pytest's plugin brings it
    client.get("second.bin")
    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/a", "CT-0.zip", "file:///etc/hosts"])
def test_an_address_that_is_not_of_the_web_is_a_mistake_in_the_code(tmp_path, url):
    with pytest.raises(ValueError, match=f"begins with http or https, but this is '{url}'"):
        download.download(url, tmp_path / "a")


# Bad connections


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_cut_at_20_random_points(site, client, reset):
    cuts = sorted(map(int, np.random.default_rng(2020).choice(len(CONTENT), 20, replace=False)))
    site.script = [partial(serve, upto=cut, reset=reset) for cut in cuts]
    client.get()
    assert client.is_whole()
    starts = [int(wanted[6:-1]) for wanted in site.asked[1:]]
    assert len(starts) == 20
    assert starts == sorted(starts)
    assert all(start <= cut for start, cut in zip(starts, cuts, strict=True))
    if not reset:
        assert starts == cuts  # nothing that came was lost, nothing was asked for twice
    assert client.said.count("the connection broke off; trying again in 1 s") == 20
    assert set(client.waits) == {1.0}  # each try brought it further


@pytest.mark.parametrize("cut", np.random.default_rng(1).choice(len(CONTENT), 20, replace=False).tolist())
def test_given_up_at_a_random_point_the_same_call_goes_on(site, client, cut):
    site.script = [partial(serve, upto=cut)] + [partial(serve, upto=0)] * 3
    text = client.fault(tries=4)
    assert "4 tries in a row brought it no further" in text or cut == 0
    assert text.endswith("check the network, then run the same command again: it goes on from there.")
    assert client.part.read_bytes() == CONTENT[:cut]
    client.get()
    assert client.is_whole()
    assert site.asked[-1] == f"bytes={cut}-"


def test_without_ranges_it_is_begun_anew_and_said(site, client):
    site.script = [partial(serve, upto=200_000)]
    site.usual = partial(serve, ranges=False)
    client.get()
    assert client.is_whole()
    assert site.asked == [None, "bytes=200000-"]
    assert "data.bin: begun anew, because the server can only begin at the start" in client.lines


def test_without_ranges_it_does_not_go_on_for_ever(site, client):
    cuts = [200_000, 100_000, 150_000, 199_999]
    site.script = [partial(serve, ranges=False, upto=cut) for cut in cuts]
    assert "the connection broke off, 4 tries in a row brought it no further, and 0.2 MB are kept" in client.fault()


@pytest.mark.parametrize("before", ["this call", "an earlier call", "nobody knows who"])
def test_each_version_is_counted_on_its_own(site, client, before):
    """That the older one came further is no reason to give up on one that comes further with each try."""
    new, cuts = CONTENT[::-1], range(20_000, 300_000, 20_000)
    site.script = [partial(serve, upto=150_000), *(partial(serve, content=new, tag='"2"', upto=cut) for cut in cuts)]
    if before != "this call":
        site.script.insert(1, partial(refuse, status=404))
        client.fault()
    if before == "nobody knows who":
        client.part.with_name("data.bin.part.json").unlink()
    site.usual = partial(serve, content=new, tag='"2"')
    client.get()
    assert client.is_whole(new)


def test_versions_that_change_without_end_are_given_up(site, client):
    site.script = [partial(serve, tag=f'"{number}"', upto=50_000 * (number + 1)) for number in range(5)]
    assert "the connection broke off, 4 tries in a row brought it no further" in client.fault()


HEADER = b"HTTP/1.1 %b\r\nContent-Ty"
CUT_HEADERS = [HEADER % b"206 Partial Content", HEADER % b"200 OK", HEADER % b"416 R", b'HTTP/1.1 200 OK\r\nETag: "2"']


@pytest.mark.parametrize("answer", [*CUT_HEADERS, b"HTTP/1.1 200 OK\r\nContent-Length: 30"])
@pytest.mark.parametrize("known", [{}, {"size": len(CONTENT)}])
def test_an_answer_that_is_cut_off_in_its_header_costs_nothing(site, client, answer, known):
    def cut(handler):
        handler.wfile.write(answer)
        handler.close_connection = True

    site.script = [partial(serve, upto=100_000), cut]
    client.get(**known)
    assert client.is_whole()
    assert site.asked == [None, "bytes=100000-", "bytes=100000-"]


def test_a_server_that_sends_a_little_at_a_time_is_asked_as_often_as_it_takes(site, client):
    def stingy(handler):
        """206 with no more than 50,000 bytes, as some do."""
        start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        end = min(start + 50_000, len(CONTENT))
        span = f"bytes {start}-{end - 1}/{len(CONTENT)}"
        refuse(handler, 206, Content_Length=end - start, Content_Range=span, ETag='"1"')
        handler.wfile.write(CONTENT[start:end])

    site.usual = stingy
    client.get()
    assert client.is_whole()
    assert len(site.asked) == 6


def test_no_connection(client, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        client.site.url = f"http://127.0.0.1:{nobody.getsockname()[1]}/a"
    text = client.fault()
    assert "there is no connection to 127.0.0.1, 4 tries in a row" in text
    assert client.waits == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    "answer", [b"", b"\x16\x03\x03\x00\x7a\x02\x00\x00", b"HTTP/1.1 302 Found\r\n\r\n"], ids=["none", "cut", "plain"]
)
def test_encryption_that_breaks_off_is_tried_again(site, client, answer):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve_badly():
            for _ in range(2):
                with server.accept()[0] as connection:
                    connection.recv(4096)
                    connection.sendall(answer)

        site.url = f"https://127.0.0.1:{server.getsockname()[1]}/a"
        thread = threading.Thread(target=serve_badly, daemon=True)
        thread.start()
        text = client.fault(tries=2)
        thread.join(20)
    assert "connection to 127.0.0.1, 2 tries in a row" in text


def test_a_certificate_that_is_not_valid_is_said_at_once(site, client, monkeypatch):
    def send(*_, **__):
        raise requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed")

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    text = client.fault()
    assert "the certificate of 127.0.0.1 is not valid here; check this computer's clock" in text
    assert text.endswith("or set REQUESTS_CA_BUNDLE to the school's certificate.")
    assert client.waits == []


def test_certificates_that_are_not_there_are_not_blamed_on_the_disk(client, monkeypatch):
    client.site.url = "https://127.0.0.1:1/a"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/school.pem")
    assert "look whether REQUESTS_CA_BUNDLE names a file that is there." in client.fault()


def test_a_proxy_that_does_not_let_through_is_said_at_once(site, client, monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, site.url)  # it knows no CONNECT
    site.url = "https://data.invalid/a"
    assert "the proxy does not let it through; check HTTPS_PROXY, or ask who runs this network." in client.fault()
    assert client.waits == []


# Drips


def test_a_dead_connection_is_made_anew(site, client):
    quiet = threading.Event()

    def die(handler):
        handler.connection.sendall(b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 300000\r\n\r\n' + CONTENT[:70_000])
        quiet.wait(20)

    site.script = [die]
    client.get(stall=1.0, slowest=1.0)
    quiet.set()
    assert client.is_whole()
    assert "no byte came for 1 s; trying again in 1 s" in client.said
    assert site.asked == [None, "bytes=70000-"]


def test_a_server_that_does_not_even_answer_is_left(site, client):
    quiet = threading.Event()
    site.usual = lambda handler: quiet.wait(20)
    text = client.fault(tries=2, stall=0.3)
    quiet.set()
    assert "there is no connection to 127.0.0.1, 2 tries in a row" in text


def test_a_drip_is_told_from_a_slow_line(site, client):
    site.usual = partial(serve, block=10, pause=0.02)  # 500 bytes a second at most, and never silent
    text = client.fault(tries=2, stall=0.3, slowest=1e6)
    assert "less than 1e+06 bytes a second came, 2 tries in a row brought it no further" in text
    assert "the same command again" in text
    assert client.part.read_bytes() == CONTENT[: client.part.stat().st_size]
    site.asked.clear()
    client.part.write_bytes(CONTENT[:299_400])
    client.get(tries=1, stall=1.0, slowest=10.0)  # as slow, but its pace is a pace
    assert client.is_whole()
    assert site.asked == ["bytes=299400-"]


# What the server says


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "127.0.0.1 has no such file (404 Not Found); look for its new address, or open its page in a browser"),
        (410, "127.0.0.1 has no such file (410 Gone); "),
        (401, "127.0.0.1 does not give it to everyone (401 Unauthorized); accept its terms on its page in a browser"),
        (403, "127.0.0.1 does not give it to everyone (403 Forbidden); accept its terms on its page in a browser"),
        (418, "127.0.0.1 says 418 I'm a Teapot instead of sending it; try again later"),
    ],
)
def test_404_and_its_like_are_said_at_once(site, client, status, words):
    site.usual = partial(refuse, status=status)
    assert words in client.fault()
    assert (len(site.asked), client.waits) == (1, [])
    assert list(client.path.parent.iterdir()) == []


def test_404_in_between_keeps_the_part(site, client):
    site.script = [partial(serve, upto=100_000), partial(refuse, status=404)]
    client.fault()
    client.get()
    assert client.is_whole()
    assert site.asked[-1] == "bytes=100000-"


@pytest.mark.parametrize("status", [429, 503])
def test_429_with_retry_after_in_seconds_is_heeded(site, client, status):
    site.script = [partial(refuse, status=status, Retry_After=7), partial(refuse, status=status, Retry_After=3600)]
    client.get()
    assert client.is_whole()
    assert client.waits == [7.0, 120.0]
    assert "asks to wait 7 s; trying again in 7 s" in client.said
    assert "asks to wait 3600 s; trying again in 120 s" in client.said


def test_429_with_retry_after_as_a_date_is_heeded(site, client):
    then = datetime.now(UTC) + timedelta(seconds=60)
    dates = [format_datetime(then, usegmt=True), format_datetime(then - timedelta(hours=1)), "soon"]
    site.script = [partial(refuse, status=429, Retry_After=date) for date in dates]
    client.get()
    assert 30 < client.waits[0] <= 60
    assert client.waits[1:] == [2.0, 4.0]  # gone by, and no date at all: as if it were not there


def test_500_then_success(site, client):
    site.script = [partial(refuse, status=status) for status in (500, 502, 504)]
    client.get()
    assert client.is_whole()
    assert client.waits == [1.0, 2.0, 4.0]
    assert "127.0.0.1 says 500 Internal Server Error; trying again in 1 s" in client.said


def test_500_for_ever_is_given_up(site, client):
    site.usual = partial(refuse, status=500)
    assert "127.0.0.1 says 500 Internal Server Error, 9 tries in a row" in client.fault(tries=9)
    assert client.waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 120.0]


def test_redirects_are_followed_and_what_they_lead_to_can_be_gone_on_from(site, client):
    hops = ["/elsewhere", f"http://localhost:{site.server_port}/signed?token=1", "there.zip"]

    def signed(handler):
        serve(handler, upto=90_000)

    hop = [partial(refuse, status=status, Location=place) for status, place in zip((301, 302, 307), hops, strict=True)]
    site.script = [*hop, signed, partial(refuse, status=302, Location="/signed?token=2")]
    client.get()
    assert client.is_whole()
    assert site.paths == ["/CT-0.zip", "/elsewhere", "/signed?token=1", "/there.zip", "/CT-0.zip", "/signed?token=2"]
    assert site.asked[-1] == "bytes=90000-"


def test_redirects_without_end_are_left(site, client):
    site.usual = partial(refuse, status=302, Location="/CT-0.zip")
    assert "127.0.0.1 leads from one address to the next without end" in client.fault()
    assert len(site.asked) == 10


@pytest.mark.parametrize("place", ["file:///etc/hosts", "ftp://data.invalid/a"])
def test_redirects_out_of_the_web_are_refused(site, client, place):
    site.usual = partial(refuse, status=302, Location=place)
    assert f"127.0.0.1 leads to {place.split(':')[0]}://" in client.fault()


@pytest.mark.parametrize("place", ["http://[::1/x", "http://a..b/x", "http://127.0.0.1/\xe9"])
def test_redirects_to_what_is_no_address_are_one_sentence(site, client, place):
    site.usual = partial(refuse, status=302, Location=place)
    assert "the way to it leads over an address that is not valid; open its page in a browser" in client.fault()


def test_redirects_that_give_up_encryption_are_refused(site, client, monkeypatch):
    sent = []

    def send(adapter, request, **_):
        sent.append(request.url)
        response = requests.Response()
        response.status_code, response.url, response.request, response.raw = 302, request.url, request, io.BytesIO()
        response.headers["Location"] = "http://data.invalid/CT-0.zip"
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    site.url = "https://source.invalid/CT-0.zip"
    assert "source.invalid leads to http://data.invalid, which is not safe" in client.fault()
    assert sent == ["https://source.invalid/CT-0.zip"]


# Not the file


def test_another_length_than_the_known_one_is_refused_before_anything_is_lost(site, client):
    site.script = [partial(serve, upto=100_000), partial(serve, content=CONTENT + b"x", tag='"2"')]
    text = client.fault(size=len(CONTENT))
    assert "127.0.0.1 offers 300,001 bytes, but it must have 300,000; look whether its source has a new " in text
    assert client.part.read_bytes() == CONTENT[:100_000]
    client.get(size=len(CONTENT))
    assert client.is_whole()


def test_a_length_that_is_never_reached_is_no_success(site, client):
    site.usual = partial(serve, Content_Length=len(CONTENT) + 5, ranges=False)
    assert "tries in a row brought it no further, and 0.3 MB are kept" in client.fault()


@pytest.mark.parametrize("more", [-1000, 1000])
def test_chunks_that_add_up_to_another_length_are_refused(site, client, more):
    content = CONTENT[:more] if more < 0 else CONTENT + bytes(more)
    site.usual = partial(serve, content=content, block=7000, Content_Length=None, Transfer_Encoding="chunked")
    text = client.fault(size=len(CONTENT))
    assert ("brought it no further" if more < 0 else "sends more than the 300,000 bytes that it must have") in text
    assert not client.path.exists()
    assert more < 0 or not list(client.path.parent.iterdir())  # what is too long is of no use


def test_chunks_without_a_known_length_are_whole_when_they_end_as_they_should(site, client):
    chunked = partial(serve, block=7000, Content_Length=None, Transfer_Encoding="chunked")
    site.script, site.usual = [partial(chunked, upto=70_000)], chunked
    client.get()
    assert client.is_whole()
    assert client.waits == [1.0]  # the first end was none


def test_without_any_length_only_what_is_known_makes_it_whole(site, client):
    site.usual = partial(serve, Content_Length=None)
    assert "127.0.0.1 does not say how long it is, so that half of it could pass; open its page" in client.fault()
    client.get(size=len(CONTENT))
    assert client.is_whole()


@pytest.mark.parametrize(
    "server", [serve, partial(serve, ranges="careless"), partial(serve, ranges="careless", tag=None)]
)
def test_a_file_that_changed_between_two_tries_is_begun_anew(site, client, server):
    """Servers that know If-Range, that do not, and of which only the length tells."""
    new = np.random.default_rng(9).bytes(310_000)
    tag = server.keywords.get("tag", '"2"') if isinstance(server, partial) else '"2"'
    site.script = [partial(serve, upto=100_000)]
    site.usual = partial(server, content=new, tag=tag)
    client.get()
    assert client.is_whole(new)  # and not half of each
    assert "begun anew" in client.said
    assert (site.asked[1], site.headers[1]["If-Range"]) == ("bytes=100000-", '"1"')


@pytest.mark.parametrize("tag", [None, 'W/"1"'])
def test_without_a_version_only_a_published_hash_allows_to_go_on(site, client, tag):
    site.script, site.usual = [partial(serve, upto=100_000, tag=tag)], partial(serve, tag=tag)
    client.get()
    assert site.asked == [None, None]
    assert "begun anew, because nothing tells whether its part still belongs to it" in client.said
    client.path.unlink()
    site.script = [partial(serve, upto=100_000, tag=tag)]
    client.get(sha256=DIGEST)
    assert site.asked[2:] == [None, "bytes=100000-"]
    assert client.is_whole()


def test_a_date_tells_versions_apart_where_no_tag_does(site, client):
    dated = partial(serve, tag=None, **{"Last-Modified": DATE})
    site.script, site.usual = [partial(dated, upto=100_000)], dated
    client.get()
    assert site.asked == [None, "bytes=100000-"]
    assert client.is_whole()


@pytest.mark.parametrize(
    "note",
    ["", "[]", '{"url": 1}', '{"url": "http://a", "version": "1", "bytes": 300000}']
    + ['{"url": "SITE", "version": "1", "bytes": "many"}', '{"url": "SITE", "version": 1, "bytes": 300000}'],
)
def test_a_part_of_unknown_origin_is_not_built_on(site, client, note):
    client.path.parent.mkdir()
    client.part.write_bytes(b"x" * 1000)
    client.part.with_name("data.bin.part.json").write_text(note.replace("SITE", site.url))
    client.get()
    assert client.is_whole()
    assert "begun anew, because nothing tells" in client.said


PAGE = b"\n <!DOCTYPE html><html><body>Please log in to the school's Wi-Fi</body></html>"


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/zip"])
@pytest.mark.parametrize("known", [{}, {"size": len(CONTENT)}, {"sha256": DIGEST}])
def test_a_login_page_instead_of_a_zip_is_refused_and_the_part_kept(site, client, kind, known):
    site.usual = partial(serve, content=PAGE, tag=None, **{"Content-Type": kind})
    words = "127.0.0.1 sends a web page instead of it, such as one to log in; log in to the network or the site in a "
    assert words in client.fault(**known)
    assert not client.part.exists()
    site.script = [partial(serve, upto=50_000)]
    assert words in client.fault(**known)  # cut off, and then the Wi-Fi wants its password
    site.usual = serve
    client.get(**known)
    assert client.is_whole()
    assert site.asked[-1] == "bytes=50000-"


def test_a_zip_that_is_called_a_page_is_no_page(site, client):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("CT-0/study_0001.nii.gz", CONTENT)
    site.usual = partial(serve, content=packed.getvalue(), **{"Content-Type": "text/html"})
    site.script = [partial(site.usual, upto=100_000)]
    assert client.get("CT-0.zip").read_bytes() == packed.getvalue()


@pytest.mark.parametrize("cut", [1, 21, 1000, 250_000])
def test_a_truncated_zip_of_the_length_it_says_is_refused(site, client, cut):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("CT-0/study_0001.nii.gz", CONTENT)
    site.script = [partial(serve, content=packed.getvalue()[:-cut])]
    text = client.fault(name="CT-0.zip")
    assert text.endswith(
        "CT-0.zip: it is no zip archive, or one that is not whole; run the same command again, which begins anew."
    )
    assert list(client.path.parent.iterdir()) == []  # nor was it recorded
    site.usual = partial(serve, content=packed.getvalue())
    assert client.get("CT-0.zip").read_bytes() == packed.getvalue()


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"content": b""}, "127.0.0.1 sends an empty file instead of it; try again later, or open its page"),
        ({"Content_Encoding": "gzip"}, "127.0.0.1 packs it on the way ('gzip'), although it is asked not to; open"),
    ],
)
def test_an_empty_or_packed_file_is_refused_and_the_part_kept(site, client, headers, words):
    site.script = [partial(serve, upto=100_000)]
    site.usual = partial(serve, ranges=False, **headers)
    assert words in client.fault()
    assert client.part.read_bytes() == CONTENT[:100_000]


def test_another_hash_than_the_published_one_is_refused(site, client):
    wrong = CONTENT[:-1] + b"?"
    site.script = [partial(serve, content=wrong)]
    text = client.fault(sha256=DIGEST, size=len(CONTENT))
    assert f"its SHA-256 is {files.hash_bytes(wrong)[:12]}…, but the published one is {DIGEST[:12]}…" in text
    assert "; run the same command again, which begins anew, and if that does not help, " in text
    assert list(client.path.parent.iterdir()) == []
    client.get(sha256=DIGEST)
    assert client.is_whole()


def test_another_hash_than_the_one_first_seen_is_refused(site, client):
    client.get()
    client.path.unlink()
    new = CONTENT[::-1]
    site.usual = partial(serve, content=new)
    text = client.fault()
    assert f"but the one first seen, in checksums.json, is {DIGEST[:12]}…; run the same command again" in text
    assert "if its source has a new version, remove its entry there first" in text
    client.path.with_name("checksums.json").unlink()
    client.get()
    assert client.is_whole(new)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"data.bin": "0f"}'])
def test_damaged_checksums_are_said_before_the_download_and_cost_nothing(site, client, content):
    client.path.parent.mkdir()
    client.path.with_name("checksums.json").write_bytes(content)
    assert "checksums.json: it " in client.fault()
    assert site.asked == []


# The disk


def test_room_is_looked_for_first(site, client, monkeypatch):
    usage = shutil.disk_usage(client.path.parent.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=200_000))
    text = client.fault()
    assert text.endswith("data.bin: it needs 0.3 MB more, and 0.2 MB are free; make room on the disk.")
    assert list(client.path.parent.iterdir()) == []
    monkeypatch.undo()
    site.script = [partial(serve, upto=150_000)] + [partial(serve, upto=0)] * 3
    client.fault()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=160_000))
    client.get()  # what is there needs no room
    assert client.is_whole()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full, and 0.1 MB of it are kept; make room, then run the same command again"),
        (errno.EFBIG, "it cannot be written (File too large); check the disk and the permissions, then run"),
    ],
)
def test_a_disk_that_fills_up_keeps_what_came(site, client, monkeypatch, code, words):
    write = os.write

    def limited(handle, data):
        room = 100_000 - os.fstat(handle).st_size
        if room <= 0:
            raise OSError(code, os.strerror(code))
        return write(handle, data[:room])  # a full disk takes a part first

    monkeypatch.setattr(os, "write", limited)
    assert words in client.fault()
    assert client.part.read_bytes() == CONTENT[:100_000]
    monkeypatch.undo()
    client.get()
    assert client.is_whole()
    assert site.asked == [None, "bytes=100000-"]


def test_a_disk_that_takes_little_at_a_time_gets_it_all(client, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:7000]))
    client.get()
    assert client.is_whole()


@pytest.fixture
def little_room(tmp_path):
    """A real file system of 256 KB, smaller than the file."""
    folder = tmp_path / "little"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here: only root on Linux may")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_really_full(site, little_room, monkeypatch):
    client = Client(site, little_room)
    assert "it needs 0.3 MB more, and 0.3 MB are free" in client.fault()
    usage = shutil.disk_usage(little_room)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 30))  # as if another filled it up
    assert "the disk is full, and 0.3 MB of it are kept; make room, then run" in client.fault()
    kept = client.part.stat().st_size
    assert 200_000 < kept < 256 << 10
    assert client.part.read_bytes() == CONTENT[:kept]
    subprocess.run(["mount", "-o", "remount,size=1m", little_room], check=True)
    client.get()
    assert client.is_whole()
    assert site.asked[-1] == f"bytes={kept}-"


def test_a_folder_that_cannot_be_made_is_one_sentence(site, client):
    client.path.parent.write_text("no folder")
    with pytest.raises(DataError, match=r"data\.bin: it cannot be written \(.*\); check the disk and the permissions"):
        client.get()


# Two at once


def test_two_at_once_make_one_download(site, client):
    waiting, results = threading.Event(), []

    def report(line):
        client.lines.append(line)
        if "waiting" in line:
            waiting.set()

    def held(handler):  # the first is in the middle of it until the second has said that it waits
        assert waiting.wait(20)
        serve(handler)

    site.script = [held]
    both = [
        threading.Thread(target=lambda: results.append(download.download(site.url, client.path, report=report)))
        for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(30)
    assert results == [client.path] * 2
    assert client.is_whole()
    assert len(site.asked) == 1
    assert client.lines.count("data.bin: another process is at work on it; waiting for its end") == 1
    assert client.lines[-1] == "data.bin: it is there already, 0.3 MB"


def test_many_at_once_in_one_folder_lose_no_checksum(client):
    names = [f"{number}.bin" for number in range(8)]
    threads = [threading.Thread(target=client.get, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(json.loads(client.path.with_name("checksums.json").read_text())) == names
    assert not list(client.path.parent.glob("*.lock"))


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be removed there")
def test_a_lock_that_its_last_owner_just_removed_is_none(tmp_path, monkeypatch):
    lock, calls, flock = tmp_path / "a.lock", [], checksums.fcntl.flock

    def late(file, how):
        calls.append(how)
        if len(calls) == 1:
            lock.unlink()
        flock(file, how)

    monkeypatch.setattr(checksums.fcntl, "flock", late)
    with checksums.locked(tmp_path / "a", report=lambda _: None):
        assert lock.exists()
        assert checksums._take(lock) is None
    assert not lock.exists()


# Stopped


def test_ctrl_c_at_any_line_leaves_what_can_be_gone_on_from(site, client, monkeypatch):
    site.usual = partial(serve, block=30_000, pause=0.05)
    writes, write = [], os.write

    def stopped(handle, data):
        writes.append(len(data))
        if len(writes) in (2, 3):  # the second try is stopped at once: on a busy machine blocks come in bunches
            signal.raise_signal(signal.SIGINT)
        return write(handle, data)

    monkeypatch.setattr(os, "write", stopped)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            client.get()
        assert {path.name for path in client.path.parent.iterdir()} == {"data.bin.part", "data.bin.part.json"}
    client.get()
    assert client.is_whole()
    assert all(site.asked[1:])


SEED, KILLS = 2020, 15
MOMENTS = ("open", "write", "fsync", "replace", "unlink")


def child(url: str, path: Path, fatal: str = "", at: int = 0) -> int:
    """Download in a process of its own, which may kill itself at a call of the system's; its id."""
    pid = os.fork()
    if pid:
        return pid
    plain, calls = getattr(os, fatal or "fsync"), count(1)

    def die(*what, **how):
        if next(calls) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(*what, **how)

    try:
        if fatal:
            setattr(os, fatal, die)
        download.download(url, path, report=lambda _: None, patience=Patience(tries=3, slowest=0.1, longest=0.01))
        os._exit(0)
    finally:
        os._exit(1)


def state(path: Path, pid: int) -> dict:
    """How a child ended, and what it left."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    part = path.with_name(f"{path.name}.part")
    return {
        "code": code,
        "part": part.stat().st_size if part.exists() else None,
        "hash": files.hash_file(path) if path.exists() else None,
        "left": sorted(left.name for left in path.parent.iterdir()),
    }


def kill_at_random(url: str, path: Path) -> list[dict]:
    """Kill downloads of one file, each when it has come a seeded random number of bytes further, or a moment later."""
    rng, found, part = np.random.default_rng(SEED), [], path.with_name(f"{path.name}.part")
    path.parent.mkdir()
    for step in rng.integers(1, 18_000, KILLS):
        goal, pid = (part.stat().st_size if part.exists() else 0) + step, child(url, path)
        while (part.stat().st_size if part.exists() else 0) < goal:
            time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.005))
        os.kill(pid, signal.SIGKILL)
        found.append(state(path, pid))
    return [*found, state(path, child(url, path))]


def kill_at_each_moment(url: str, folder: Path) -> list[dict]:
    """Kill a download before each call that opens, writes, keeps, moves or removes; and make it again."""
    found = []
    for fatal in MOMENTS:
        for at in count(1):
            path = folder / f"{fatal}-{at}" / "data.bin"
            path.parent.mkdir(parents=True)
            killed, again = state(path, child(url, path, fatal, at)), state(path, child(url, path))
            found.append({"moment": f"{fatal} {at}", "killed": killed, "again": again})
            if killed["code"] == 0:
                break
    return found


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    folder = tmp_path_factory.mktemp("killed")
    with Site() as site:
        slow = partial(serve, burst=16_000, block=200, pause=0.01)
        site.script, site.usual = [slow] * KILLS, partial(serve, block=100_000)
        threading.Thread(target=site.serve_forever, args=(0.01,), daemon=True).start()
        command = [sys.executable, __file__, site.url, folder]
        environment = os.environ | {"NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
        site.shutdown()
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) | {"asked": site.asked[: KILLS + 1]}


def test_sigkill_in_mid_write_loses_nothing(killed):
    *kills, end = killed["random"]
    assert [kill["code"] for kill in kills] == [-signal.SIGKILL] * KILLS
    assert all(kill["hash"] is None for kill in kills), "half a file bears the name"
    sizes = [kill["part"] for kill in kills]
    assert all(one < two < len(CONTENT) for one, two in pairwise(sizes))
    assert killed["asked"] == [None, *(f"bytes={size}-" for size in sizes)]  # each went on where the last one was
    assert "data.bin.lock" in kills[-1]["left"]  # a dead process's lock, which stops nobody
    assert (end["code"], end["hash"]) == (0, DIGEST)
    assert end["left"] == ["checksums.json", "data.bin"]


def test_sigkill_at_every_step_of_writing_leaves_a_whole_file_or_none(killed):
    moments = killed["moments"]
    assert {name: sum(name in found["moment"] for found in moments) > 1 for name in MOMENTS} == dict.fromkeys(
        MOMENTS, True
    )
    for found in moments:
        assert found["killed"]["hash"] in (None, DIGEST), found["moment"]
        assert found["killed"]["hash"] is None or "checksums.json" in found["killed"]["left"], found["moment"]
        assert (found["again"]["code"], found["again"]["hash"]) == (0, DIGEST), found["moment"]
        assert found["again"]["left"] == ["checksums.json", "data.bin"], found["moment"]


if __name__ == "__main__":
    address, place = sys.argv[1], Path(sys.argv[2])
    random_kills = kill_at_random(address, place / "random" / "data.bin")
    print(json.dumps({"random": random_kills, "moments": kill_at_each_moment(address, place)}))
