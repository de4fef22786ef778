import dataclasses
import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import third_party as others
from flax import linen, nnx

import galore
from galore import InputError, Network
from galore.head_structure import SumFirst, structure

IMAGE = others.IMAGE


@pytest.fixture(scope="module")
def linen_model():
    return others.linen_resnet()


@pytest.fixture(scope="module")
def linen_net(linen_model):
    model, variables = linen_model
    return galore.cut(model, "LinenBlock_1", IMAGE, variables=variables)


def gradient_at(run, shape, index):
    """The gradient of a logit by something added to what a layer returns; `run(delta) -> logits, activation`."""
    gradient, activation = jax.jit(jax.grad(lambda d: (run(d)[0][index], run(d)[1]), has_aux=True))(jnp.zeros(shape))
    return (gradient * activation).sum(-1)


class TestEveryFramework:
    """A map is the gradient of the untouched model by something that is added at the layer, times the activation."""

    def test_linen(self, linen_model, linen_net):
        model, variables = linen_model

        def run(delta):
            seen = []

            def add(method, args, kwargs, context):
                y = method(*args, **kwargs)
                if context.module.name == "LinenBlock_1" and context.method_name == "__call__":
                    seen.append(y[0])
                    return y + delta
                return y

            with linen.intercept_methods(add):
                logits = model.apply(variables, IMAGE[None], train=False)[0]
            return logits, seen[0]

        expected = gradient_at(run, (1, 16, 24, 8), 3)[0]
        self.agrees(linen_net, expected, model.apply(variables, IMAGE[None], train=False)[0])

    def test_nnx(self):
        module = others.NnxResNet(nnx.Rngs(0))
        evaluated = nnx.view(module, deterministic=True, use_running_average=True)

        def run(delta):
            x = evaluated.layers[1](nnx.relu(evaluated.layers[0](IMAGE[None])))[0]
            F = nnx.relu(x + delta)
            return evaluated.classifier(evaluated.norm(F).mean((0, 1))), x

        expected = gradient_at(run, (8, 12, 8), 3)
        net = galore.cut(module, "layers.1", IMAGE)
        self.agrees(net, expected, evaluated(IMAGE[None])[0])
        assert net.layer == "layers.1" and not module.dropout.deterministic

    def test_equinox_takes_channels_first_and_a_state(self):
        import equinox

        model, state = equinox.nn.make_with_state(others.EquinoxNet)(jax.random.key(0))
        evaluated, x = equinox.nn.inference_mode(model), jnp.moveaxis(IMAGE, -1, 0)

        def run(delta):
            y = evaluated.layers[1](jax.nn.relu(evaluated.layers[0](x)))
            F, _ = evaluated.norm(jax.nn.relu(y + jnp.moveaxis(delta, -1, 0)), state)
            return evaluated.classifier(F.mean((1, 2))), jnp.moveaxis(y, 0, -1)

        expected = gradient_at(run, (8, 12, 8), 3)
        net = galore.cut(model, "layers.1", IMAGE, state=state, output=0)
        self.agrees(net, expected, evaluated(x, state)[0])
        same = galore.cut(model, "layers.1", x, state=state, output=0, check=False)
        chex.assert_trees_all_close(same(x)[1], net(IMAGE)[1], atol=1e-6)

    def test_haiku_with_state(self):
        model, params, state = others.haiku_net()
        net = galore.cut(model, "first", IMAGE, params=params, state=state)

        def head(F):
            mean, variance = (state[f"norm/~/{name}_ema"]["average"].reshape(-1) for name in ("mean", "var"))
            F = (F - mean) * jax.lax.rsqrt(variance + 1e-5) * params["norm"]["scale"].reshape(-1)
            F = jax.nn.relu(F + params["norm"]["offset"].reshape(-1))
            return F.mean((0, 1)) @ params["classifier"]["w"] + params["classifier"]["b"]

        F = others.convolution(IMAGE[None], params["first"]["w"])[0] + params["first"]["b"]
        expected = (jax.grad(lambda F: head(F)[3])(F) * F).sum(-1)
        self.agrees(net, expected, head(F))

    def test_keras(self, monkeypatch):
        monkeypatch.setenv("KERAS_BACKEND", "jax")
        import keras

        given = keras.Input((16, 24, 3))
        x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="features")(given)
        x = keras.layers.Dense(others.CLASSES, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
        model = keras.Model(given, x)
        kernel, bias, weights, last = (jnp.asarray(v.value) for v in model.trainable_variables)
        F = jax.nn.relu(others.convolution(IMAGE[None], kernel)[0] + bias)
        expected = (jax.grad(lambda F: (F.mean((0, 1)) @ weights + last)[3])(F) * F).sum(-1)
        self.agrees(galore.cut(model, "features", IMAGE), expected, F.mean((0, 1)) @ weights + last)

    @pytest.mark.parametrize(
        ("function", "layer"),
        [(others.function, "trunk"), (others.function, None), (others.named_function, "activation")],
    )
    def test_a_function_by_scope_by_name_or_at_its_last_bottleneck(self, function, layer):
        params = others.function_params()
        F = jax.nn.relu(others.convolution(IMAGE[None], params["kernel"])[0])
        logits = F.mean((0, 1)) @ params["weights"]
        expected = F @ params["weights"][:, 3] / (16 * 24)
        self.agrees(galore.cut(function, layer, IMAGE, params=params), expected, logits)

    def agrees(self, net, expected, logits):
        np.testing.assert_allclose(net(IMAGE)[1], logits, atol=1e-5)
        images = jnp.stack([0.5 * IMAGE, IMAGE])
        maps = jax.jit(lambda net, x: galore.explain.attributive(net, x, 3, signs=galore.explain.RAW))(net, images).maps
        np.testing.assert_allclose(maps[1], expected, atol=1e-5 * float(jnp.abs(expected).max()) + 1e-7)


class TestTheHead:
    def test_costs_what_one_written_by_hand_does(self, linen_model, linen_net):
        _, variables = linen_model
        dense = variables["params"]["Dense_0"]

        def by_hand(params, F):
            return F.mean((0, 1)) @ dense["kernel"] + dense["bias"]

        written = dataclasses.replace(linen_net, head=by_hand)

        def flops(net):
            return jax.jit(galore.explain.deliberative).lower(net, IMAGE[None]).cost_analysis()["flops"]

        assert flops(linen_net) == pytest.approx(flops(written), rel=0.01)

    def test_pooled_heads_are_recognised_behind_a_cut(self, linen_net):
        F = linen_net.activation(IMAGE)
        assert isinstance(structure(lambda F: linen_net.head(linen_net.params, F), F), SumFirst)

    def test_works_in_bfloat16(self, linen_net):
        F, logits = linen_net.astype(jnp.bfloat16)(IMAGE.astype(jnp.bfloat16))
        assert F.dtype == logits.dtype == jnp.bfloat16
        np.testing.assert_allclose(logits, linen_net(IMAGE)[1], atol=0.05)


def test_a_model_that_is_cut_twice_is_compiled_once(linen_model):
    model, variables = linen_model
    module, calls = others.NnxResNet(nnx.Rngs(0)), []

    @jax.jit
    def explain(net, images):
        calls.append(net)
        return galore.explain.attributive(net, images)

    for _ in range(2):
        explain(galore.cut(model, "LinenBlock_0", IMAGE, variables=variables, check=False), IMAGE[None])
        explain(galore.cut(module, "layers.0", IMAGE, check=False), IMAGE[None])
    assert len(calls) == 2


def test_leaves_that_are_no_floats_stay_as_they_are():
    params = {**others.function_params(), "key": jax.random.key(0), "shift": jnp.arange(8, dtype=jnp.int8), "on": True}

    def quantised(params, image):
        return others.function({**params, "kernel": params["kernel"] + params["shift"].astype(image.dtype)}, image)

    net = galore.cut(quantised, "trunk", IMAGE, params=params).astype(jnp.bfloat16)
    assert net.params["key"] is params["key"] and net.params["shift"].dtype == jnp.int8
    assert np.isfinite(net(IMAGE.astype(jnp.bfloat16))[1]).all()


class TestScores:
    @pytest.mark.parametrize(
        "end", [jax.nn.softmax, jax.nn.log_softmax, jax.nn.sigmoid, lambda z: jnp.exp(z) / jnp.exp(z).sum()]
    )
    def test_what_normalises_at_the_end_is_left_out(self, end):
        params = others.function_params()
        net = galore.cut(lambda p, x: end(others.function(p, x)), "trunk", IMAGE, params=params)
        np.testing.assert_allclose(net(IMAGE)[1], others.function(params, IMAGE), rtol=1e-5)

    def test_unless_it_is_to_stay(self):
        params = others.function_params()
        whole = lambda p, x: jax.nn.softmax(others.function(p, x))  # noqa: E731
        net = galore.cut(whole, "trunk", IMAGE, params=params, keep_normalisation=True)
        np.testing.assert_allclose(net(IMAGE)[1].sum(), 1, rtol=1e-6)

    def test_probabilities_behind_which_no_logits_are_found_are_refused(self):
        def averaged(params, x):
            logits = others.function(params, x)
            return (jax.nn.softmax(logits) + jax.nn.softmax(2 * logits)) / 2

        with pytest.raises(InputError, match="returns probabilities"):
            galore.cut(averaged, "trunk", IMAGE, params=others.function_params())

    @pytest.mark.parametrize("end", [lambda z: z, jax.nn.sigmoid, lambda z: jax.nn.sigmoid(z)[0]])
    def test_one_logit_becomes_two_classes(self, end):
        params = others.function_params()
        net = galore.cut(lambda p, x: end(others.function(p, x)[:1]), "trunk", IMAGE, params=params, binary=True)
        _, logits = net(IMAGE)
        np.testing.assert_allclose(
            jax.nn.softmax(logits)[1], jax.nn.sigmoid(others.function(params, IMAGE)[0]), rtol=1e-5
        )

    @pytest.mark.parametrize(
        ("wrap", "output"),
        [
            (lambda z: (z, z.sum()), 0),
            (lambda z: {"logits": z, "aux": -z}, "logits"),
            (lambda z: [[z]], lambda r: r[0][0]),
        ],
    )
    def test_one_of_several_outputs_is_chosen(self, wrap, output):
        params = others.function_params()
        net = galore.cut(lambda p, x: wrap(others.function(p, x)), "trunk", IMAGE, params=params, output=output)
        np.testing.assert_allclose(net(IMAGE)[1], others.function(params, IMAGE), rtol=1e-5)


def shared(params, image):
    F = named(image, params["kernel"])
    return (F + named(image, 2 * params["kernel"])).mean((0, 1)) @ params["weights"]


def named(image, kernel):
    return jax.ad_checkpoint.checkpoint_name(others.convolution(image[None], kernel)[0], "layer")


def scanned(params, image):
    F = others.convolution(image[None], params["kernel"])[0]
    F, _ = jax.lax.scan(lambda F, _: (jax.ad_checkpoint.checkpoint_name(jax.nn.relu(F), "layer"), None), F, length=2)
    return F.mean((0, 1)) @ params["weights"]


def around(params, image):
    with jax.named_scope("trunk"):
        F = others.convolution(image[None], params["kernel"])[0]
    return jax.nn.relu(F).mean((0, 1)) @ params["weights"] + image.mean()


def blind(params, image):
    with jax.named_scope("trunk"):
        F = others.convolution(image[None], params["kernel"])[0]
    return jnp.where(F.sum() > jnp.inf, 1.0, 1.0) * params["weights"][0] + 0 * image.mean()


PARAMS = others.function_params()


@pytest.mark.robust("models that cannot be cut")
class TestWhatCannotBeCut:
    @pytest.mark.parametrize(
        ("model", "layer", "message"),
        [
            (others.function, "trunck", r"calls no layer 'trunck'; the closest are trunk; galore\.layers lists them"),
            (shared, "layer", "is called 2 times, as shared layers are"),
            (scanned, "layer", "is called inside a scanned loop"),
            (around, "trunk", r"no bottleneck: the image also reaches the logits around it, through .*\[\]"),
            (lambda p, x: others.function(p, x)[:, None] * jnp.ones(2), "trunk", r"returns shape \[5, 2\]"),
            (lambda p, x: others.function(p, x)[0], "trunk", "returns a single number: binary=True"),
            (lambda p, x: (others.function(p, x), 1), "trunk", "returns a tuple of 2: say with output="),
            (lambda p, x: others.function(p, x) > 0, "trunk", "returns no floating-point array"),
            (
                lambda p, x: others.function(p, x[0]),
                "trunk",
                r"does not take an image of shape \[16, 24, 3\], float32: ",
            ),
            (lambda p, x: p["nothing"], "trunk", "does not take an image .* KeyError"),
        ],
    )
    def test_is_one_sentence(self, model, layer, message):
        with pytest.raises(InputError, match=message):
            galore.cut(model, layer, IMAGE, params=PARAMS)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"image": None}, "image= is missing"),
            ({"image": "bird.jpg"}, "image= is a str: expected one example, an array"),
            ({"image": IMAGE[None]}, r"image of shape \[1, 16, 24, 3\]: expected one example without a batch axis"),
            ({"params": None}, "params= is missing: the function function needs its first argument"),
            ({"variables": {}}, "variables= is given"),
            ({"binary": True}, "binary=True: function returns 5 numbers, expected one"),
            ({"output": "logits"}, r"output='logits': function returns shape \(5,\)"),
            ({"axes": (0, 7)}, r"axes=\(0, 7\): the layer trunk returns shape \[16, 24, 8\]"),
            ({"grid": (40, 40)}, r"grid=\(40, 40\), prefix=0: the layer trunk returns shape"),
        ],
    )
    def test_options_that_do_not_fit(self, options, message):
        given = {"image": IMAGE, "params": PARAMS} | options
        with pytest.raises(InputError, match=message):
            galore.cut(others.function, "trunk", given.pop("image"), **given)

    def test_a_model_of_no_kind(self):
        with pytest.raises(InputError, match="a model of type dict: expected a module of flax, equinox"):
            galore.cut({}, "trunk", IMAGE)

    def test_a_linen_module_without_its_variables(self, linen_model):
        with pytest.raises(InputError, match="variables= is missing: a linen module needs"):
            galore.cut(linen_model[0], "LinenBlock_0", IMAGE)

    def test_a_skip_connection_is_named(self, linen_model):
        model, variables = linen_model
        with pytest.raises(InputError, match=r"through what LinenBlock_1/Conv_1 returns, \[1, 16, 24, 8\]"):
            galore.cut(model, "LinenBlock_1/BatchNorm_0", IMAGE, variables=variables)

    def test_an_image_of_another_shape_later(self, linen_net):
        with pytest.raises(InputError, match=r"was cut for images of shape \[16, 24, 3\], this one has \[8, 8, 3\]"):
            linen_net(jnp.zeros((8, 8, 3)))

    def test_a_model_that_draws_numbers_with_a_state_of_its_own(self):
        random = np.random.default_rng(0)

        def drawing(params, image):
            return others.function(params, image) * random.uniform(1, 2)

        with pytest.raises(InputError, match="gives other numbers when it is cut"):
            galore.cut(drawing, "trunk", IMAGE, params=PARAMS)

    def test_a_framework_that_is_not_installed(self, monkeypatch):
        module = type("Module", (), {"__module__": "torch.nn.modules"})()
        monkeypatch.setitem(sys.modules, "torchax", None)
        with pytest.raises(InputError, match="a torch module needs the package torchax: pip install torchax"):
            galore.cut(module, "layer", IMAGE)


