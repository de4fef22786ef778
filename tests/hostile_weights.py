"""Weights files that mean harm, or that an accident made: pickles, zip archives and safetensors, by what is wrong."""

import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator

Content = bytes | Callable[[], bytes]

DICT = b"ccollections\nOrderedDict\n)R"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
FLOAT = b"ctorch\nFloatStorage\n"
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
HEAD = b"".join(pickle.dumps(item, 2) for item in (MAGIC, PROTOCOL, {"little_endian": True}))


def text(value):
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def whole(number):
    return pickle.dumps(number, 2)[2:-1]


def storage(key=b"X\x01\x00\x00\x000", dtype=FLOAT, kind="storage", elements=6, view=b""):
    return b"(" + text(kind) + dtype + key + text("cpu") + whole(elements) + view + b"tQ"


def tensor(of=None, offset=0, shape=(6,), strides=(1,)):
    shaped = b"".join(b"(" + b"".join(map(whole, numbers)) + b"t" for numbers in (shape, strides))
    return TENSOR + b"(" + (storage() if of is None else of) + whole(offset) + shaped + b"\x89" + DICT + b"tR"


def state(*items):
    return b"\x80\x02" + DICT + b"(" + b"".join(text(name) + value for name, value in items) + b"u."


def archive(pickled, members=None, compression=zipfile.ZIP_STORED, name="archive"):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as packed:
        packed.writestr(f"{name}/data.pkl", pickled)
        for member, content in (members or {"data/0": b"\0" * 24}).items():
            packed.writestr(f"{name}/{member}", content)
    return stream.getvalue()


def bomb(member, gigabytes):
    """A zip whose member is so many gigabytes of zeros, deflated; made in pieces, of a few megabytes itself."""
    block = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = block.compress(bytes(1 << 26)) + block.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    content = piece * (gigabytes * 16) + end
    good = archive(state(("a", tensor())), {member: content})
    size = struct.pack("<I", len(content))
    changed = bytearray(good)
    for start in (changed.find(b"PK\x03\x04", changed.find(f"archive/{member}".encode()) - 31),):
        changed[start + 8 : start + 10] = b"\x08\x00"
        changed[start + 22 : start + 26] = struct.pack("<I", min(gigabytes << 30, 2**32 - 2))
    entry = changed.rfind(f"archive/{member}".encode()) - 46
    changed[entry + 10 : entry + 12] = b"\x08\x00"
    changed[entry + 20 : entry + 24], changed[entry + 24 : entry + 28] = (
        size, struct.pack("<I", min(gigabytes << 30, 2**32 - 2)),
    )  # fmt: skip
    return bytes(changed)


def declared(size):
    """A stored member that announces so many bytes."""
    good = bytearray(archive(state(("a", tensor()))))
    entry = good.rfind(b"archive/data/0") - 46
    good[entry + 20 : entry + 28] = struct.pack("<II", size, size)
    return bytes(good)


def overlapping(count):
    """A zip whose directory names one large member many times, as members of its own."""
    good = archive(state(("a", tensor())), {"data/0": bytes(1 << 20)})
    start = good.rfind(b"PK\x05\x06")
    entry = good[good.rfind(b"archive/data/0") - 46 : start]
    directory = good[good.find(b"PK\x01\x02") : start] + b"".join(
        entry.replace(b"data/0", b"dat%03d" % index) for index in range(count)
    )
    first = good.find(b"PK\x01\x02")
    end = bytearray(good[start:])
    end[8:12] = struct.pack("<HH", count + 2, count + 2)
    end[12:20] = struct.pack("<II", len(directory), first)
    return good[:first] + directory + bytes(end)


def doubled(times):
    """A tuple of two of a tuple of two of ...: linear to write, 2 ** times to walk through or to hash."""
    return b")" + b"".join(b"q%ch%c\x86" % (index, index) for index in range(times))


