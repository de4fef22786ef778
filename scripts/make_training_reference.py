"""What torch gives for the authors' training: tests/reference/torch_training.npz, made once.

    python -m scripts.make_training_reference        # seconds; needs torch, not galore

A small CNN of `WIDTH` channels, and the hardness predictor with a trunk of its own,
written here a second time, independently of galore; no dropout. Weights and images follow fixed rules that the test
repeats. Torch computes in double precision. Stored, for the classifier alone and for the joint training: the loss, the
gradients, two steps of the optimisers (divided by their learning rate) and BatchNorm's running statistics after each;
and the learning rate of each of the 60 epochs of both stages. Of each tensor `SAMPLES` values are kept.

Nothing but numpy is imported at the top, so that the test can use the rules.
"""

# pyright: reportMissingImports=false

import itertools
from pathlib import Path

import numpy as np

from scripts.make_reference_numbers import fixed_weights, samples

FILE = Path(__file__).resolve().parents[1] / "tests" / "reference" / "torch_training.npz"
WIDTH, CLASSES, BATCH, SIDE = 4, 5, 8, 32
WIDTHS = (12, 10, 6)
EPOCHS, STEPS, SAMPLES = 60, 2, 32


def fixed_batch():
    """Images [B, H, W, 3] as the network takes them, and their labels."""
    generator = np.random.default_rng(1)
    images = generator.normal(size=(BATCH, SIDE, SIDE, 3)).astype(np.float32)
    return images, generator.integers(0, CLASSES, BATCH)


def small_cnn(outputs):
    """Four convolutions, each with BatchNorm and ReLU, the mean over locations and a linear layer."""
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            widths = (3, WIDTH, 2 * WIDTH, 4 * WIDTH, 4 * WIDTH)
            for number, (side, stride) in enumerate([(7, 4), (3, 1), (3, 2), (3, 1)], start=1):
                channels = widths[number - 1 : number + 1]
                setattr(self, f"conv{number}", nn.Conv2d(*channels, side, stride, bias=False))
                setattr(self, f"bn{number}", nn.BatchNorm2d(channels[1]))
            self.fc = nn.Linear(widths[-1], outputs)

        def forward(self, x):
            # As TensorFlow pads an image of 32 pixels: the odd one comes after.
            for number, (before, after) in enumerate([(1, 2), (1, 1), (0, 1), (1, 1)], start=1):
                x = nn.functional.pad(x, (before, after, before, after))
                x = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(x)).relu()
            return self.fc(x.mean((2, 3)))

    return Network()


def predictor():
    """A trunk, then BatchNorm, ReLU and a linear layer for each width, and a sigmoid."""
    from torch import nn

    class Predictor(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk = small_cnn(WIDTHS[0])
            self.norms = nn.ModuleList([nn.BatchNorm1d(width) for width in WIDTHS])
            sizes = (*WIDTHS, 1)
            self.linears = nn.ModuleList([nn.Linear(a, b) for a, b in itertools.pairwise(sizes)])

        def forward(self, x):
            x = self.trunk(x)
            for norm, linear in zip(self.norms, self.linears):
                x = linear(norm(x).relu())
            return x.sigmoid()[:, 0]

    return Predictor()


def filled(module, prefix):
    """The module in double precision, with the fixed weights."""
    import torch

    state = {
        name: torch.tensor(fixed_weights(prefix + name, tuple(value.shape)), dtype=torch.float64)
        for name, value in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    module.double().load_state_dict(state, strict=False)
    return module.train()


def losses(classifier, hardness, images, labels):
    """The loss of the classifier, and that of the predictor where there is one."""
    import torch

    logits = classifier(images)
    entropies = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    if hardness is None:
        return [entropies.mean()]
    p = logits.softmax(1)[torch.arange(len(labels)), labels].detach()
    k = hardness(images)
    return [(k.detach() * entropies).mean(), (1 - (1 - p) * k - (1 - k) * p).mean()]


def stage(name, has_predictor):
    """The numbers of one stage, by key."""
    import torch

    images, labels = fixed_batch()
    images, labels = torch.tensor(images).double().permute(0, 3, 1, 2), torch.tensor(labels)
    parts = {"": filled(small_cnn(CLASSES), "")}
    optimisers = {"": torch.optim.SGD(parts[""].parameters(), 0.001, momentum=0.9, weight_decay=1e-4)}
    if has_predictor:
        parts["hardness."] = filled(predictor(), "hardness.")
        optimisers["hardness."] = torch.optim.Adam(parts["hardness."].parameters(), 1e-5, weight_decay=1e-3)
    numbers = {}
    for step in range(STEPS):
        for optimiser in optimisers.values():
            optimiser.zero_grad()
        values = losses(parts[""], parts.get("hardness."), images, labels)
        torch.stack(values).sum().backward()
        numbers[f"{name}/{step}/losses"] = np.array([value.item() for value in values])
        gradients, updates, statistics = {}, {}, {}
        for prefix, module in parts.items():
            before = {key: value.detach().clone() for key, value in module.named_parameters()}
            optimisers[prefix].step()
            rate = optimisers[prefix].param_groups[0]["lr"]
            for key, value in module.named_parameters():
                gradients[prefix + key] = value.grad.numpy().copy()
                updates[prefix + key] = ((value.detach() - before[key]) / rate).numpy()
            for key, value in module.named_buffers():
                if not key.endswith("num_batches_tracked"):
                    statistics[prefix + key] = value.numpy().copy()
        for kind, tensors in (("gradients", gradients), ("updates", updates), ("statistics", statistics)):
            numbers[f"{name}/{step}/{kind}"] = side_by_side(tensors)
            numbers[f"{name}/{step}/{kind}/scale"] = np.array([np.abs(tensors[key]).max() for key in sorted(tensors)])
    return numbers


def side_by_side(tensors):
    """Some values of each tensor, in the order of their names."""
    return np.concatenate([samples(tensors[key])[:SAMPLES] for key in sorted(tensors)])


def rates(size, gamma):
    """The learning rate of each epoch, by torch's scheduler."""
    import torch

    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.001)
    scheduler = torch.optim.lr_scheduler.StepLR(optimiser, size, gamma)
    found = []
    for _ in range(EPOCHS):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return np.array(found)


def main():
    numbers = stage("alone", False) | stage("joint", True)
    arrays = {key: np.asarray(value, np.float32) for key, value in numbers.items()}
    arrays |= {"rates/alone": rates(40, 0.1), "rates/joint": rates(1, 0.95)}
    np.savez_compressed(FILE, **arrays)  # pyright: ignore[reportArgumentType]
    print(FILE, FILE.stat().st_size, "bytes,", len(arrays), "arrays")


if __name__ == "__main__":
    main()
