"""Truths that the page needs but that nobody should read in it, and checksums of result files.

A page without a server that can work out a learner's result holds the answers in some form. Here they are sealed with
a key that is reached only by hashing a public salt many thousand times, one after the other. Nothing can be read
off the page, its files or the browser's tools, and single answers cannot be tried; the page itself computes the key
when the last answer is stored. Whoever writes a program to do the same could also write a result file by hand: against
such a person only supervision helps, and the seal claims no more.
"""

import base64
import functools
import hashlib
import json
from typing import Any

FEEDBACK_ROUNDS = 4_000
RESULT_ROUNDS = 150_000
_BLOCK = 256


def seal(value: Any, salt: str, rounds: int, size: int = 0) -> str:
    """JSON under a seal, padded so that its length tells nothing.

    Args:
        value: anything that JSON knows.
        salt: public, another one for every seal.
        rounds: how many hashes the key costs.
        size: bytes to fill up to at least, so that seals of different conditions are as long.

    Returns:
        base64 text.
    """
    text = plain(value)
    length = max(len(text), size)
    padded = text.ljust(length + -length % _BLOCK)
    return base64.b64encode(_xor(padded, _key(salt, rounds))).decode()


def plain(value: Any) -> bytes:
    """What is sealed, before it is filled up."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode()


def checksum(result: dict[str, Any]) -> str:
    """16 hexadecimal digits over everything that a result file says; the page computes the same."""
    head = ("format", "version", "experiment", "learner", "place", "condition", "order", "simulation")
    lines = [str(result.get(name, "")) for name in head]
    fields = ("trial", "answer", "milliseconds", "interrupted", "studied")
    lines += [",".join(str(answer[name]) for name in fields) for answer in result["answers"]]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@functools.lru_cache(maxsize=256)
def _key(salt: str, rounds: int) -> bytes:
    key = hashlib.sha256(salt.encode()).digest()
    for _ in range(rounds):
        key = hashlib.sha256(key).digest()
    return key


def _xor(data: bytes, key: bytes) -> bytes:
    blocks = -(-len(data) // 32)
    stream = b"".join(hashlib.sha256(key + block.to_bytes(4, "big")).digest() for block in range(blocks))
    return bytes(a ^ b for a, b in zip(data, stream))
