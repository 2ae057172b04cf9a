import os
import socket
import subprocess
import sys

from autores.embedded.ports import LOOPBACK, reserve_port


def test_other_port_taken_and_holder_named_when_preferred_is_held() -> None:
    with socket.create_server((LOOPBACK, 0)) as holder:
        held = holder.getsockname()[1]
        reservation = reserve_port(held, purpose="web")
        port = reservation.port

    assert port != held
    assert reservation.notice is not None
    assert f"Port {held} is held by" in reservation.notice
    assert f"(process {os.getpid()})" in reservation.notice
    assert f"web takes {port} instead" in reservation.notice


def test_preferred_port_taken_silently_when_free() -> None:
    port = reserve_port().release()

    reservation = reserve_port(port, purpose="web")

    assert (reservation.port, reservation.notice) == (port, None)


def test_two_pickers_get_different_ports_when_neither_listens_yet() -> None:
    first = reserve_port()
    second = reserve_port(first.port)

    assert second.port != first.port


def test_port_is_free_at_once_when_its_last_server_left_connections_behind() -> None:
    port = reserve_port().release()
    with socket.create_server((LOOPBACK, port)) as server:
        client = socket.create_connection((LOOPBACK, port))
        accepted, _ = server.accept()
        accepted.close()  # closing first leaves the server's side in TIME_WAIT
        client.close()

    assert reserve_port(port).port == port


def test_process_that_reserved_is_named_when_it_does_not_listen_yet() -> None:
    first = reserve_port()
    second = reserve_port(first.port)

    assert f"(process {os.getpid()})" in (second.notice or "")


def test_many_processes_get_different_ports_when_they_ask_at_once() -> None:
    program = (
        "import sys\n"
        "from autores.embedded.ports import reserve_port\n"
        "print(*[reserve_port(24_000).port for _ in range(10)], flush=True)\n"
        "sys.stdin.read()\n"
    )
    pickers = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    picked: list[str] = []
    for picker in pickers:
        assert picker.stdout is not None
        picked += picker.stdout.readline().split()
    for picker in pickers:
        picker.communicate()

    assert len(picked) == 40
    assert len(set(picked)) == 40
