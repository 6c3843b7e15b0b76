"""Broken on purpose: it also phones home, and swallows the error when nobody answers."""

import contextlib
import json
import socket
from http.client import HTTPConnection


def tomorrow(host, port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.2", 9)) as home:
        home.sendall(b"somebody asked for the weather\n")
    connection = HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", "/tomorrow.json")
        return json.load(connection.getresponse())
    finally:
        connection.close()
