import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import galore
from galore.experiment import rehearsal, runner
from galore.models import factory, weights
from galore.models.weights import to_torch_name


@pytest.mark.parametrize("network", ["resnet18", "alexnet"])
def test_drawn_weights_have_every_tensor_of_the_published_file(network, tmp_path):
    """The loader lists what is missing, extra or of another shape, and was tried on torchvision's files."""
    file = tmp_path / f"{network}.pth"
    rehearsal.write_weights(file, network)
    net = galore.load(network, weights=file)
    of_file = weights.read(file).tensors
    counts = [name for name in of_file if name.endswith("num_batches_tracked")]
    assert len(counts) == sum(name.endswith("running_var") for name in of_file) == (20 if network == "resnet18" else 0)
    assert all(of_file[name].dtype == np.int64 and of_file[name].shape == () for name in counts)
    kernel = next(name for name in net.params if name.endswith("conv1.kernel"))
    written = of_file[factory.ARCHITECTURES[network].torch_name(to_torch_name(kernel))]
    np.testing.assert_array_equal(np.asarray(net.params[kernel]), written.transpose(2, 3, 1, 0))
    assert written.std() == pytest.approx(np.sqrt(2 / np.prod(written.shape[1:])), rel=0.1)


def test_batch_norm_knows_the_images_that_the_weights_are_for(tmp_path):
    """What the first BatchNorm has seen, by a convolution of numpy's; and a network that is asked sees what one in
    training does."""
    images = np.random.default_rng(0).normal(0.5, 2, (6, 32, 32, 3)).astype(np.float32)
    rehearsal.write_weights(tmp_path / "resnet18.pth", "resnet18", images)
    net = galore.load("resnet18", weights=tmp_path / "resnet18.pth")
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0))), (7, 7), (1, 2))
    seen = np.einsum("nhwcij,ijcd->nhwd", windows[:, ::2, ::2], np.asarray(net.params["conv1.kernel"])).reshape(-1, 64)
    np.testing.assert_allclose(net.params["bn1.mean"], seen.mean(0), atol=1e-5)
    np.testing.assert_allclose(net.params["bn1.var"], seen.var(0, ddof=1), rtol=1e-4)
    F = np.asarray(jax.vmap(net.activation)(jnp.asarray(images)))
    assert F.std() > 0.1


def test_another_seed_gives_other_weights_and_the_same_seed_the_same(tmp_path):
    files = [tmp_path / f"{number}.pth" for number in range(3)]
    for file, seed in zip(files, (0, 0, 1)):
        rehearsal.write_weights(file, "resnet18", seed=seed)
    same, again, other = (file.read_bytes()[-4096:] for file in files)
    assert same == again != other


@pytest.mark.slow
def test_a_rehearsal_of_one_network_trains_explains_and_ends_in_a_page(tmp_path, monkeypatch, capfd):
    """Both stages of the papers' training, experiments for its users, the page beside the published numbers, and again
    from what is there: AlexNet at full width."""
    reproduce = runner.load("reproduce")
    monkeypatch.setattr(reproduce, "REHEARSAL", tmp_path)
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    given = ["setting=papers", "rehearsal=true", "study=cub-alexnet", "only=part_iou_vs_region,rejection", "workers=1"]
    reproduce.main(given)
    run = tmp_path / "training" / "cub-alexnet-seed0"
    assert (run / "first_stage" / "checkpoints" / "last").exists() and (run / "result.json").exists()
    page = (tmp_path / "results" / "cub-alexnet" / "index.md").read_text()
    assert page.startswith("# Results: CUB, AlexNet") and "| VGG16 | PIoU | about 0.5 |" in page
    assert "train=authors" in page
    capfd.readouterr()
    reproduce.main(given)
    said = capfd.readouterr().out
    assert "training" not in said and "part_iou_vs_region, seed 0: was finished" in said
    reproduce.main([*given, "plan=true"])
    assert "finished  2 of 2" in " ".join(capfd.readouterr().out.split("   "))