def test_the_layers_are_a_table(linen_model):
    model, variables = linen_model
    table = galore.layers(model, IMAGE, variables=variables)
    by_name = {layer.name: layer for layer in table}
    assert by_name["LinenBlock_1"].can_be_cut and by_name["LinenBlock_1"].grid == (16, 24)
    assert not by_name["LinenBlock_1/Conv_0"].is_bottleneck and by_name["Dense_0"].grid is None
    lines = str(table).splitlines()
    assert lines[0].split() == ["layer", "shape", "locations", "cut", "here", "FLOPs", "behind"]
    first = next(line for line in lines if line.startswith("LinenBlock_0 "))
    assert first.split()[1:4] == ["1x16x24x6", "16x24", "yes"]


def test_the_share_behind_a_layer_is_that_of_the_compiler(linen_model):
    model, variables = linen_model
    behind = {layer.name: layer.behind for layer in galore.layers(model, IMAGE, variables=variables)}["LinenBlock_0"]
    net = galore.cut(model, "LinenBlock_0", IMAGE, variables=variables, check=False)
    F = net.activation(IMAGE)
    flops = [
        jax.jit(f).lower(net.params, x).compile().cost_analysis()["flops"]
        for f, x in ((net.head, F), (lambda p, x: net.head(p, net.features(p, x)), IMAGE))  # type: ignore[misc]
    ]
    assert behind == pytest.approx(flops[0] / flops[1], abs=0.02)


