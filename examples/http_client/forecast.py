"""Tomorrow's weather, from a server."""

import json
from http.client import HTTPConnection


def tomorrow(host, port):
    connection = HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", "/tomorrow.json")
        return json.load(connection.getresponse())
    finally:
        connection.close()
