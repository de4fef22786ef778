"""Serves a teaching or agreement page in a room or a laboratory, and keeps the results that learners send.

    galore teach CUB_200_2011 --model runs/birds --classes A B --post-to http://192.168.0.7:8000/ --out blackbirds
    python scripts/take_results.py blackbirds --into results --host 0.0.0.0 --port 8000

What is no result of this experiment is refused. It speaks plain http and knows no passwords: not for the open internet.
"""

from galore import program

program.guard(__name__)

import argparse
import contextlib
import functools
import http.server
import itertools
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from galore.errors import InputError
from galore.teach import results, sheet
from galore.teach.sheet import Sheet

MOST_DISCARDED, BLOCK = 16 * results.LARGEST, 2**16
PATIENCE, LONGEST = 10.0, 60.0
"""Seconds for which a client may say nothing, and for which one request may last."""

MOST_AT_ONCE = 256
"""Connections; who comes then waits until one is free."""


def keep(made: Sheet, body: bytes, into: Path) -> str:
    """Keeps what was sent under the learner's code, if it is a result of the experiment.

    Args:
        made: the experiment.
        body: what was sent.
        into: the folder of results; no file in it is ever written again.

    Returns:
        Why it is refused; "" where it is kept.

    Raises:
        InputError: it cannot be written.
    """
    outcome = results.check_content(made, body, "what was sent")
    if isinstance(outcome, results.Refusal):
        return outcome.reason
    name = f"galore-{made.experiment}-{outcome.learner}"
    try:
        into.mkdir(parents=True, exist_ok=True)
        if any(file.read_bytes() == body for file in into.glob(f"{name}*.json")):
            return ""
        for number in itertools.count(1):
            with contextlib.suppress(FileExistsError):
                _create(into / f"{name}{f'-{number}' if number > 1 else ''}.json", body)
                return ""
    except OSError as error:
        raise InputError(f"cannot keep a result in {into}: {error.strerror or error}") from error
    raise AssertionError("there is always one more number")


def _create(path: Path, body: bytes) -> None:
    """Makes a file appear whole; raises FileExistsError where there is one."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".unfinished-") as arrived:
        arrived.write(body)
        arrived.flush()
        os.link(arrived.name, path)
    path.chmod(0o644)


class Server(http.server.ThreadingHTTPServer):
    """With so many threads at most, and without a word about clients that leave."""

    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.free = threading.BoundedSemaphore(MOST_AT_ONCE)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.free.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Page(http.server.SimpleHTTPRequestHandler):
    """One connection: the page's files, and results by POST; whatever else is asked for gets a status from 400 on.

    `kept` keeps the body of a POST, and gives the status.
    """

    timeout = PATIENCE

    def __init__(self, kept: Callable[[bytes], int], *arguments: Any, **options: Any) -> None:
        self.kept = kept  # first: the parent answers while it is made
        super().__init__(*arguments, **options)

    def setup(self) -> None:
        super().setup()
        self.end = threading.Timer(LONGEST, self.connection.shutdown, (socket.SHUT_RDWR,))
        self.end.daemon = True
        self.end.start()

    def finish(self) -> None:
        self.end.cancel()
        super().finish()

    def send_head(self) -> Any:
        try:
            return super().send_head()
        except ValueError:  # a path that no file can have
            self.send_error(404)

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def do_POST(self) -> None:
        given = self.headers.get("Content-Length", "")
        is_number = given.isascii() and given.isdecimal() and len(given) < 12
        if not is_number:
            self.reply(411)
            return
        length = int(given)
        # What is too large is read to the end, within reason: who is still sending would not hear the answer.
        body = self.rfile.read(min(length, results.LARGEST))
        for start in range(len(body), min(length, MOST_DISCARDED), BLOCK):
            self.rfile.read(min(BLOCK, length - start))
        self.reply(413 if length > results.LARGEST else self.kept(body) if len(body) == length else 400)

    def reply(self, status: int) -> None:
        """A status and nothing else."""
        self.send_response(status)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        # An unknown method or protocol is the client's mistake, and whoever names none gets a status all the same.
        if self.request_version == "HTTP/0.9":
            self.request_version = self.protocol_version
        super().send_error({501: 405, 505: 400}.get(code, code), message, explain)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody is written down."""


def server(folder: Path, into: Path, host: str, port: int) -> Server:
    """A server of the experiment's page, and of nothing else in its folder.

    Args:
        folder: what `galore teach` or `galore agree` made.
        into: where results go.
        host: the address to listen at.
        port: 0 for a free one.

    Raises:
        InputError: the folder holds no experiment, or the address cannot be had.
    """
    made, one_at_a_time = sheet.read(folder), threading.Lock()

    def kept(body: bytes) -> int:
        try:
            with one_at_a_time:
                return 400 if keep(made, body, into) else 200
        except InputError as error:
            print(error, file=sys.stderr)
            return 507

    try:
        return Server((host, port), functools.partial(Page, kept, directory=str(folder / "page")))
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot listen at {host}:{port}: {error}") from error


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", metavar="DIR", type=Path, help="what galore teach or galore agree made")
    parser.add_argument("--into", metavar="DIR", type=Path, default=Path("results"), help="of results (%(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (%(default)s: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="%(default)s")
    args = parser.parse_args()
    with server(args.folder, args.into, args.host, args.port) as serving:
        address = f"http://{args.host}:{serving.server_port}/"
        print(f"The page is at {address} until Ctrl-C; results go into {args.into}", flush=True)
        serving.serve_forever()


if __name__ == "__main__":
    sys.exit(program.ended("error", main))