@pytest.mark.robust("models that cannot be cut")
def test_a_head_without_derivatives_is_refused():
    def opaque(params, image):
        with jax.named_scope("trunk"):
            F = jax.nn.relu(others.convolution(image[None], params["kernel"])[0])
        logits = jax.ShapeDtypeStruct((others.CLASSES,), jnp.float32)
        return jax.pure_callback(lambda F: np.asarray(F.mean((0, 1))[: others.CLASSES]), logits, F)

    with pytest.raises(InputError, match="opaque has no gradient behind the layer trunk: "):
        galore.cut(opaque, "trunk", IMAGE, params=PARAMS)


def test_an_exported_program_is_run_once_per_image():
    from jax import export

    kernel = PARAMS["kernel"][..., :6]
    trunk = export.export(jax.jit(lambda x: jax.nn.relu(others.convolution(x, kernel, (2, 2)))))(
        jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    )
    weights = {"weights": PARAMS["weights"][:6]}
    image = IMAGE[:, :16]
    net = galore.cut(lambda p, x: jnp.mean(trunk.call(x), (1, 2)) @ p["weights"], None, image, params=weights)
    images = jnp.stack([image, 0.5 * image])
    maps = jax.jit(lambda net, x: galore.explain.attributive(net, x, 1, signs=galore.explain.RAW))(net, images).maps
    F = jax.nn.relu(others.convolution(images, kernel, (2, 2)))
    np.testing.assert_allclose(maps, F @ weights["weights"][:, 1] / 64, rtol=1e-4, atol=1e-5)


def test_is_a_network():
    assert isinstance(galore.cut(others.function, "trunk", IMAGE, params=PARAMS, check=False), Network)


def test_no_framework_is_imported_before_its_model_arrives():
    code = (
        "import sys, galore; galore.cut; galore.layers; "
        "print([name for name in ('equinox', 'haiku', 'keras', 'torch', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
