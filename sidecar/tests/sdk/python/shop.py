"""Two services of a shop, as anybody writes them: no line here knows of OpenTelemetry.

shop.py stock                    serves GET /stock by Flask and grpc.health by gRPC
shop.py front HTTP_URL GRPC_ADDR serves GET /checkout by Flask; asks stock by both

Prints `listening http=PORT [grpc=PORT]` and ends when standard input does.
"""

import logging
import sys
import threading
from concurrent import futures

import flask
import grpc
import requests
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from werkzeug.serving import make_server


def stock():
    app = flask.Flask("stock")

    @app.get("/stock")
    def _stock():
        return {"items": 3}

    server = grpc.server(futures.ThreadPoolExecutor(4))
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return app, f" grpc={port}", lambda: server.stop(None)


def front(url, address):
    app = flask.Flask("front")
    channel = grpc.insecure_channel(address)
    stub = health_pb2_grpc.HealthStub(channel)

    @app.get("/checkout")
    def _checkout():
        items = requests.get(f"{url}/stock?user=secret", timeout=10).json()["items"]
        status = stub.Check(health_pb2.HealthCheckRequest(), timeout=10).status
        return {"items": items, "status": status}

    return app, "", channel.close


def main():
    app, more, close = stock() if sys.argv[1] == "stock" else front(*sys.argv[2:])
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"listening http={server.server_port}{more}", flush=True)
    sys.stdin.read()
    server.shutdown()
    close()


main()
