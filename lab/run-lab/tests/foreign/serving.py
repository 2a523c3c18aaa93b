"""What programs here have in common: an application is served by a few threads until standard input ends."""

import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from werkzeug.serving import ThreadedWSGIServer

# As the servers have that people run: whoever comes when all are taken waits where no span of the application is.
THREADS = 8


class Server(ThreadedWSGIServer):
    pool = ThreadPoolExecutor(THREADS)

    def process_request(self, request, client_address):
        self.pool.submit(self.process_request_thread, request, client_address)


def serve(app):
    """Serves `app` on a free port, and prints `listening http=PORT`."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = Server("127.0.0.1", 0, app)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"listening http={server.server_port}", flush=True)
    sys.stdin.read()
    server.shutdown()
