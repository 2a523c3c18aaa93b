"""What programs here have in common: an application is served by threads until standard input ends."""

import logging
import sys
import threading

from werkzeug.serving import make_server


def serve(app):
    """Serves `app` on a free port, and prints `listening http=PORT`."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"listening http={server.server_port}", flush=True)
    sys.stdin.read()
    server.shutdown()
