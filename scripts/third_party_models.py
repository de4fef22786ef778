"""Cuts models that others wrote, in one line each, and compares their maps with gradients taken without galore.

    python scripts/third_party_models.py --out results/third_party_models.json
    python scripts/third_party_models.py --only keras_resnet50,torch_resnet18 --sources DIR

Weights are random. The reference adds a perturbation to what the layer returns, by each framework's own means, and
differentiates the untouched model by it; torch's own derivatives stand for torch. What is not installed is a row that
says so. `--sources` is a folder with checkouts of models that no package holds (bonsai, big_vision, flax). About 5
minutes on one core. Needs, besides galore: equinox dm-haiku keras flaxmodels equimo torch torchvision torchax onnx
jaxonnxruntime, whichever are there. torchax 0.0.13 names operators that torch 2.13 no longer has, and big_vision's
models import tensorflow for their checkpoints; for results/third_party_models.json both were stood in for.

The last row compares the FLOPs of an explanation of flax's ResNet-18 at 224 pixels with those by a hand-made head.
"""

from galore import program

program.guard(__name__)

# pyright: reportMissingImports=false, reportArgumentType=false, reportOptionalSubscript=false

import argparse
import contextlib
import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

import galore

IMAGE = jax.random.uniform(jax.random.key(0), (64, 64, 3))
CLASS = 3
Run = Callable[[Any], tuple[Any, Any]]
"""`delta -> (logits, activation)`: the untouched model with something added to what a layer returns."""


class Trial(NamedTuple):
    """A cut, and a reference: the activation and the gradient of one logit by it, both [h, w, d]."""

    net: galore.Network
    activation: Any
    gradient: Any
    logits: Any


def by_jax(net: galore.Network, run: Run, shape: tuple[int, ...], located: Callable[[Any], Any]) -> Trial:
    """The reference by `jax.grad` through the untouched model."""

    def score(delta: Any) -> tuple[Any, tuple[Any, Any]]:
        logits, activation = run(delta)
        return logits.reshape(-1)[CLASS], (logits, activation)

    gradient, (logits, activation) = jax.jit(jax.grad(score, has_aux=True))(jnp.zeros(shape))
    return Trial(net, located(activation), located(gradient), logits.reshape(-1))


def drawn(shape: Any) -> Any:
    """A random parameter or statistic: numpy draws many numbers at once, which jax would compile for every shape."""
    if not jnp.issubdtype(shape.dtype, jnp.floating):
        return jnp.zeros(shape.shape, shape.dtype)
    fan_in = int(np.prod(shape.shape[:-1]))
    values = np.random.default_rng(shape.size).standard_normal(shape.shape, np.float32)
    return jnp.asarray(1 + 0.1 * values if fan_in == 1 else values * np.sqrt(2 / fan_in), shape.dtype)


def unbatched(value: Any) -> Any:
    return value[0]


def first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple | list) else value


def with_first(value: Any, other: Any) -> Any:
    return type(value)((other, *value[1:])) if isinstance(value, tuple | list) else other


@contextlib.contextmanager
def adding(module: Any, delta: Any, seen: list[Any]) -> Iterator[None]:
    """Adds to what one nnx module returns, by its class's `__call__`."""
    kind, original = type(module), type(module).__call__

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if self is not module:
            return result
        seen.append(first(result))
        return with_first(result, first(result) + delta)

    kind.__call__ = call
    try:
        yield
    finally:
        kind.__call__ = original


def nnx_trial(module: Any, layer: str, shape: tuple[int, ...], located: Any = unbatched, **keywords: Any) -> Trial:
    net = galore.cut(module, layer, IMAGE)
    view = nnx.view(module, deterministic=True, use_running_average=True, raise_if_not_found=False)
    part = view
    for name in layer.split("."):
        part = part[int(name)] if name.isdigit() else getattr(part, name)

    def run(delta: Any) -> tuple[Any, Any]:
        seen: list[Any] = []
        with adding(part, delta, seen):
            return view(IMAGE[None], **keywords), seen[0]

    return by_jax(net, run, shape, located)


def intercepted(intercept: Any, apply: Callable[[], Any], is_layer: Callable[[Any], bool]) -> Run:
    """The reference of linen and haiku, whose method calls can be intercepted."""

    def run(delta: Any) -> tuple[Any, Any]:
        seen: list[Any] = []

        def add(method: Any, args: Any, kwargs: Any, context: Any) -> Any:
            result = method(*args, **kwargs)
            if context.method_name != "__call__" or not is_layer(context.module):
                return result
            seen.append(first(result))
            return with_first(result, first(result) + delta)

        with intercept(add):
            return first(apply()), seen[0]

    return run


