"""Two services as anybody writes them, and each can be late: for DELAY, in a place that the request names. No line here
knows of OpenTelemetry.

late.py back            POST /echo?late=PLACE
late.py front NEAR FAR  GET /pass?late=PLACE, which asks the service at NEAR; with `wire` the same one, by a longer way

Places: `nowhere`; `client`, in the HTTP client before it sends a byte; `wire`; `before`, when the service behind has its
connection and nobody has taken it up; `server`, in its handler.

Prints `listening http=PORT` and ends when standard input does.
"""

import sys
import time

import flask
import requests
from requests.adapters import HTTPAdapter
from serving import serve

DELAY = 0.5


class Late(HTTPAdapter):
    """A transport that may hold a request back."""

    def send(self, request, **options):
        if "late=client" in request.url:
            time.sleep(DELAY)
        return super().send(request, **options)


def back(app):
    @app.post("/echo")
    def _echo():
        if flask.request.args["late"] == "server":
            time.sleep(DELAY)
        return flask.jsonify(flask.request.get_json())

    inner = app.wsgi_app

    def taken_up_late(environ, start):
        if "late=before" in environ["QUERY_STRING"]:
            time.sleep(DELAY)
        return inner(environ, start)

    app.wsgi_app = taken_up_late


def front(app, near, far):
    asked = requests.Session()
    asked.mount("http://", Late())

    @app.get("/pass")
    def _pass():
        late = flask.request.args["late"]
        service = far if late == "wire" else near
        answer = asked.post(f"{service}/echo?late={late}", json={"text": "x" * 100}, timeout=60)
        return answer.json()


def main():
    name, *services = sys.argv[1:]
    app = flask.Flask(name)
    if name == "back":
        back(app)
    else:
        front(app, *services)
    serve(app)


main()
