"""Plain programs of Linux against the stack on a TAP, in both roles. Needs root, and the programs named."""

import hashlib
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.namespace import KERNEL, STACK, Namespace, namespace, require

pytestmark = pytest.mark.slow

_FILE = random.Random(1).randbytes(5_000_000)
_HERE = Path(__file__).parent
_SIZES = (0, 1, 7, 8, 15, 16, 56, 57, 1471, 1472)
_LARGE_SIZES = (1473, 2952, 2953, 9000, 65506, 65507)
"""These go in fragments."""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module", params=["--offloads", "--no-offloads"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    """A kernel on one side, the stack on the other."""
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "www").mkdir()
    (folder / "www" / "file").write_bytes(_FILE)
    with namespace(folder) as made:
        made.start_stack("tap0", "--host-address", f"{KERNEL}/24", "--root", str(folder / "www"), request.param)
        yield made


@pytest.mark.parametrize("size", _SIZES)
def test_the_kernel_pings_the_stack(lab: Namespace, size: int) -> None:
    answer = lab.run(require("ping"), "-c", "3", "-i", "0.01", "-W", "5", "-s", str(size), STACK).decode()
    assert "3 received" in answer


@pytest.mark.parametrize("size", [0, 56, 1472])
def test_the_stack_pings_the_kernel(lab: Namespace, size: int) -> None:
    answer = lab.run(*lab.niclab("ping", KERNEL, "-c", "3", "-i", "0.01", "-W", "5", "-s", str(size))).decode()
    assert "3 received" in answer


def test_a_flood_of_pings_is_answered_without_loss(lab: Namespace) -> None:
    answer = lab.run(require("ping"), "-q", "-f", "-c", "2000", STACK).decode()
    assert "2000 received" in answer


def test_curl_fetches_a_file_from_the_stack(lab: Namespace) -> None:
    fetched = lab.run(require("curl"), "--silent", "--show-error", "--fail", f"http://{STACK}/file")
    assert _sha256(fetched) == _sha256(_FILE)


def test_curl_uses_one_connection_for_several_requests(lab: Namespace) -> None:
    address = f"http://{STACK}/file"
    format_ = "%{num_connects} %{size_download}\\n"
    made = lab.run(require("curl"), "-sS", "-w", format_, "-o", "/dev/null", address, "-o", "/dev/null", address)
    assert made.decode().splitlines() == [f"1 {len(_FILE)}", f"0 {len(_FILE)}"]


def test_curl_is_told_what_is_not_there(lab: Namespace) -> None:
    code = lab.run(require("curl"), "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://{STACK}/../../etc/passwd")
    assert code == b"404"


def test_the_stack_fetches_a_file_from_nginx(lab: Namespace) -> None:
    configuration = lab.folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; pid {lab.folder}/nginx.pid; error_log stderr; worker_processes 1; user root;\n"
        "events { worker_connections 64; }\n"
        f"http {{ access_log off; server {{ listen {KERNEL}:8080; root {lab.folder}/www; }} }}\n"
    )
    server = lab.start(require("nginx"), "-c", str(configuration), "-p", str(lab.folder), stderr=subprocess.DEVNULL)
    _wait_for_port(lab, 8080)
    request = f"GET /file HTTP/1.1\r\nHost: {KERNEL}\r\nConnection: close\r\n\r\n".encode()
    answer = lab.run(*lab.niclab("nc", KERNEL, "8080"), data=request)
    server.terminate()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert _sha256(body) == _sha256(_FILE)


@pytest.mark.parametrize("direction", [(), ("-R",)], ids=["in", "out"])
@pytest.mark.parametrize("streams", [1, 4])
def test_iperf3(lab: Namespace, direction: tuple[str, ...], streams: int) -> None:
    words = ("-c", STACK, "-n", "20M", "-P", str(streams), "--json", *direction)
    report = json.loads(lab.run(require("iperf3"), *words))
    # What the client had in its buffers at the end is not counted as received, whoever the server is.
    assert report["end"]["sum_sent"]["bytes"] >= 20_000_000
    assert report["end"]["sum_received"]["bytes"] >= 10_000_000
    assert len(report["end"]["streams"]) == streams


def test_socat_sends_a_file_to_the_echo_service(lab: Namespace) -> None:
    back = lab.run(require("socat"), "-t", "30", "-", f"TCP:{STACK}:7", data=_FILE)
    assert _sha256(back) == _sha256(_FILE)


def test_the_stack_sends_a_file_to_socat_and_gets_it_back(lab: Namespace) -> None:
    lab.start(require("socat"), "-t", "30", "TCP-LISTEN:9001,reuseaddr", "EXEC:cat")
    _wait_for_port(lab, 9001)
    back = lab.run(*lab.niclab("nc", "-N", KERNEL, "9001"), data=_FILE)
    assert _sha256(back) == _sha256(_FILE)


def test_socat_connects_to_a_listening_stack(lab: Namespace) -> None:
    """The stack's nc waits; what it gets on standard input arrives at socat."""
    listener = lab.start(*lab.niclab("nc", "-N", "--listen", "9002"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    _wait_for(lambda: b":9002" in lab.run(*lab.niclab("ss")))
    client = lab.start(
        require("socat"), "-t", "30", f"TCP:{STACK}:9002", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert client.stdin is not None
    client.stdin.write("from the kernel\n")
    client.stdin.close()
    assert listener.communicate("from the stack\n", timeout=30)[0] == "from the kernel\n"
    assert client.stdout is not None
    assert client.stdout.read() == "from the stack\n"


def test_64_connections_at_once(lab: Namespace) -> None:
    answer = lab.run(sys.executable, str(_HERE / "connections.py"), STACK, "7", "64", "200000")
    assert answer == b"64 of 64 equal\n"


def test_udp_datagrams_come_back(lab: Namespace) -> None:
    data = _FILE[:1400]
    back = lab.run(require("socat"), "-t", "2", "-", f"UDP:{STACK}:7", data=data)
    assert back == data


def test_tracepath_reaches_the_stack(lab: Namespace) -> None:
    answer = lab.run(require("tracepath"), "-n", STACK).decode()
    assert re.search(rf"1:\s+{re.escape(STACK)}\s.*reached", answer), answer
    assert "pmtu 1500" in answer


def test_ss_shows_listeners_and_counters(lab: Namespace) -> None:
    answer = lab.run(*lab.niclab("ss", "-i", "-s")).decode()
    assert re.search(r"tcp +LISTEN +0 +1024 +\*:7 +\*:\*", answer), answer
    assert re.search(r"Tcp\.InSegs +\d+", answer), answer
    assert "Drop.TCP_CSUM" not in answer


def _wait_for_port(lab: Namespace, port: int) -> None:
    listening = f":{port:04X} "
    _wait_for(lambda: listening in lab.run("cat", "/proc/net/tcp").decode())


def _wait_for(condition: object) -> None:
    """Look again and again, up to 20 s."""
    assert callable(condition)
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not come about in 20 s"
        time.sleep(0.05)