PICKLES = {
    "nothing": b"",
    "no stop": b"\x80\x02N",
    "only a mark": b"(.",
    "stack underflow": b"0.",
    "tuple of nothing": b"\x87.",
    "setitem without a dictionary": b"NNNs.",
    "setitems without a mark": b"}u.",
    "odd items": b"}(Nu.",
    "append to a number": b"K\x01K\x02a.",
    "append to a tuple": b")K\x02a.",
    "unknown memo": b"h\x05.",
    "memo of an empty stack": b"q\x00.",
    "memo index 2^28": b"Nr" + struct.pack("<I", 1 << 28) + b".",
    "memo index 2^32 - 1": b"Nr" + struct.pack("<I", 2**32 - 1) + b".",
    "large memo indices": b"N" + b"".join(b"r" + struct.pack("<I", (1 << 31) + i) for i in range(1000)) + b".",
    "text of 4 GB announced": b"X\xff\xff\xff\xffabc.",
    "text of 2^63 announced": b"\x8d" + struct.pack("<Q", 2**63) + b"abc.",
    "bytes of 4 GB announced": b"B\xff\xff\xff\xffabc.",
    "bytes of 2^64 announced": b"\x8e" + b"\xff" * 8 + b"abc.",
    "bytearray": b"\x96" + struct.pack("<Q", 2**40) + b".",
    "integer of 2 GB announced": b"\x8b\xff\xff\xff\x7f.",
    "integer of negative length": b"\x8b\xff\xff\xff\xff.",
    "negative string": b"T\xff\xff\xff\xff.",
    "text that is no UTF-8": b"X\x02\x00\x00\x00\xff\xfe.",
    "integer of 100000 bytes": b"\x8b" + struct.pack("<i", 100_000) + b"\x7f" * 100_000 + b".",
    "decimal of 5000 digits": b"L" + b"9" * 5000 + b"L\n.",
    "float text": b"F1e400\n.",
    "protocol 0 string": b"S'abc'\n.",
    "protocol 0 instance": b"(i__main__\nX\n.",
    "extension": b"\x82\x01.",
    "new object": b"\x80\x02ccollections\nOrderedDict\n)\x81.",
    "new object with names": b"\x80\x04ccollections\nOrderedDict\n)}\x92.",
    "sets": b"\x8f(N\x90.",
    "frozen set": b"(N\x91.",
    "out-of-band buffer": b"\x97.",
    "duplicate": b"N2\x86.",
    "persistent text": b"Pabc\n.",
    "persistent number": b"K\x05Q.",
    "persistent tuple of two": b"NN\x86Q.",
    "call of a number": b"K\x05)R.",
    "call of a text": text("eval") + b")R.",
    "call of a storage type": FLOAT + b")R.",
    "call with a number": b"ccollections\nOrderedDict\nK\x05R.",
    "ordered dictionary of numbers": b"ccollections\nOrderedDict\n(K\x05tR.",
    "ordered dictionary with a doubled key": b"ccollections\nOrderedDict\n(](" + doubled(60) + b"N\x86etR.",
    "attributes of a number": b"K\x05}b.",
    "attributes of a tensor": state(("a", tensor() + b"}b")),
    "name without an end": b"c" + b"a" * 200_000,
    "name of 60000 bytes": b"c" + b"a" * 60_000 + b"\nb\n.",
    "name with escapes": b"c\x1b]0;title\x07\n\x1b[2J\n.",
    "stacked name of numbers": b"K\x01K\x02\x93.",
    "stacked os.system": text("os") + text("system") + b"\x93" + text("true") + b"\x85R.",
    "os.system": b"cos\nsystem\n(" + text("true") + b"tR.",
    "eval": b"cbuiltins\neval\n(" + text("1") + b"tR.",
    "getattr": b"cbuiltins\ngetattr\n(" + text("a") + text("b") + b"tR.",
    "numpy load": b"cnumpy\nload\n(" + text("a") + b"tR.",
    "dotted name": b"ccollections\nOrderedDict.fromkeys\n)R.",
    "a number": b"K\x05.",
    "a list": b"].",
    "an empty dictionary": b"}.",
    "a dictionary of numbers": b"}(" + text("a") + b"K\x05u.",
    "a tensor alone": tensor() + b".",
    "number as a name": b"}(K\x05" + tensor() + b"u.",
    "doubled sixty times": state(("a", doubled(60))),
    "doubled sixty times as a key": b"}(" + doubled(60) + b"Nu.",
    "doubled sixty times in a storage": state(("a", tensor(storage(key=doubled(60))))),
    "doubled sixty times as a shape": b"}(" + text("a") + TENSOR + b"(" + storage() + b"K\x00" + doubled(60) + b")tRu.",
    "a dictionary that holds itself": b"}q\x00(" + text("model") + b"h\x00u.",
    "nested model 1000 deep": b"}" + (text("model") + b"}") * 1000 + text("a") + tensor() + b"s" + b"s" * 1000 + b".",
    "tuples 500000 deep": lambda: b")" + b"\x85" * 500_000 + b".",
    "tuples 10 million deep": lambda: b")" + b"\x85" * 10_000_000 + b".",
    "ten million lists": lambda: b"(" + b"]" * 10_000_000 + b"l.",
    "ten million marks": lambda: b"(" * 10_000_000 + b".",
    "100000 colliding keys": lambda: b"}(" + b"".join(whole(k * (2**61 - 1)) + b"N" for k in range(100_000)) + b"u.",
    "12000 names": lambda: state(*((f"layer{i}.weight", tensor()) for i in range(12_000))),
    "same name twice": state(("a", tensor()), ("module.a", tensor())),
    "name of a megabyte": state(("x" * 2**20, tensor())),
    "name with escapes as a tensor": state(("\x1b]0;title\x07\x1b[2J", tensor())),
    "two networks": state(*((name, DICT + b"(" + text("a") + tensor() + b"u") for name in ("model", "ema"))),
    "storage of objects": state(("a", tensor(storage(dtype=text("object"))))),
    "storage of texts": state(("a", tensor(storage(dtype=text("S1000000000"))))),
    "storage of another kind": state(("a", tensor(storage(kind="module")))),
    "storage with a number as a key": state(("a", tensor(storage(key=b"K\x00")))),
    "storage that is missing": state(("a", tensor(storage(key=text("7"))))),
    "storage that leaves the archive": state(("a", tensor(storage(key=text("../../../etc/passwd"))))),
    "storage with a negative view": state(("a", tensor(storage(view=b"(" + text("v") + whole(-4) + b"K\x01t")))),
    "storage of two types": state(("a", tensor()), ("b", tensor(storage(dtype=b"ctorch\nDoubleStorage\n")))),
    "float8 storage": state(("a", tensor(storage(dtype=b"ctorch\nFloat8_e4m3fnStorage\n")))),
    "untyped storage": state(("a", tensor(storage(dtype=b"ctorch.storage\nUntypedStorage\n")))),
    "quantised tensor": b"ctorch._utils\n_rebuild_qtensor\n)R.",
    "sparse tensor": b"ctorch._utils\n_rebuild_sparse_tensor\n)R.",
}  # fmt: skip

