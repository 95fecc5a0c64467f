"""Serve the built book on this machine.

python tools/serve.py [PORT]    without a port, a free one is taken
"""

import functools
import http.server
import sys
from pathlib import Path

HTML = Path(__file__).parents[1] / "book" / "_build" / "html"


def open_server(port: int) -> http.server.ThreadingHTTPServer:
    """Return a server of the book on ``port`` (0: any free one); exit with a message if it cannot be had."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(HTML))
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        sys.exit(f"port {port} cannot be used ({error.strerror}); leave it out to get a free one: make serve")


def main(arguments: list[str]) -> None:
    """Run the command line."""
    text = arguments[0] if arguments else "0"
    if not (text.isdigit() and int(text) < 65536):
        sys.exit(f"the port must be a number from 0 to 65535, got {text!r}; for example: make serve PORT=8000")
    if not (HTML / "index.html").exists():
        sys.exit(f"there is no built book in {HTML}; build it first: make book")
    server = open_server(int(text))
    print(f"The book is at http://127.0.0.1:{server.server_port}/ (stop with Ctrl-C)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main(sys.argv[1:])
