"""Serves a teaching or agreement page in a room or a laboratory, and keeps the results that learners send.

    galore teach CUB_200_2011 --model runs/birds --classes A B --post-to http://192.168.0.7:8000/ --out blackbirds
    python scripts/take_results.py blackbirds --into results --host 0.0.0.0 --port 8000

What is no result of this experiment is refused. It speaks plain http and knows no passwords: not for the open internet.
"""

import argparse
import functools
import http.server
import sys
import tempfile
import threading
from pathlib import Path

from galore import atomic
from galore.errors import InputError
from galore.teach import results, sheet
from galore.teach.sheet import Sheet

MOST_DISCARDED, BLOCK = 16 * results.LARGEST, 2**16


def keep(made: Sheet, body: bytes, into: Path) -> str:
    """Keeps what was sent under the learner's code, if it is a result of the experiment.

    Args:
        made: the experiment.
        body: what was sent.
        into: the folder of results.

    Returns:
        Why it is refused; "" where it is kept.
    """
    with tempfile.NamedTemporaryFile() as arrived:
        arrived.write(body)
        arrived.flush()
        outcome = results.check(made, Path(arrived.name))
    if isinstance(outcome, results.Refusal):
        return outcome.reason
    name = f"galore-{made.experiment}-{outcome.learner}"
    earlier = list(into.glob(f"{name}*.json"))
    if all(file.read_bytes() != body for file in earlier):
        with atomic.file(into / f"{name}{f'-{len(earlier) + 1}' if earlier else ''}.json") as file:
            file.write_bytes(body)
    return ""


def server(folder: Path, into: Path, host: str, port: int) -> http.server.ThreadingHTTPServer:
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

    class Page(http.server.SimpleHTTPRequestHandler):
        def do_POST(self) -> None:
            given = self.headers.get("Content-Length", "")
            length = int(given) if given.isdecimal() and len(given) < 12 else 0
            fits = given.isdecimal() and 0 < len(given) < 12 and length <= results.LARGEST
            # What is too large is read to the end, within reason: who is still sending would not hear the answer.
            body = self.rfile.read(min(length, results.LARGEST))
            for start in range(len(body), min(length, MOST_DISCARDED), BLOCK):
                self.rfile.read(min(BLOCK, length - start))
            with one_at_a_time:
                reason = keep(made, body, into) if fits else "too large for a result file"
            self.send_response(400 if reason else 200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nobody is written down."""

    try:
        page = functools.partial(Page, directory=str(folder / "page"))
        return http.server.ThreadingHTTPServer((host, port), page)
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot listen at {host}:{port}: {error}") from error


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", metavar="DIR", type=Path, help="what galore teach or galore agree made")
    parser.add_argument("--into", metavar="DIR", type=Path, default=Path("results"), help="of results (%(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (%(default)s: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="%(default)s")
    args = parser.parse_args()
    try:
        serving = server(args.folder, args.into, args.host, args.port)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"The page is at http://{args.host}:{serving.server_port}/ until Ctrl-C; results go into {args.into}")
    try:
        serving.serve_forever()
    except KeyboardInterrupt:
        serving.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
