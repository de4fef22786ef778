import base64
import hashlib
import json
from typing import Any


def unseal(sealed: str, salt: str, rounds: int) -> Any:
    """The inverse of `galore.teach.seal.seal`, which only the page needs: its second implementation, byte by byte."""
    key = salt.encode()
    for _ in range(rounds + 1):
        key = hashlib.sha256(key).digest()
    data = base64.b64decode(sealed)
    stream = (hashlib.sha256(key + (k // 32).to_bytes(4, "big")).digest()[k % 32] for k in range(len(data)))
    return json.loads(bytes(a ^ b for a, b in zip(data, stream)))
