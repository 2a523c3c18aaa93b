"""A gateway as anybody writes one: a few threads, and it makes its payload under one lock. It asks another service to send
that back. No line here knows of OpenTelemetry.

gateway.py ECHO_URL

GET /page?size=N   a payload of N letters
GET /wrong?size=N  one of 100,000, whatever was asked for

Prints `listening http=PORT` and ends when standard input does.
"""

import random
import string
import sys
import threading

import flask
import requests
from serving import serve

LETTERS = string.ascii_letters + string.digits


def main():
    app = flask.Flask("gateway")
    lock = threading.Lock()
    echo = sys.argv[1]

    def send(size):
        with lock:
            text = "".join(random.choices(LETTERS, k=size))
        answer = requests.post(f"{echo}/echo", json={"text": text}, timeout=60)
        return {"payload": answer.json()["text"]}

    @app.get("/page")
    def _page():
        return send(int(flask.request.args["size"]))

    @app.get("/wrong")
    def _wrong():
        return send(100_000)

    serve(app)


main()
