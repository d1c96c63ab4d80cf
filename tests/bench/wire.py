"""A client that does as little as it can: what it costs must not hide what a proxy costs. For tests/bench/run.py."""

import socket
import struct

READ_BYTES = 1 << 20
READY = b"Z\0\0\0\5I"


class Refused(Exception):
    """The other side said ERROR."""


class Client:
    """A session that is logged in with a password in clear, or without one."""

    def __init__(self, port, user, password, database):
        self.socket = socket.create_connection(("127.0.0.1", port), 120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray(READ_BYTES)
        settings = b"user\0%s\0database\0%s\0client_encoding\0UTF8\0\0" % (user.encode(), database.encode())
        self.socket.sendall(struct.pack("!ii", 8 + len(settings), 196608) + settings)
        kind, body = self.message()
        if kind == b"R" and struct.unpack("!i", body[:4])[0] == 3:
            self.socket.sendall(frame(b"p", password.encode() + b"\0"))
            kind, body = self.message()
        if kind != b"R" or struct.unpack("!i", body[:4])[0] != 0:
            raise Refused(body.decode(errors="replace"))
        while self.message()[0] != b"Z":
            pass

    def exactly(self, count):
        data = bytearray()
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise Refused("the connection was closed")
            data += part
        return bytes(data)

    def message(self):
        kind, length = struct.unpack("!ci", self.exactly(5))
        body = self.exactly(length - 4)
        if kind == b"E":
            raise Refused(body.replace(b"\0", b" ").decode(errors="replace"))
        return kind, body

    def drain(self):
        """Reads until the server is ready again; how many bytes that were. Looks at the end only, and for an error in what is short."""
        count, start, tail = 0, b"", b""
        while True:
            got = self.socket.recv_into(self.buffer)
            if got == 0:
                raise Refused("the connection was closed")
            if count < len(self.buffer) // 256:
                start += bytes(self.buffer[:got])
            count += got
            tail = (tail + bytes(self.buffer[max(0, got - 16):got]))[-16:]
            if tail.endswith(READY):
                if count == len(start) and b"SERROR" in start:
                    raise Refused(start.replace(b"\0", b" ").decode(errors="replace"))
                return count

    def query(self, sql):
        self.socket.sendall(frame(b"Q", sql.encode() + b"\0"))
        return self.drain()

    def binary(self, sql):
        """The extended protocol, every column in binary."""
        text = sql.encode()
        bind = b"\0\0" + struct.pack("!hhhh", 0, 0, 1, 1)
        self.socket.sendall(
            frame(b"P", b"\0" + text + b"\0\0\0") + frame(b"B", bind) + frame(b"D", b"P\0") + frame(b"E", b"\0\0\0\0\0") + frame(b"S", b"")
        )
        return self.drain()

    def close(self):
        self.socket.close()


def frame(kind, body):
    return kind + struct.pack("!i", 4 + len(body)) + body