_SIZES = (-1, 0, 1, 5, 7, 10**6, 2**31, 2**62, 2**63, 2**64, 10**30)
PICKLES |= {f"shape ({size},)": state(("a", tensor(shape=(size,)))) for size in _SIZES}
PICKLES |= {f"shape (0, {size})": state(("a", tensor(shape=(0, size), strides=(1, 1)))) for size in _SIZES}
PICKLES |= {f"stride {size}": state(("a", tensor(shape=(2,), strides=(size,)))) for size in _SIZES}
PICKLES |= {f"offset {size}": state(("a", tensor(offset=size))) for size in _SIZES}
PICKLES |= {f"stride 0 of {size}": state(("a", tensor(shape=(size,), strides=(0,)))) for size in _SIZES}
PICKLES |= {
    f"{count} dimensions": state(("a", tensor(shape=(1,) * count, strides=(1,) * count)))
    for count in (0, 31, 33, 64, 100, 10_000)
}
PICKLES |= {"more strides than sizes": state(("a", tensor(shape=(2, 3), strides=(1,))))}

GOOD = state(("a", tensor()))
ZIPS = {
    "empty archive": b"PK\x05\x06" + bytes(18),
    "deflated": archive(GOOD, compression=zipfile.ZIP_DEFLATED),
    "bzip2": archive(GOOD, compression=zipfile.ZIP_BZIP2),
    "lzma": archive(GOOD, compression=zipfile.ZIP_LZMA),
    "pickle of 64 MB deflated": lambda: archive(b"N" * 2**26 + b".", compression=zipfile.ZIP_DEFLATED),
    "storage of 6 GB deflated": lambda: bomb("data/0", 6),
    "pickle larger than any": lambda: archive(b"\x80\x02" + b"N" * (65 * 2**20)),
    "member that announces 4 GB": declared(2**32 - 2),
    "member that announces the file's size": declared(900),
    "a member 500 times": overlapping(500),
    "two pickles": archive(GOOD, {"data/0": bytes(24), "../b/data.pkl": GOOD}) + b"",
    "big-endian": archive(GOOD, {"byteorder": b"big", "data/0": bytes(24)}),
    "byteorder of 20 MB": lambda: archive(GOOD, {"byteorder": b"x" * 2**20 * 20, "data/0": bytes(24)}),
    "names that leave the archive": archive(GOOD, {"../../x": b"1", "data/0": bytes(24)}),
    "storage shorter than the tensor": archive(GOOD, {"data/0": bytes(8)}),
    "storage of odd bytes": archive(GOOD, {"data/0": bytes(23)}),
    "no storage": archive(GOOD, {"data/1": bytes(24)}),
    "TorchScript": archive(GOOD, {"constants.pkl": b"N.", "code/x.py": b"1"}).replace(b"data.pkl", b"date.pkl"),
    "20000 members": lambda: archive(GOOD, {f"x/{index}": b"" for index in range(20_000)}),
    "wrong checksum": archive(GOOD).replace(b"\x89ccollections", b"\x88ccollections", 1),
    "half": archive(GOOD)[:200],
    "appended to a picture": b"\xff\xd8\xff" + archive(GOOD),
}  # fmt: skip

