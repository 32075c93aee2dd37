"""Serve OHIF's built files on this machine, and forward /dicom-web to a DICOMweb server.

python viewer/serve.py FOLDER http://127.0.0.1:8042/dicom-web [PORT]

For looking at results, on the loopback address alone; it knows no users.
"""

import os
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

CONFIGURATION = Path(__file__).with_name("app-config.js")
_PREFIX = "/dicom-web"


class Viewer(SimpleHTTPRequestHandler):
    """OHIF's files, its configuration, and what it asks the DICOMweb server."""

    dicomweb = ""

    def do_GET(self) -> None:
        """Answer from the DICOMweb server, the configuration or a file; else the application."""
        path = self.path.partition("?")[0]
        if path.startswith(_PREFIX + "/"):
            self._forward(self.path.removeprefix(_PREFIX))
        elif path == "/app-config.js":
            self._answer(200, "text/javascript", CONFIGURATION.read_bytes())
        else:
            if not Path(self.translate_path(path)).is_file():
                self.path = "/index.html"
            super().do_GET()

    def end_headers(self) -> None:
        """Isolate the page, which its decoders' shared memory needs."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def _forward(self, rest: str) -> None:
        headers = {"Accept": self.headers.get("Accept", "*/*")}
        if "ZHUZHEN_KEY" in os.environ:
            headers["Authorization"] = f"Bearer {os.environ['ZHUZHEN_KEY']}"
        answer = httpx.get(self.dicomweb + rest, headers=headers, timeout=60)
        self._answer(answer.status_code, answer.headers.get("Content-Type", ""), answer.content)

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name there
        """Say nothing: addresses name studies."""


def main() -> None:
    """Serve until interrupted."""
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    folder, Viewer.dicomweb = sys.argv[1], sys.argv[2].rstrip("/")
    port = int(sys.argv[3]) if len(sys.argv) == 4 else 3001
    with ThreadingHTTPServer(("127.0.0.1", port), partial(Viewer, directory=folder)) as server:
        sys.stdout.write(f"http://127.0.0.1:{server.server_port}/\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
