import numpy as np

from galore.training import figures


def test_the_curve_shows_training_and_validation():
    records = [{"step": s, "loss": 1 / s, "accuracy": 0.5} for s in range(1, 30)]
    records.append({"step": 30, "validation": {"loss": 0.1, "accuracy": 0.6, "value": 0.6}})
    left, right = figures.training_curve(records).axes
    assert [line.get_label() for line in right.lines] == ["training", "validation"]
    assert left.get_ylabel() == "loss (nats)"


def test_the_calibration_points_are_error_rates_of_equally_many_images():
    hardness = np.linspace(0, 1, 80, dtype=np.float32)
    (axes,) = figures.calibration(hardness, hardness > 0.5, bins=4).axes
    points = axes.containers[0][0].get_xydata()
    np.testing.assert_allclose(points[:, 1], [0, 0, 1, 1])


def test_smoothing_averages_what_is_there():
    np.testing.assert_allclose(figures._smooth([1.0, 2.0, 6.0], 2), [1.0, 1.5, 4.0])
