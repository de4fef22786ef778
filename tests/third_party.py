"""Models as others write them: one call, no way in halfway; small ones, with random parameters."""

import equinox
import haiku
import jax
import jax.numpy as jnp
from flax import linen, nnx
from jax.ad_checkpoint import checkpoint_name

CLASSES = 5
IMAGE = jax.random.uniform(jax.random.key(0), (16, 24, 3))


class LinenBlock(linen.Module):
    channels: int

    @linen.compact
    def __call__(self, x, train: bool = True):
        y = linen.Conv(self.channels, (3, 3))(x)
        y = linen.BatchNorm(use_running_average=not train)(y)
        return linen.relu(y + linen.Conv(self.channels, (1, 1))(x))


class LinenResNet(linen.Module):
    """With a skip connection, BatchNorm, a flag of training that is on, and a softmax at the end."""

    softmax: bool = False

    @linen.compact
    def __call__(self, x, train: bool = True):
        for channels in (6, 8):
            x = LinenBlock(channels)(x, train=train)
        x = linen.Dense(CLASSES)(linen.Dropout(0.5, deterministic=not train)(x.mean((1, 2))))
        return linen.softmax(x) if self.softmax else x


def linen_resnet(softmax=False):
    model = LinenResNet(softmax)
    return model, model.init(jax.random.key(1), IMAGE[None], train=False)


class NnxResNet(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Conv(3, 6, (3, 3), rngs=rngs), nnx.Conv(6, 8, (3, 3), strides=2, rngs=rngs)])
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.classifier = nnx.Linear(8, CLASSES, rngs=rngs)

    def __call__(self, x):
        for layer in self.layers:
            x = nnx.relu(layer(x))
        return self.classifier(self.dropout(self.norm(x)).mean((1, 2)))


class EquinoxNet(equinox.Module):
    """Channels first, one example, BatchNorm with a state."""

    layers: list
    norm: equinox.nn.BatchNorm
    classifier: equinox.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        self.layers = [
            equinox.nn.Conv2d(3, 6, 3, padding=1, key=keys[0]),
            equinox.nn.Conv2d(6, 8, 3, 2, 1, key=keys[1]),
        ]
        self.norm = equinox.nn.BatchNorm(8, axis_name="batch", mode="batch")
        self.classifier = equinox.nn.Linear(8, CLASSES, key=keys[2])

    def __call__(self, x, state):
        for layer in self.layers:
            x = jax.nn.relu(layer(x))
        x, state = self.norm(x, state)
        return self.classifier(x.mean((1, 2))), state


def haiku_net():
    def forward(x, is_training=False):
        x = haiku.Conv2D(6, 3, name="first")(x)
        x = jax.nn.relu(haiku.BatchNorm(True, True, 0.9, name="norm")(x, is_training))
        return haiku.Linear(CLASSES, name="classifier")(x.mean((1, 2)))

    model = haiku.transform_with_state(forward)
    return model, *model.init(jax.random.key(2), IMAGE[None], is_training=True)


def convolution(x, kernel, strides=(1, 1)):
    return jax.lax.conv_general_dilated(x, kernel, strides, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def function_params():
    first, second = jax.random.split(jax.random.key(3))
    return {
        "kernel": jax.random.normal(first, (3, 3, 3, 8)),
        "weights": jax.random.normal(second, (8, CLASSES)),
    }


def function(params, image):
    """No framework: names are scopes."""
    with jax.named_scope("trunk"):
        F = jax.nn.relu(convolution(image[None], params["kernel"])[0])
    return F.mean((0, 1)) @ params["weights"]


def named_function(params, image):
    F = checkpoint_name(jax.nn.relu(convolution(image[None], params["kernel"])[0]), "activation")
    return F.mean((0, 1)) @ params["weights"]


class Attention(nnx.Module):
    def __init__(self, width, rngs):
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, width, decode=False, rngs=rngs)
        self.mlp = nnx.Linear(width, width, rngs=rngs)

    def __call__(self, x):
        x = x + self.attention(self.norm(x))
        return x + nnx.gelu(self.mlp(x))


class VisionTransformer(nnx.Module):
    """A class token and a register in front of 4 x 6 patches; classified by the class token or by the mean."""

    def __init__(self, rngs, by="class token", width=8, depth=3):
        self.by = by
        self.patches = nnx.Conv(3, width, (4, 4), strides=4, padding="VALID", rngs=rngs)
        self.prefix = nnx.Param(jax.random.normal(rngs(), (1, 2, width)))
        self.positions = nnx.Param(jax.random.normal(rngs(), (1, 26, width)))
        self.blocks = nnx.List([Attention(width, rngs) for _ in range(depth)])
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.head = nnx.Linear(width, CLASSES, rngs=rngs)

    def __call__(self, x):
        x = self.patches(x)
        x = x.reshape(len(x), -1, x.shape[-1])
        x = jnp.concatenate([jnp.broadcast_to(self.prefix[...], (len(x), 2, x.shape[-1])), x], 1) + self.positions[...]
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.head(x[:, 0] if self.by == "class token" else x[:, 2:].mean(1))


class Windowed(nnx.Module):
    """Windows of 4 x 4 cells are cut out, mixed, and put together again, as in Swin."""

    def __init__(self, rngs):
        self.patches = nnx.Conv(3, 8, (2, 2), strides=2, padding="VALID", rngs=rngs)
        self.block = WindowBlock(rngs)
        self.head = nnx.Linear(8, CLASSES, rngs=rngs)

    def __call__(self, x):
        return self.head(self.block(self.patches(x)).mean((1, 2)))


class WindowBlock(nnx.Module):
    def __init__(self, rngs):
        self.mix = nnx.MultiHeadAttention(2, 8, decode=False, rngs=rngs)

    def __call__(self, x):
        _, height, width, depth = x.shape
        windows = x.reshape(-1, height // 4, 4, width // 4, 4, depth).transpose(0, 1, 3, 2, 4, 5)
        windows = self.mix(windows.reshape(-1, 16, depth)).reshape(-1, height // 4, width // 4, 4, 4, depth)
        return x + windows.transpose(0, 1, 3, 2, 4, 5).reshape(-1, height, width, depth)
