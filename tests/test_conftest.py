"""The tests' own guards: nothing reaches the network, and kernels start as `make outputs` starts them."""

import socket
import sys
import urllib.request

import nbval.kernel
import pytest

# 192.0.2.0/24 and .invalid are set aside for examples: without the guard, too, no one would be disturbed.
OUTSIDE = "192.0.2.1"


@pytest.mark.parametrize(
    "reach",
    [
        lambda: socket.create_connection((OUTSIDE, 80), timeout=0.2),
        lambda: socket.socket().connect_ex((OUTSIDE, 80)),
        lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"", (OUTSIDE, 53)),
        lambda: socket.getaddrinfo("data.invalid", 443),
        lambda: socket.gethostbyname("data.invalid"),
    ],
    ids=["connect", "connect_ex", "sendto", "getaddrinfo", "gethostbyname"],
)
def test_no_way_out(reach):
    with pytest.raises(RuntimeError, match="must not reach the network"):
        reach()


def test_no_download():
    with pytest.raises(RuntimeError, match=r"asked for data\.invalid"):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open("http://data.invalid/scan.nii.gz")


def test_loopback_is_open():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        peer, _ = server.accept()
        client.sendall(b"scan")
        assert peer.recv(4) == b"scan"
        peer.close()


def test_kernels_are_this_python_and_run_small(monkeypatch):
    monkeypatch.setenv("COURSE_RUN", "full")
    monkeypatch.setenv("COURSE_DATA", "elsewhere")
    kernel = nbval.kernel.RunningKernel(nbval.kernel.CURRENT_ENV_KERNEL_NAME)
    try:
        names = "COURSE_RUN", "COURSE_DATA", "MPLBACKEND"
        code = f"import os, sys; print(sys.prefix, *(os.path.basename(os.environ[name]) for name in {names}))"
        kernel.execute_cell_input(code)
        message = kernel.get_message("iopub", timeout=20)
        while message["msg_type"] != "stream":
            message = kernel.get_message("iopub", timeout=20)
    finally:
        kernel.stop()
    prefix, *rest = message["content"]["text"].split()
    assert prefix == sys.prefix
    assert rest == ["quick", "no-real-data", "matplotlib_inline.backend_inline"]