TAIL = pickle.dumps(["0"], 2) + struct.pack("<q", 6) + bytes(24)
LEGACY = {
    "magic alone": pickle.dumps(MAGIC, 2),
    "another magic": pickle.dumps(5, 2),
    "another protocol": pickle.dumps(MAGIC, 2) + pickle.dumps(7, 2),
    "big-endian": b"".join(pickle.dumps(item, 2) for item in (MAGIC, PROTOCOL, {"little_endian": False})),
    "system is a list": b"".join(pickle.dumps(item, 2) for item in (MAGIC, PROTOCOL, [])),
    "keys of numbers": HEAD + GOOD + pickle.dumps([0], 2),
    "keys are no list": HEAD + GOOD + pickle.dumps("0", 2),
    "key that nobody mentions": HEAD + GOOD + pickle.dumps(["9"], 2) + bytes(32),
    "negative storage": HEAD + GOOD + pickle.dumps(["0"], 2) + struct.pack("<q", -1),
    "storage of 2^62": HEAD + GOOD + pickle.dumps(["0"], 2) + struct.pack("<q", 2**62),
    "storage of a gigabyte": HEAD + GOOD + pickle.dumps(["0"], 2) + struct.pack("<q", 2**28) + bytes(24),
    "no storage": HEAD + GOOD + pickle.dumps([], 2),
    "the same storage 10000 times": HEAD + GOOD + pickle.dumps(["0"] * 10_000, 2) + struct.pack("<q", 6) + bytes(24),
    "a gigabyte of a magic": b"\x80\x02\x8b\xff\xff\xff\x3f",
}


def safetensors(header, numbers=b"", length=None):
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(content) if length is None else length) + content + numbers


def one(**changes):
    return {"a": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]} | changes}


