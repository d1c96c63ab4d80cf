"""Stands between a PostgreSQL client and its server and writes down what the client asks: every Query and Parse, once
each, in the order in which they first came. It changes nothing but that it answers no to encryption.

    proxy.py LISTEN_PORT SERVER_PORT OUTPUT
"""

import asyncio
import struct
import sys

SSL_REQUEST, GSS_REQUEST, CANCEL = 80877103, 80877104, 80877102


class Book:
    """What was asked."""

    def __init__(self, path):
        self.path, self.entries = path, {}

    def add(self, protocol, sql):
        sql = sql.strip()
        if sql and (protocol, sql) not in self.entries:
            self.entries[(protocol, sql)] = None
            with open(self.path, "a", encoding="utf-8") as out:
                out.write(f"---- {protocol}\n{sql}\n")


async def frame(reader):
    head = await reader.readexactly(5)
    return head, await reader.readexactly(struct.unpack(">I", head[1:])[0] - 4)


async def startup(reader, writer):
    while True:
        length = struct.unpack(">I", await reader.readexactly(4))[0]
        body = await reader.readexactly(length - 4)
        if struct.unpack(">I", body[:4])[0] not in (SSL_REQUEST, GSS_REQUEST):
            return struct.pack(">I", length) + body
        writer.write(b"N")


def note(book, head, body):
    if head[:1] == b"Q":
        book.add("simple", body[:-1].decode())
    elif head[:1] == b"P":
        _, sql, rest = body.split(b"\0", 2)
        count = struct.unpack(">H", rest[:2])[0]
        oids = struct.unpack(f">{count}I", rest[2:])
        book.add(" ".join(["extended", *map(str, oids)]), sql.decode())


async def serve(client_reader, client_writer, server_port, book):
    server_reader, server_writer = await asyncio.open_connection("127.0.0.1", server_port)

    async def back():
        while data := await server_reader.read(65536):
            client_writer.write(data)
            await client_writer.drain()
        client_writer.close()

    task = asyncio.create_task(back())
    try:
        server_writer.write(await startup(client_reader, client_writer))
        while True:
            head, body = await frame(client_reader)
            note(book, head, body)
            server_writer.write(head + body)
            await server_writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        if server_writer.can_write_eof():
            server_writer.write_eof()
        await task
        server_writer.close()


async def main(listen_port, server_port, path):
    book = Book(path)
    server = await asyncio.start_server(lambda r, w: serve(r, w, server_port, book), "127.0.0.1", listen_port)
    async with server:
        await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
