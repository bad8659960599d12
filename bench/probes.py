"""Asks one worker again and again, and notes how long each answer took."""

import re
import socket
import sys
import threading
import time

# As the load generator sends them.
HEADERS = "host: bench\r\nuser-agent: bench\r\naccept: */*\r\naccept-encoding: gzip, compress, deflate, br\r\n"
# Longer than this, and a worker was kept from its work.
STALL_SECONDS = 0.005


class Connection:
    """To one worker, as a connection is."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()

    def status(self, key: str) -> int:
        return self.asked({"authorization": key})

    def asked(self, headers: "dict[str, str]") -> int:
        """The status of the answer to a request with these headers."""
        told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.socket.sendall(f"GET / HTTP/1.1\r\n{HEADERS}{told}\r\n".encode())
        head, body = b"", b""
        while b"\r\n\r\n" not in head:
            head += self.received()
        head, _, body = head.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        while len(body) < (int(length.group(1)) if length else 0):
            body += self.received()
        return int(head.split()[1])

    def received(self) -> bytes:
        return self.socket.recv(65536) or sys.exit("error: Envoy closed a connection of the benchmark")


class Probes:
    """Asks from its beginning to its end."""

    def __init__(self, port: int, key: str):
        self.port, self.key, self.taken, self.is_over = port, key, [], threading.Event()
        self.thread = threading.Thread(target=self.ask)

    def __enter__(self) -> "Probes":
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.is_over.set()
        self.thread.join()

    def ask(self) -> None:
        with Connection(self.port) as connection:
            while not self.is_over.is_set():
                began = time.perf_counter()
                connection.status(self.key)
                self.taken.append(time.perf_counter() - began)
                # Often enough to meet every stall, seldom enough to leave the machine to what is measured.
                time.sleep(0.002)

    def stalls(self) -> int:
        return sum(taken > STALL_SECONDS for taken in self.taken)

    def slowest_ms(self) -> float:
        return max(self.taken) * 1000