SAFETENSORS = {
    "nothing": b"",
    "seven bytes": b"1234567",
    "no header": bytes(8),
    "header of 2^63": safetensors({}, length=2**63),
    "header of 2^64 - 1": safetensors({}, length=2**64 - 1),
    "header beyond the file": safetensors(one(), length=10**6),
    "header of 17 MB": lambda: safetensors(b"{" + b" " * (17 * 2**20) + b"}"),
    "header nested 100000 deep": safetensors(b"[" * 100_000),
    "objects nested 100000 deep": safetensors(b'{"a":' * 100_000),
    "header with a number of 5000 digits": safetensors(b'{"a":' + b"9" * 5000 + b"}"),
    "header that is no UTF-8": safetensors(b"\xff\xfe{}"),
    "tensor beyond the file": safetensors(one(), bytes(20)),
    "tensor of another size": safetensors(one(shape=[7]), bytes(24)),
    "offsets backwards": safetensors(one(data_offsets=[24, 0]), bytes(24)),
    "hole": safetensors(one(data_offsets=[24, 48]), bytes(48)),
    "overlapping": safetensors(one() | {"b": one()["a"]}, bytes(24)),
    "numbers left over": safetensors(one(), bytes(48)),
    "100 dimensions": safetensors(one(shape=[1] * 100, data_offsets=[0, 4]), bytes(4)),
    "no dtype": safetensors({"a": {"shape": [6], "data_offsets": [0, 24]}}, bytes(24)),
    "name of a megabyte": safetensors({"x" * 2**20: one()["a"]}, bytes(24)),
    "name with escapes": safetensors({"\x1b]0;title\x07\x1b[2J": one()["a"]}, bytes(24)),
    "30000 tensors": lambda: safetensors({f"t{i}": one(shape=[0], data_offsets=[0, 0])["a"] for i in range(30_000)}),
    "same name twice": safetensors(one() | {"module.a": one(shape=[1], data_offsets=[24, 28])["a"]}, bytes(28)),
    "duplicate key": safetensors(b'{"a":{"dtype":"F32","shape":[6],"data_offsets":[0,24]},"a":5}', bytes(24)),
}  # fmt: skip
SAFETENSORS |= {
    f"header {json.dumps(value)[:12]}": safetensors(value)
    for value in (None, 5, [], "a", True, [[]], {"a": 5}, {"a": []})
}
SAFETENSORS |= {
    f"dtype {value}": safetensors(one(dtype=value), bytes(24))
    for value in (
        "F8_E4M3",
        "F8_E5M2",
        "F4",
        "F6_E2M3",
        "F8_E8M0",
        "C64",
        "",
        "f32",
        "O",
        "x" * 10**5,
        5,
        None,
        ["F32"],
    )
}
SAFETENSORS |= {
    f"shape {str(value)[:20]}": safetensors(one(shape=value), bytes(24))
    for value in (None, 6, "6", [-6], [2.5], ["6"], [[6]], [2**63], [2**62, 4], [10**30], {}, [True])
}
SAFETENSORS |= {
    f"offsets {str(value)[:24]}": safetensors(one(data_offsets=value), bytes(24))
    for value in (None, 5, [], [0], [0, 24, 48], ["0", "24"], [-24, 0], [0, 2**63], [0, 10**30], [0.5, 24], {})
}
METADATA = {
    "null": None, "a number": 5, "a list": [], "a text": "x", "numbers inside": {"class_names": 5},
    "null inside": {"a": None}, "a list inside": {"class_names": ["a"]}, "nested": {"a": {"b": "c"}},
}  # fmt: skip
SAFETENSORS |= {f"metadata {name}": safetensors(one() | {"__metadata__": m}, bytes(24)) for name, m in METADATA.items()}
CLASS_NAMES = {
    "null": "null", "a number": "5", "a text": '"finch"', "an object": "{}", "numbers": "[1, 2]", "lists": '[["a"]]',
    "null inside": '["a", null]', "nested 100000 deep": "[" * 100_000, "5000 digits": "9" * 5000,
    "no JSON": "finch, wren", "nothing": "", "infinity": "Infinity", "a half": '["a", "b',
}  # fmt: skip
SAFETENSORS |= {
    f"class names {name}": safetensors(one() | {"__metadata__": {"class_names": value}}, bytes(24))
    for name, value in CLASS_NAMES.items()
}


def _every() -> Iterator[tuple[str, Content]]:
    for name, it in PICKLES.items():
        yield f"zip of {name}.pth", _changed(archive, it)
        yield f"stream of {name}.pth", _changed(lambda content: HEAD + content + TAIL, it)
    kinds = (("zip", "pth", ZIPS), ("stream", "pth", LEGACY), ("safetensors", "safetensors", SAFETENSORS))
    for kind, ending, contents in kinds:
        yield from ((f"{kind} {name}.{ending}", it) for name, it in contents.items())


def _changed(change: Callable[[bytes], bytes], it: Content) -> Content:
    return (lambda: change(it())) if callable(it) else change(it)


FILES = {name: it for name, it in _every() if not callable(it)}
"""Name with its ending -> content."""
LARGE = {name: it for name, it in _every() if callable(it)}
"""The same for those that are made when they are needed."""
