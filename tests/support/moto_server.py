"""moto's S3 server, one request at a time: `moto_server.py PORT`.

Its conditional put looks first and stores afterwards. With requests in parallel two of eight racers win now and then.
"""

import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

_app, _turn = DomainDispatcherApplication(create_backend_app), threading.Lock()


def one_at_a_time(environ, start_response):
    with _turn:
        return list(_app(environ, start_response))


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), one_at_a_time, threaded=True)
