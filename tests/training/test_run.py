import json

import pytest

from galore import InputError
from galore.data.preprocessing import Preprocessing
from galore.training import architectures, checkpoint, run


def test_records_behind_the_last_checkpoint_are_dropped(tmp_path):
    description = checkpoint.Description("small_cnn_narrow", ("a", "b"), Preprocessing(32, 32), "conv4")
    checkpoint.save(tmp_path, description, architectures.random_params("small_cnn_narrow", 2, 0), step=3)
    file = tmp_path / "metrics.jsonl"
    records = [json.dumps({"step": number, "loss": 1.0}) for number in range(1, 6)]
    file.write_text("\n".join(records) + '\n{"step": 9')
    with run.metrics_writer(file, tmp_path) as write_record:
        write_record({"step": 4, "loss": 0.5})
    assert [record["step"] for record in run.read_metrics(file)] == [1, 2, 3, 4]
    assert run.read_metrics(file)[-1]["loss"] == 0.5
    assert run.read_metrics(tmp_path / "nowhere.jsonl") == []


RECORDS = [{"step": 1, "loss": 2.0, "accuracy": 0.5}, {"step": 1, "validation": {"loss": 3}}, {"step": 2, "loss": 1.0}]


def written(folder, lines: list[bytes], end: bytes = b""):
    file = folder / "metrics.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines) + end)
    return file


@pytest.mark.robust("resuming")
@pytest.mark.parametrize("end", [b"", b'{"step": 3, "loss', b"{", bytes(500), b"\xff\xfe", b'{"step": "3"}'], ids=ascii)
def test_a_last_record_that_a_kill_cut_off_is_left_out(tmp_path, end):
    assert run.read_metrics(written(tmp_path, [json.dumps(record).encode() for record in RECORDS], end)) == RECORDS


@pytest.mark.robust("resuming")
@pytest.mark.parametrize(
    "damage",
    [
        b'{"step": 3, "loss',
        b"",
        bytes(20),
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"loss": 1}',
        b'{"step": 1, "loss": "2"}',
        b'{"step": 1, "validation": 3}',
        b"[" * 100_000,
    ],
    ids=lambda line: ascii(line[:30]),
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_damaged_record_is_named_by_its_line(tmp_path, damage, place):
    lines = [json.dumps(record).encode() for record in RECORDS]
    file = written(tmp_path, [*lines[:place], damage, *lines[place:]])
    with pytest.raises(InputError, match=rf"metrics\.jsonl, line {place + 1} is"):
        run.read_metrics(file)