def linen_trial(
    model: Any,
    layer: str,
    shape: tuple[int, ...],
    output: Any = None,
    located: Any = unbatched,
    with_logits: Any = None,
    **keywords: Any,
) -> Trial:
    """`with_logits`: the same model without a softmax, for the reference; None: it has none."""
    variables = model.init(jax.random.key(1), IMAGE[None], **keywords)
    # Heads that start at zero would make every map zero.
    variables = jax.tree.map(
        lambda x: x + 0.01 * jax.random.normal(jax.random.key(x.size), x.shape, x.dtype), variables
    )
    net = galore.cut(model, layer, IMAGE, variables=variables, output=output, **keywords)
    run = intercepted(
        linen.intercept_methods,
        lambda: (with_logits or model).apply(variables, IMAGE[None], **keywords),
        lambda module: "/".join(module.path) == layer,
    )
    return by_jax(net, run, shape, located)


def bonsai_resnet50() -> Trial:
    from bonsai.models.resnet.modeling import ModelConfig, ResNet

    return nnx_trial(ResNet(ModelConfig.resnet50(10), rngs=nnx.Rngs(0)), "layer3.blocks.2", (1, 2, 2, 2048))


def bonsai_convnext() -> Trial:
    from bonsai.models.convnext.modeling import ConvNeXt, ModelConfig

    module = ConvNeXt(ModelConfig.convnext_tiny_224(), rngs=nnx.Rngs(0))
    return nnx_trial(module, "stages.3", (1, 2, 2, 768), rngs=None, train=False)


def bonsai_vit() -> Trial:
    from bonsai.models.vit.modeling import ModelConfig, ViTClassificationModel

    config = dataclasses.replace(ModelConfig.vit_p16_224(), num_layers=3, image_size=(64, 64))
    module = ViTClassificationModel(config, rngs=nnx.Rngs(0))
    return nnx_trial(module, "layers.0", (1, 17, 768), lambda y: y[0, 1:].reshape(4, 4, 768), rngs=None)


def flax_resnet18() -> Trial:
    from imagenet.models import ResNet, ResNetBlock

    model = ResNet(stage_sizes=[2, 2, 2, 2], block_cls=ResNetBlock, num_classes=10, dtype=jnp.float32)
    return linen_trial(model, "ResNetBlock_7", (1, 2, 2, 512), train=False)


def flaxmodels_resnet18() -> Trial:
    from flaxmodels import ResNet18

    model, with_logits = (
        ResNet18(output=output, pretrained=None, num_classes=10, normalize=False) for output in ("softmax", "logits")
    )
    return linen_trial(model, "BasicBlock_7", (1, 2, 2, 512), with_logits=with_logits, train=False)


def big_vision_bit() -> Trial:
    from big_vision.models import bit

    model = bit.Model(num_classes=10, depth=26, width=1)
    return linen_trial(model, "block4", (1, 2, 2, 2048), output=0)


def big_vision_vit() -> Trial:
    from big_vision.models import vit

    model = vit.Model(num_classes=10, width=64, depth=3, mlp_dim=128, num_heads=4, pool_type="tok")
    located = lambda y: y[0, 1:].reshape(4, 4, 64)  # noqa: E731
    return linen_trial(model, "Transformer/encoderblock_0", (1, 17, 64), output=0, located=located)


def haiku_resnet18() -> Trial:
    import haiku

    def forward(x: Any, is_training: bool = False) -> Any:
        return haiku.nets.ResNet18(10)(x, is_training=is_training)

    model = haiku.transform_with_state(forward)

    shapes = jax.eval_shape(lambda key: model.init(key, IMAGE[None], is_training=True), jax.random.key(1))
    params, state = jax.tree.map(drawn, shapes)
    layer = "res_net18/~/block_group_3/~/block_1"
    net = galore.cut(model, layer, IMAGE, params=params, state=state)
    run = intercepted(
        haiku.intercept_methods,
        lambda: model.apply(params, state, None, IMAGE[None])[0],
        lambda module: module.module_name == layer,
    )
    return by_jax(net, run, (1, 2, 2, 512), unbatched)


