import numpy as np
import pytest

import galore
from galore.experiment import rehearsal
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


def test_another_seed_gives_other_weights_and_the_same_seed_the_same(tmp_path):
    files = [tmp_path / f"{number}.pth" for number in range(3)]
    for file, seed in zip(files, (0, 0, 1)):
        rehearsal.write_weights(file, "resnet18", seed)
    same, again, other = (file.read_bytes()[-4096:] for file in files)
    assert same == again != other
