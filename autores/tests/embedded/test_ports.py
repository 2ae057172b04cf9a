import os
import socket

from autores.embedded.ports import LOOPBACK, reserve_port


def test_other_port_taken_and_holder_named_when_preferred_is_held() -> None:
    with socket.create_server((LOOPBACK, 0)) as holder:
        held = holder.getsockname()[1]
        reservation = reserve_port(held, purpose="web")
        port = reservation.release()

    assert port != held
    assert reservation.notice is not None
    assert f"Port {held} is held by" in reservation.notice
    assert f"(process {os.getpid()})" in reservation.notice
    assert f"web takes {port} instead" in reservation.notice


def test_preferred_port_taken_silently_when_free() -> None:
    port = reserve_port().release()

    reservation = reserve_port(port, purpose="web")

    assert (reservation.release(), reservation.notice) == (port, None)


def test_two_pickers_get_different_ports_when_neither_listens_yet() -> None:
    first = reserve_port()
    second = reserve_port(first.port)

    assert second.release() != first.release()


def test_port_is_free_at_once_when_its_last_server_left_connections_behind() -> None:
    port = reserve_port().release()
    with socket.create_server((LOOPBACK, port)) as server:
        client = socket.create_connection((LOOPBACK, port))
        accepted, _ = server.accept()
        accepted.close()  # closing first leaves the server's side in TIME_WAIT
        client.close()

    assert reserve_port(port).release() == port
