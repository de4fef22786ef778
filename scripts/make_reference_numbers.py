"""What torch gives for every network: tests/reference/torch_*.npz, made once, so that the tests need no torch.

    python scripts/make_reference_numbers.py        # about 3 minutes; needs torch and torchvision, not galore

The weights follow `fixed_weights` below, a rule from a tensor's name and shape that the tests repeat with the same
function. Torch computes in double precision. Stored per network and input: logits, samples of the activation at each
named layer, the gradient x activation map of one class at each named layer, and per network a whole discriminant and
a whole deliberative explanation, with the formulas written here a second time, independently of
galore, following Wang & Vasconcelos (TPAMI 2023) and the sign rules of their code.

This file imports only numpy at the top, so that the tests can use its rules.
"""

# pyright: reportMissingImports=false

import itertools
import math
import zlib
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "reference"
SIZES = ((224, 224), (224, 224), (193, 250))
CLASS = 7
SAMPLES = 256


def fixed_weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The tensor of this name in torch's layout: uniform numbers that keep the activations' size through the layers."""
    values = np.random.default_rng(zlib.crc32(name.encode())).random(shape, np.float32)
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        return values + np.float32(0.5)
    gain = 1.0 if name.startswith(("layer", "_blocks")) else 2.0  # a residual network adds up its branches
    is_offset = name.endswith(("bias", "running_mean"))
    values -= np.float32(0.5)  # in place: VGG16's largest tensor takes 400 MB
    values *= np.float32(0.4 if is_offset else math.sqrt(12 * gain / math.prod(shape[1:])))
    return values


def fixed_input(index: int) -> np.ndarray:
    """Input number `index`, [H, W, 3], between -2 and 2."""
    return np.random.default_rng(index).random((*SIZES[index], 3), np.float32) * 4 - 2


def samples(array: np.ndarray) -> np.ndarray:
    """At most SAMPLES values of an array at positions that depend on its size alone."""
    flat = np.asarray(array).ravel()
    if flat.size <= SAMPLES:
        return flat.astype(np.float32)
    return flat[np.random.default_rng(flat.size).integers(0, flat.size, SAMPLES)].astype(np.float32)


def lite0():
    """EfficientNet-Lite0 in torch, with the names of its published weights."""
    import torch.nn.functional as functional
    from torch import nn

    class SameConv(nn.Conv2d):
        def forward(self, x):
            padding = []
            for size in (x.shape[3], x.shape[2]):
                kernel, stride = self.kernel_size[0], self.stride[0]
                total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
                padding += [total // 2, total - total // 2]
            return super().forward(functional.pad(x, padding))

    class Block(nn.Module):
        def __init__(self, inputs, outputs, kernel, stride, expansion):
            super().__init__()
            inner = inputs * expansion
            self.adds = stride == 1 and inputs == outputs
            self.expands = expansion > 1
            if self.expands:
                self._expand_conv = SameConv(inputs, inner, 1, bias=False)
                self._bn0 = nn.BatchNorm2d(inner, eps=1e-3)
            self._depthwise_conv = SameConv(inner, inner, kernel, stride, groups=inner, bias=False)
            self._bn1 = nn.BatchNorm2d(inner, eps=1e-3)
            self._project_conv = SameConv(inner, outputs, 1, bias=False)
            self._bn2 = nn.BatchNorm2d(outputs, eps=1e-3)

        def forward(self, x):
            y = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
            y = functional.relu6(self._bn1(self._depthwise_conv(y)))
            y = self._bn2(self._project_conv(y))
            return x + y if self.adds else y

    class Lite0(nn.Module):
        def __init__(self):
            super().__init__()
            self._conv_stem = SameConv(3, 32, 3, 2, bias=False)
            self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
            kernels, strides = (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1)
            widths, counts = (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)
            blocks, channels = [], 32
            for kernel, stride, width, count in zip(kernels, strides, widths, counts, strict=True):
                for index in range(count):
                    blocks.append(Block(channels, width, kernel, stride if index == 0 else 1, 6 if blocks else 1))
                    channels = width
            self._blocks = nn.ModuleList(blocks)
            self._conv_head = SameConv(320, 1280, 1, bias=False)
            self._bn1 = nn.BatchNorm2d(1280, eps=1e-3)
            self.top = nn.ReLU6()
            self._fc = nn.Linear(1280, 1000)

        def forward(self, x):
            x = functional.relu6(self._bn0(self._conv_stem(x)))
            for block in self._blocks:
                x = block(x)
            return self._fc(self.top(self._bn1(self._conv_head(x))).mean((2, 3)))

    return Lite0()


def networks():
    """Name -> (how to build it, layer name -> the name of torch's module whose output that layer is)."""
    from torchvision import models

    stages = [f"layer{index}" for index in range(1, 5)]
    convolutions = ["1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "4_1", "4_2", "4_3", "5_1", "5_2", "5_3"]
    relus = {
        False: (1, 3, 6, 8, 11, 13, 15, 18, 20, 22, 25, 27, 29),
        True: (2, 5, 9, 12, 16, 19, 22, 26, 29, 32, 36, 39, 42),
    }
    vgg = {
        norm: {f"conv{name}": f"features.{index}" for name, index in zip(convolutions, relus[norm], strict=True)}
        for norm in (False, True)
    }
    ends = dict(zip([f"stage{index}" for index in range(1, 8)], (0, 2, 4, 7, 10, 14, 15), strict=True))
    alexnet = dict(zip([f"conv{index}" for index in range(1, 6)], (1, 4, 7, 9, 11), strict=True))
    return {
        "efficientnet_lite0": (lite0, {name: f"_blocks.{end}" for name, end in ends.items()} | {"conv_head": "top"}),
        "alexnet": (models.alexnet, {name: f"features.{index}" for name, index in alexnet.items()}),
        "vgg16": (models.vgg16, vgg[False]),
        "vgg16_bn": (models.vgg16_bn, vgg[True]),
        "resnet18": (models.resnet18, {name: name for name in stages}),
        "resnet34": (models.resnet34, {name: name for name in stages}),
        "resnet50": (models.resnet50, {name: name for name in stages}),
    }


def run(module, layers, image):
    """The logits [C] and the activation of each named layer [1, d, h, w], still attached to the graph."""
    import torch

    activations = {}
    handles = [
        module.get_submodule(path).register_forward_hook(
            lambda _module, _inputs, output, name=name: activations.__setitem__(name, output)
        )
        for name, path in layers.items()
    ]
    logits = module(torch.tensor(image, dtype=torch.float64).permute(2, 0, 1)[None])[0]
    for handle in handles:
        handle.remove()
    return logits, activations


def gradient_x_activation(score, activation, positive_gradient=False):
    """[h, w]: the product of gradient and activation, summed over the channels."""
    import torch

    (gradient,) = torch.autograd.grad(score, activation, retain_graph=True)
    if positive_gradient:
        gradient = gradient.clamp(min=0)
    return (gradient * activation.detach())[0].sum(0)


def discriminant(logits, activation, predicted, counter):
    """D = a(h_y) * (max a(h_c) - a(h_c)) * a(s), s the softmax score."""
    supports = gradient_x_activation(logits[predicted], activation).clamp(min=1e-7)
    against = gradient_x_activation(logits[counter], activation).clamp(min=1e-7)
    score = logits.softmax(0).max()
    sure = gradient_x_activation(score, activation, positive_gradient=True)
    return (supports * (against.max() - against) * sure).numpy()


def deliberative(logits, activation, fraction=0.1):
    """Maps of all pairs of the top 5 classes, strongest first, their strengths, and whether they occur."""
    classes = logits.topk(5).indices.tolist()
    maps = {c: gradient_x_activation(logits[c], activation).clamp(min=1e-7) for c in classes}
    difficulty = gradient_x_activation(1 - logits.softmax(0).max(), activation, positive_gradient=True)
    occurring = set()
    for location in itertools.product(*map(range, difficulty.shape)):
        largest = sorted(classes, key=lambda c, location=location: -float(maps[c][location]))[:3]
        occurring |= set(itertools.combinations(sorted(largest), 2))
    found = []
    for a, b in itertools.combinations(classes, 2):
        insecurity = maps[a] * maps[b] * difficulty
        cells = insecurity.flatten().sort(descending=True).values[: math.ceil(fraction * insecurity.numel())]
        found.append((tuple(sorted((a, b))) in occurring, float(cells.mean()), (a, b), insecurity.numpy()))
    found.sort(key=lambda insecurity: (not insecurity[0], -insecurity[1]))
    occurs, strengths, pairs, insecurities = zip(*found, strict=True)
    return {"occurs": occurs, "strengths": strengths, "pairs": pairs, "maps": insecurities}


def reference(name, build, layers):
    """All numbers of one network, by key."""
    import torch

    module = build().double().eval()
    state = {
        key: torch.tensor(fixed_weights(key, tuple(value.shape)))
        for key, value in module.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    module.load_state_dict(state, strict=False)
    numbers = {}
    for index in range(len(SIZES)):
        logits, activations = run(module, layers, fixed_input(index))
        numbers[f"{index}/logits"] = logits.detach().numpy()
        for layer, activation in activations.items():
            channels_last = activation.detach()[0].permute(1, 2, 0).numpy()
            numbers[f"{index}/{layer}/activation"] = samples(channels_last)
            numbers[f"{index}/{layer}/scale"] = np.abs(channels_last).max()
            map_ = gradient_x_activation(logits[CLASS], activation).numpy()
            numbers[f"{index}/{layer}/map"] = samples(map_)
            numbers[f"{index}/{layer}/map_scale"] = np.abs(map_).max()
        if index == 0:
            last = activations[list(layers)[-1]]
            predicted, counter = logits.topk(2).indices.tolist()
            numbers |= {"predicted": predicted, "counter": counter}
            numbers["discriminant"] = discriminant(logits, last, predicted, counter)
            numbers |= {f"deliberative/{key}": value for key, value in deliberative(logits, last).items()}
    scales = [f"{layer} {float(numbers[f'0/{layer}/scale']):.3g}" for layer in layers]
    top = np.sort(np.exp(numbers["0/logits"]) / np.exp(numbers["0/logits"]).sum())[::-1][:3]
    print(name, "largest activations:", ", ".join(scales), "| largest probabilities:", top)
    arrays = {key: np.asarray(value) for key, value in numbers.items()}
    return {key: array.astype(np.float32) if array.dtype == np.float64 else array for key, array in arrays.items()}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, (build, layers) in networks().items():
        np.savez_compressed(FOLDER / f"torch_{name}.npz", **reference(name, build, layers))  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main()
