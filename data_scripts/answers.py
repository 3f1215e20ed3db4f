"""What a web server answers to the request for a file: the file, a reason to try again, or a sentence.

Used by `python -m data_scripts.fetch`, through `data_scripts.download`.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests import exceptions

from helpers.files import DataError

CHUNK = 1 << 18  # bytes
HOPS = 10  # redirects; the sources take one or two
THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
BY_HAND = "open its page in a browser and download it by hand"


@dataclass(frozen=True)
class Patience:
    """How long to hope for a connection.

    Args:
        tries: That may fail in a row without bringing the file further.
        stall: Seconds without a byte, after which a connection counts as dead.
        slowest: Bytes a second; a connection that was slower for ``stall`` seconds is made anew.
        longest: Seconds to wait at most between two tries, even if the server asks for more.
        sleep: What waits.

    Example:
        >>> Patience(tries=2).stall
        30.0

    Used by `download.download`.
    """

    tries: int = 8
    stall: float = 30.0
    slowest: float = 1000.0
    longest: float = 120.0
    sleep: Callable[[float], object] = time.sleep


class Broken(Exception):
    """A try failed in a way that another one may not.

    Args:
        why: Half a sentence.
        wait: Seconds until another one makes sense; None where that is not known.

    Example:
        >>> Broken("the connection broke off", 0).wait
        0

    Used by `download.download`.
    """

    def __init__(self, why: str, wait: float | None = None):
        super().__init__(why)
        self.wait = wait


def ask(
    session: requests.Session, url: str, path: Path, headers: Mapping[str, str], patience: Patience
) -> requests.Response:
    """Ask for a file, wherever the address leads.

    Args:
        session: Keeps cookies on the way.
        url: The address.
        path: The file, for the sentences.
        headers: Of the request.
        patience: How long to wait for an answer.

    Returns:
        The answer, 200, 206 or 416, with its content still to come.

    Raises:
        Broken: If there is no connection, or the server has no time now.
        DataError: If there is no such file, if it is not for everyone, or if the way to it is not safe.

    Used by `download.download`.
    """
    for _ in range(HOPS):
        before = urlsplit(url)
        try:
            response = session.get(url, headers=headers, stream=True, allow_redirects=False, timeout=patience.stall)
            target = session.get_redirect_target(response)
            url = urljoin(url, target or "")
        except exceptions.ProxyError:  # it is a ConnectionError as well
            remedy = "check HTTPS_PROXY, or ask who runs this network"
            raise DataError(path, "the proxy does not let it through", remedy) from None
        except exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" not in str(error):
                raise Broken(f"there is no safe connection to {before.hostname}") from None
            fault = f"the certificate of {before.hostname} is not valid here"
            remedy = "check this computer's clock, and who runs this network, or set REQUESTS_CA_BUNDLE to the school's"
            raise DataError(path, fault, f"{remedy} certificate") from None
        except (exceptions.ConnectionError, exceptions.Timeout):
            raise Broken(f"there is no connection to {before.hostname}") from None
        except exceptions.RequestException as error:
            fault = f"{before.hostname} cannot be asked for it ({type(error).__name__})"
            raise DataError(path, fault, BY_HAND) from None
        except OSError:  # all else that is one has its clause above
            fault = "the certificates that this computer trusts cannot be read"
            raise DataError(path, fault, "look whether REQUESTS_CA_BUNDLE names a file that is there") from None
        except (ValueError, urllib3.exceptions.HTTPError):  # not all that requests stumbles over is its own error
            raise DataError(path, "the way to it leads over an address that is not valid", BY_HAND) from None
        if target is None and response.status_code in (200, 206, 416):
            return response
        response.close()
        if target is None:
            raise _refusal(response, path)
        after = urlsplit(url)
        secure = after.scheme == "https" or before.scheme == "http" or after.hostname in THIS_MACHINE
        if after.scheme not in ("http", "https") or not secure:
            fault = f"{before.hostname} leads to {after.scheme}://{after.hostname}, which is not safe"
            raise DataError(path, fault, BY_HAND)
    raise DataError(path, f"{before.hostname} leads from one address to the next without end", BY_HAND)


def place(response: requests.Response) -> tuple[int, int | None]:
    """At which byte an answer begins, and how long the whole file is.

    Returns:
        -1 where it does not say at which byte; None where it does not say how long.

    Example:
        >>> response = requests.Response()
        >>> response.status_code, response.headers["Content-Range"] = 206, "bytes 20-99/100"
        >>> place(response)
        (20, 100)

    Used by `download.download`.
    """
    if response.status_code == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        return (int(found[1]), None if found[2] == "*" else int(found[2])) if found else (-1, None)
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() and not response.raw.chunked else None


def version(response: requests.Response) -> str:
    """What tells one version of a file from the next byte by byte, as a weak ETag does not; empty if nothing does.

    Example:
        >>> response = requests.Response()
        >>> response.headers.update({"ETag": 'W/"a"', "Last-Modified": "Mon, 06 Jul 2020 10:00:00 GMT"})
        >>> version(response)
        'Mon, 06 Jul 2020 10:00:00 GMT'

    Used by `download.download`.
    """
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def chunks(response: requests.Response, patience: Patience) -> Iterator[bytes]:
    """Give what has come as soon as it has come, for as long as it comes fast enough.

    Raises:
        Broken: If the connection breaks off, brings nothing, or too little.

    Used by `download.download`.
    """
    since, count = time.monotonic(), 0
    while True:
        try:
            chunk = response.raw.read1(CHUNK, decode_content=False)  # read would wait until a chunk is full
        except urllib3.exceptions.ReadTimeoutError:
            raise Broken(f"no byte came for {patience.stall:g} s") from None
        except urllib3.exceptions.HTTPError:
            raise Broken("the connection broke off") from None
        if not chunk:
            return
        yield chunk
        count, seconds = count + len(chunk), time.monotonic() - since
        if seconds >= patience.stall:
            if count < patience.slowest * seconds:
                raise Broken(f"less than {patience.slowest:g} bytes a second came")
            since, count = time.monotonic(), 0


def _refusal(response: requests.Response, path: Path) -> Broken | DataError:
    """What an answer means that is not the file."""
    status, host = response.status_code, urlsplit(response.url).hostname
    said = f"{status} {response.reason}".strip()
    if status in (408, 429) or status >= 500:
        wait = _retry_after(response.headers.get("Retry-After", ""))
        return Broken(f"{host} says {said}" + (f" and asks to wait {wait:.0f} s" if wait else ""), wait)
    if status in (401, 403):
        remedy = "accept its terms on its page in a browser, and download it by hand there"
        return DataError(path, f"{host} does not give it to everyone ({said})", remedy)
    if status in (404, 410):
        return DataError(path, f"{host} has no such file ({said})", f"look for its new address, or {BY_HAND}")
    return DataError(path, f"{host} says {said} instead of sending it", f"try again later, or {BY_HAND}")


def _retry_after(text: str) -> float | None:
    """Seconds to wait, from their number or from a date; None where there is neither, or none are left."""
    if text.strip().isdecimal():
        return float(text) or None
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()) or None
