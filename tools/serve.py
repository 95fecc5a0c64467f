"""Serve the built book on this machine.

python tools/serve.py [PORT]    without a port, a free one is taken
"""

import functools
import gzip
import http.server
import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HTML = Path(__file__).parents[1] / "book" / "_build" / "html"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and prints no line a request."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Published(Quiet):
    """Serves text compressed and keeps connections, as GitHub Pages and its like do."""

    protocol_version = "HTTP/1.1"
    TEXT = frozenset({".html", ".css", ".js", ".json", ".svg", ".txt", ".xml", ".ipynb"})

    def send_head(self):
        """Send the headers; return what follows."""
        path = Path(self.translate_path(self.path))
        if path.suffix not in self.TEXT or not path.is_file() or "gzip" not in self.headers.get("Accept-Encoding", ""):
            return super().send_head()
        data = gzip.compress(path.read_bytes(), 6)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        return io.BytesIO(data)


def open_server(port: int, folder: Path = HTML, handler: type = http.server.SimpleHTTPRequestHandler):
    """Return a server of ``folder`` on ``port`` (0: any free one); exit with a message if it cannot be had."""
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), functools.partial(handler, directory=str(folder)))
    except OSError as error:
        sys.exit(f"port {port} cannot be used ({error.strerror}); leave it out to get a free one: make serve")


@contextmanager
def served(folder: Path, port: int = 0, handler: type = Quiet) -> Iterator[str]:
    """Serve a folder in silence while the context lasts; yield its address."""
    with open_server(port, folder, handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


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