def equimo_vit() -> Trial:
    import equinox
    from equimo.models import VisionTransformer

    model = VisionTransformer(
        img_size=64, in_channels=3, dim=64, patch_size=16, num_heads=[4], depths=[3], num_classes=10,
        key=jax.random.key(1), use_mask_token=False, reg_tokens=2, init_values=None, dynamic_img_size=False,
    )  # fmt: skip
    model = equinox.nn.inference_mode(model)
    key = jax.random.key(0)
    net = galore.cut(model, "blocks.0.blocks.1", IMAGE, key=key)
    x = jnp.moveaxis(IMAGE, -1, 0)
    where = lambda m: m.blocks[0].blocks[1]  # noqa: E731

    def run(delta: Any) -> tuple[Any, Any]:
        seen: list[Any] = []
        block = where(model)

        class Adding(equinox.Module):
            def __call__(self, *args: Any, **kwargs: Any) -> Any:
                seen.append(block(*args, **kwargs))
                return seen[0] + delta

        return equinox.tree_at(where, model, Adding())(x, key=key), seen[0]

    shape = net.activation(IMAGE).shape
    prefix = 3  # a class token and two registers
    assert shape == (5, 4, 64)
    return by_jax(net, run, (16 + prefix, 64), lambda y: y[prefix:].reshape(4, 4, 64))


def equinox_cnn() -> Trial:
    import equinox

    keys = jax.random.split(jax.random.key(1), 3)
    layers = [
        equinox.nn.Conv2d(3, 8, 3, padding=1, key=keys[0]),
        equinox.nn.BatchNorm(8, axis_name="batch", mode="batch"),
        equinox.nn.Lambda(jax.nn.relu),
        equinox.nn.Conv2d(8, 16, 3, 2, 1, key=keys[1]),
        equinox.nn.Lambda(jax.nn.relu),
        equinox.nn.AdaptiveAvgPool2d(1),
        equinox.nn.Lambda(jnp.ravel),
        equinox.nn.Linear(16, 10, key=keys[2]),
    ]
    model, state = equinox.nn.make_with_state(lambda: equinox.nn.Sequential(layers))()
    net = galore.cut(model, "layers.3", IMAGE, state=state, output=0)
    evaluated, x = equinox.nn.inference_mode(model), jnp.moveaxis(IMAGE, -1, 0)

    def run(delta: Any) -> tuple[Any, Any]:
        y, now = x, state
        for number, layer in enumerate(evaluated.layers):
            y, now = layer(y, now) if isinstance(layer, equinox.nn.BatchNorm) else (layer(y), now)
            if number == 3:
                activation, y = y, y + delta
        return y, activation

    return by_jax(net, run, (16, 32, 32), lambda y: jnp.moveaxis(y, 0, -1))


def keras_trial(model: Any, layer: str) -> Trial:
    import keras

    net = galore.cut(model, layer, IMAGE)
    trunk = keras.Model(model.inputs, model.get_layer(layer).output)
    activation = jax.jit(lambda values: trunk.stateless_call(*values, IMAGE[None], training=False)[0])(values_of(trunk))
    model.layers[-1].activation = keras.activations.linear  # logits, in the reference alone
    top = keras.Model(model.get_layer(layer).output, model.outputs)
    head = lambda F: first(top.stateless_call(*values_of(top), F, training=False)[0])[0]  # noqa: E731
    gradient = jax.jit(jax.grad(lambda F: head(F)[CLASS]))(activation)
    return Trial(net, activation[0], gradient[0], jax.jit(head)(activation))


def values_of(model: Any) -> tuple[list[Any], list[Any]]:
    return [v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables]


def keras_resnet50() -> Trial:
    import keras

    model = keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classes=10)
    return keras_trial(model, "conv5_block3_out")


def keras_mobilenet_v2() -> Trial:
    import keras

    model = keras.applications.MobileNetV2(weights=None, input_shape=(64, 64, 3), classes=10)
    return keras_trial(model, "out_relu")


def torch_resnet18() -> Trial:
    import torch
    import torchvision

    torch.manual_seed(0)
    model = torchvision.models.resnet18(weights=None, num_classes=10).eval()
    seen: list[Any] = []
    handle = model.layer4[1].register_forward_hook(lambda module, given, result: seen.append(result))
    logits = model(torch.from_numpy(np.array(IMAGE)).permute(2, 0, 1)[None])[0]
    (gradient,) = torch.autograd.grad(logits[CLASS], seen[0])
    handle.remove()
    located = lambda y: y.detach()[0].permute(1, 2, 0).numpy()  # noqa: E731
    net = galore.cut(model, "layer4.1", IMAGE)
    return Trial(net, located(seen[0]), located(gradient), logits.detach().numpy())


