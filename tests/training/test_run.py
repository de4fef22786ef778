import json

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
