"""The same work by torch, Captum and pytorch-grad-cam, with the same weights, in the same run."""

import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from galore import models
from galore.benchmark.timing import Made, Workload
from galore.errors import InputError
from galore.network import Network

INSTALL = "pip install torch torchvision captum grad-cam"
LAYERS = {"vgg16": ("features", 29), "vgg16_bn": ("features", 42), "alexnet": ("features", 11)}


COMPILED = "torch compiled: forward"


def build(
    net: Network,
    batch: int,
    builders: dict[str, Callable[[], Any]] | None = None,
    size: int = 224,
    is_exact: bool = False,
) -> list[Workload]:
    """Forward pass, discriminant maps and Grad-CAM in torch.

    The discriminant explanation is that of a Captum user: three calls of LayerGradientXActivation (prediction, counter
    class, confidence), summed over the channels and multiplied.

    Args:
        net: with the weights to use; its name must be one of torchvision's networks or have a builder.
        batch: images at once.
        builders: torch modules by name, for networks that torchvision does not have.
        size: of the images in pixels.
        is_exact: float32 throughout; else products may be rounded to TF32 on GPUs, as JAX does there unless asked.

    Returns:
        The workloads, or none where torch does not know the network.

    Raises:
        InputError: torch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise InputError(f"--against torch: torch is not installed; {INSTALL}")
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_float32_matmul_precision("highest" if is_exact else "high")
    torch.backends.cudnn.allow_tf32 = not is_exact
    module = _module(net, builders or {})
    if module is None:
        return []
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(batch, 3, size, size)).astype(np.float32))
    if torch.cuda.is_available():
        module, images = module.cuda(), images.cuda()
    counters = torch.arange(batch, device=images.device)

    def forward(model: Any) -> Any:
        with torch.no_grad():
            return model(images)

    workloads = [_workload("torch eager: forward", lambda: forward(module), batch)]
    faster = torch.compile(module)
    workloads.append(_workload(COMPILED, lambda: forward(faster), batch))
    layer = _layer(module, net.name)
    if importlib.util.find_spec("captum"):
        workloads.append(
            _workload("captum: discriminant", lambda: _discriminant(module, layer, images, counters), batch)
        )
    if importlib.util.find_spec("pytorch_grad_cam"):
        from pytorch_grad_cam import GradCAM  # pyright: ignore[reportMissingImports]

        camera = GradCAM(model=module, target_layers=[layer])
        workloads.append(
            _workload("pytorch-grad-cam: grad-cam", lambda: camera(input_tensor=images, targets=None), batch)
        )
    return workloads


def _discriminant(module: Any, layer: Any, images: Any, counters: Any) -> Any:
    import torch  # pyright: ignore[reportMissingImports]
    from captum.attr import LayerGradientXActivation  # pyright: ignore[reportMissingImports]

    with torch.no_grad():
        predicted = module(images).argmax(1)
    of_logits = LayerGradientXActivation(module, layer)
    of_confidence = LayerGradientXActivation(lambda x: module(x).softmax(1).amax(1), layer)
    ours, theirs = (of_logits.attribute(images, target=c).sum(1).clamp(min=1e-7) for c in (predicted, counters))
    sure = of_confidence.attribute(images).sum(1)
    return ours * (theirs.amax((1, 2), keepdim=True) - theirs) * sure


def _module(net: Network, builders: dict[str, Callable[[], Any]]) -> Any:
    import torch  # pyright: ignore[reportMissingImports]
    from safetensors.numpy import load_file

    build = builders.get(net.name)
    if build is None and importlib.util.find_spec("torchvision"):
        import torchvision  # pyright: ignore[reportMissingImports]

        build = getattr(torchvision.models, net.name, None)
    if build is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        models.save_safetensors(net, path)
        tensors = {name: torch.from_numpy(value.copy()) for name, value in load_file(path).items()}
    module = build()
    missing = module.load_state_dict(tensors, strict=False)
    left = [key for key in missing.missing_keys if not key.endswith("num_batches_tracked")]
    if left or missing.unexpected_keys:
        raise InputError(f"torch's {net.name} has other weights than ours: {left + list(missing.unexpected_keys)}")
    return module.eval()


def _layer(module: Any, name: str) -> Any:
    if name in LAYERS:
        part, index = LAYERS[name]
        return getattr(module, part)[index]
    return module.layer4 if hasattr(module, "layer4") else module.top


def _workload(name: str, call: Callable[[], Any], batch: int) -> Workload:
    import torch  # pyright: ignore[reportMissingImports]

    def wait() -> Any:
        result = call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return result

    start = time.perf_counter()
    wait()
    return Workload(name, wait, batch, Made(compile_s=time.perf_counter() - start))