def onnx_model() -> Trial:
    """Two convolutions, pooling and a dense layer with a softmax; the reference is written out in jax."""
    import onnx
    from onnx import helper, numpy_helper

    draw = np.random.default_rng(0)
    arrays = {
        "first": draw.normal(size=(8, 3, 3, 3)),
        "second": draw.normal(size=(6, 8, 3, 3)),
        "weights": draw.normal(size=(10, 6)),
        "bias": draw.normal(size=(10,)),
    }
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "weights", "bias"], ["g"], transB=1),
        helper.make_node("Softmax", ["g"], ["y"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)])
    net = galore.cut(model, None, IMAGE)

    def convolved(x: Any, kernel: Any, stride: int) -> Any:
        y = jax.lax.conv_general_dilated(x, kernel, (stride, stride), ((1, 1), (1, 1)))
        return jax.nn.relu(y)

    x = jnp.moveaxis(IMAGE, -1, 0)[None]
    activation = convolved(convolved(x, arrays["first"], 1), arrays["second"], 2)
    head = lambda F: F.mean((0, 2, 3)) @ arrays["weights"].T + arrays["bias"]  # noqa: E731
    gradient = jax.grad(lambda F: head(F)[CLASS])(activation)
    located = lambda y: jnp.moveaxis(y[0], 0, -1)  # noqa: E731
    return Trial(net, located(activation), located(gradient), head(activation))


TRIALS = (
    bonsai_resnet50, bonsai_convnext, bonsai_vit, flax_resnet18, flaxmodels_resnet18, big_vision_bit, big_vision_vit,
    equinox_cnn, equimo_vit, haiku_resnet18, keras_mobilenet_v2, keras_resnet50, torch_resnet18, onnx_model,
)  # fmt: skip


def judged(trial: Trial) -> dict[str, Any]:
    """How far the maps of a cut, under jit and vmap, are from the reference, as a share of its largest value."""
    expected = (np.asarray(trial.gradient) * np.asarray(trial.activation)).sum(-1)
    explain = jax.jit(lambda net, x: galore.explain.attributive(net, x, CLASS, signs=galore.explain.RAW))
    found = explain(trial.net, jnp.stack([0.5 * IMAGE, IMAGE]))
    return {
        "layer": trial.net.layer,
        "locations": list(expected.shape),
        "map_error": float(np.abs(found.maps[1] - expected).max() / np.abs(expected).max()),
        "logit_error": float(np.abs(found.logits[1] - trial.logits).max() / np.abs(trial.logits).max()),
    }


def flops() -> dict[str, Any]:
    """GFLOP of a discriminant explanation by a cut, by a head written by hand, and of the forward pass, as compiled."""
    from imagenet.models import ResNet, ResNetBlock

    model = ResNet(stage_sizes=[2, 2, 2, 2], block_cls=ResNetBlock, num_classes=1000, dtype=jnp.float32)
    image = jax.random.uniform(jax.random.key(0), (224, 224, 3))
    variables = jax.jit(lambda key: model.init(key, image[None], train=False))(jax.random.key(1))
    net = galore.cut(model, "ResNetBlock_7", image, variables=variables)

    def by_hand(variables: Any, F: Any) -> Any:
        dense = variables["params"]["Dense_0"]
        return F.mean((0, 1)) @ dense["kernel"] + dense["bias"]

    def counted(function: Any, *arguments: Any) -> float:
        return jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"] / 1e9

    explain = lambda net, x: galore.explain.discriminant(net, x, None, CLASS)  # noqa: E731
    return {
        "gflop_by_cut": counted(explain, net, image[None]),
        "gflop_by_hand": counted(explain, dataclasses.replace(net, head=by_hand), image[None]),
        "gflop_forward": counted(lambda v, x: model.apply(v, x, train=False), variables, image[None]),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAMES", help="some of the models, separated by commas")
    parser.add_argument("--sources", type=Path, help="a folder with checkouts: bonsai, big_vision, flax")
    parser.add_argument("--out", type=Path, help="a JSON file for the results")
    args = parser.parse_args()
    for name in ("bonsai", "big_vision", "flax/examples") if args.sources else ():
        sys.path.append(str(args.sources / name))
    chosen = args.only.split(",") if args.only else [*(trial.__name__ for trial in TRIALS), "flops"]
    rows: dict[str, Any] = {}
    for trial in TRIALS:
        if trial.__name__ not in chosen:
            continue
        start = time.perf_counter()
        try:
            row = judged(trial())
        except ImportError as error:
            row = {"missing": str(error)}
        rows[trial.__name__] = row | {"seconds": round(time.perf_counter() - start, 1)}
        print(f"{trial.__name__}: {rows[trial.__name__]}", flush=True)
    if "flops" in chosen:
        try:
            rows["flops"] = flops()
        except ImportError as error:
            rows["flops"] = {"missing": str(error)}
        print(f"flops: {rows['flops']}", flush=True)
    if args.out:
        args.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0 if all(row.get("map_error", 0) < 1e-5 for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(program.ended("error", main))
