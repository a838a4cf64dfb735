"""TCP Fast Open (RFC 7413) between Linux and the stack, in both roles. Needs root."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.kernel.namespace import KERNEL, KERNEL6, STACK, STACK6, Namespace, namespace, require

pytestmark = pytest.mark.slow

_KEY = "03020100-07060504-0b0a0908-0f0e0d0c"
_SERVER = """
import socket, sys
listener = socket.socket(socket.AF_INET6)
listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 8)
listener.bind(("::", 9003))
listener.listen()
print("up", flush=True)
while True:
    connection, _ = listener.accept()
    print(bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5] & 32), flush=True)
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.close()
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    folder = tmp_path_factory.mktemp("fast_open")
    (folder / "www").mkdir()
    (folder / "www" / "file").write_bytes(b"content" * 1000)
    with namespace(folder) as made:
        addresses = ("--address", f"{STACK6}/64", "--host-address", f"{KERNEL}/24", "--host-address", f"{KERNEL6}/64")
        sysctls = ("--sysctl", "net.ipv4.tcp_fastopen=0x403", "--sysctl", f"net.ipv4.tcp_fastopen_key={_KEY}")
        made.start_stack("tap0", *addresses, "--root", str(folder / "www"), *sysctls)
        made.run("sh", "-c", "echo 0x403 > /proc/sys/net/ipv4/tcp_fastopen")
        made.run("sh", "-c", f"echo {_KEY} > /proc/sys/net/ipv4/tcp_fastopen_key")
        yield made


def counter(lab: Namespace, name: str) -> int:
    """One of the kernel's TcpExt."""
    names, values = lab.run("cat", "/proc/net/netstat").decode().splitlines()[:2]
    return int(dict(zip(names.split(), values.split(), strict=True))[name])


@pytest.mark.parametrize("host", [STACK, f"[{STACK6}]"])
def test_curl_opens_fast(lab: Namespace, host: str) -> None:
    """The kernel keeps the stack's cookie, and the stack takes the request with the SYN."""
    before = counter(lab, "TCPFastOpenActive")
    for _ in range(3):
        words = ("--silent", "--show-error", "--fail", "--globoff", "--tcp-fastopen", f"http://{host}/file")
        assert lab.run(require("curl"), *words) == b"content" * 1000
    assert counter(lab, "TCPFastOpenActive") - before == 2
    assert counter(lab, "TCPFastOpenActiveFail") == 0


@pytest.mark.parametrize("host", [KERNEL, KERNEL6])
def test_the_stack_opens_fast(lab: Namespace, host: str) -> None:
    """The stack keeps the kernel's cookie, and the kernel takes the data with the SYN."""
    server = lab.start(sys.executable, "-c", _SERVER, stdout=subprocess.PIPE)
    assert server.stdout is not None
    assert server.stdout.readline() == "up\n"
    before = counter(lab, "TCPFastOpenCookieReqd")
    for _ in range(3):
        words = lab.niclab("nc", "-N", "--fast-open", host, "9003")
        assert lab.run(*words, data=b"hello" * 1000) == b"hello" * 1000
    # TCPI_OPT_SYN_DATA of each.
    assert [server.stdout.readline() for _ in range(3)] == ["False\n", "True\n", "True\n"]
    assert counter(lab, "TCPFastOpenCookieReqd") - before == 1
    server.kill()
