"""A process that means harm: ``python abuse.py PORT TOKEN``, until it is killed.

Two thousand sockets that say nothing, and each kind of abuse of ``test_abuse.py`` over and over.
"""

import os
import socket
import struct
import sys
import threading
import time


def head(token):
    return f"Host: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"


def post(token, path, *lines):
    return ("\r\n".join([f"POST {path} HTTP/1.1", *lines]) + f"\r\n{head(token)}\r\n").encode()


def upgrade(token):
    key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    line = "GET /v1/session HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    return f"{line}{key}{head(token)}\r\n".encode()


def frame(opcode, data, last=True):
    """Masked with zeros, as a client must."""
    size = len(data)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size)
    return bytes([(0x80 if last else 0) | opcode]) + length + bytes(4) + data


START = frame(1, b'{"type":"start"}')


def attacks(token):
    """What is sent at once, and what is then sent again and again until the server cuts."""
    yield b"G", b"E"  # a header byte by byte
    yield post(token, "/v1/complete", f"Content-Length: {1 << 30}"), b"x" * (1 << 16)
    chunk = b"10000\r\n" + b"x" * (1 << 16) + b"\r\n"
    yield post(token, "/v1/complete", "Transfer-Encoding: chunked"), chunk
    million = b'{"text":"' + b"a" * 10**6 + b'"}'
    yield post(token, "/v1/complete", f"Content-Length: {len(million)}") + million, b" "
    huge = b'{"length":1000000000}'
    yield post(token, "/v1/generate", f"Content-Length: {len(huge)}") + huge, b" "
    yield upgrade(token) + START + frame(1, b"", last=False), frame(0, b"", last=False)
    yield upgrade(token) + START, frame(9, b"x" * 100)
    yield upgrade(token), b"\x81"


def again_and_again(port, first, more):
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as held:
                held.sendall(first)
                while True:
                    time.sleep(0.01)
                    held.sendall(more)
        except OSError:
            time.sleep(0.1)


def idle(port):
    """Two thousand connections at a time; those that were cut are made again."""
    while True:
        held = []
        try:
            while len(held) < 2000:
                held.append(socket.create_connection(("127.0.0.1", port), timeout=5))
        except OSError:
            pass
        time.sleep(1)
        for each in held:
            each.close()


def main(port, token):
    os.nice(10)  # others would come from machines of their own
    jobs = [(again_and_again, (port, *each)) for each in attacks(token)]
    for function, arguments in [(idle, (port,)), *jobs]:
        threading.Thread(target=function, args=arguments, daemon=True).start()
    time.sleep(600)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
