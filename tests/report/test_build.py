import dataclasses
import functools
import json

import answers
import folders
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from galore import InputError, explain, regions
from galore.report import ask, build, record


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    return answers.answer(tmp_path_factory.mktemp("photos"))


def network_input(net, path):
    return jnp.asarray(net.preprocessing.apply(answers.pixels(path)))[None]


def region_of(values):
    """The tenth of the view that is largest in the smoothed map."""
    return np.asarray(regions.largest(regions.smoothed(jnp.asarray(values), (build.VIEW, build.VIEW)), 0.1))


def test_the_maps_are_those_of_the_core(answer):
    net = answers.tiny_network()
    red, blue = network_input(net, answer.photo.path), network_input(net, answer.why_not.example.photo.path)
    pair = jax.jit(explain.counterfactual)(net, red, jnp.int32(2), blue)
    np.testing.assert_allclose(answer.attributive.map, jax.jit(explain.attributive)(net, red).maps[0], rtol=1e-5)
    np.testing.assert_allclose(answer.why_not.finding.map, pair.query.maps[0], rtol=1e-5)
    np.testing.assert_allclose(answer.why_not.example.finding.map, pair.counter.maps[0], rtol=1e-5)
    hesitation = jax.jit(functools.partial(explain.deliberative, top=4))(net, red)
    np.testing.assert_allclose(
        [i.strength for i in answer.insecurities], hesitation.strengths[0][hesitation.occurs[0]], rtol=1e-5
    )
    np.testing.assert_allclose(answer.insecurities[0].finding.map, hesitation.maps[0, 0], rtol=1e-5)


def test_by_the_margin_what_sets_the_classes_apart_is_the_cores_margin(tmp_path):
    answer = answers.answer(tmp_path, rule="margin")
    net, shown = answers.tiny_network(), answer.why_not
    red, blue = network_input(net, answer.photo.path), network_input(net, shown.example.photo.path)
    ask = jax.jit(explain.margin)
    np.testing.assert_allclose(shown.finding.map, ask(net, red, 0, 2).maps[0], rtol=1e-5)
    np.testing.assert_allclose(shown.example.finding.map, ask(net, blue, 2, 0).maps[0], rtol=1e-5)
    assert (shown.finding.key, shown.example.finding.key) == ("margin", "counter_margin")
    assert (shown.finding.region != region_of(shown.finding.map)).mean() < 1e-3
    assert answer.attributive.map.min() >= 0


@pytest.mark.parametrize(
    ("rule", "ask"),
    [
        ("standardised", explain.standardised),
        ("part-tables", lambda net, x, y, c: explain.by_part_tables(net, x, answers.tables(*range(6)), y, c)),
        (
            "counterparts",
            lambda net, x, y, c: explain.by_counterparts(net, x, answers.counterparts_of(*range(6)), y, c),
        ),
    ],
)
def test_by_another_rule_what_sets_the_classes_apart_is_the_cores_map_against_every_candidate(tmp_path, rule, ask):
    answer = answers.answer(tmp_path, rule=rule)
    net, shown, ask = answers.tiny_network(), answer.why_not, jax.jit(ask)
    red, blue = network_input(net, answer.photo.path), network_input(net, shown.example.photo.path)
    np.testing.assert_allclose(shown.finding.map, ask(net, red, 0, 2).maps[0], atol=1e-3)
    np.testing.assert_allclose(shown.example.finding.map, ask(net, blue, 2, 0).maps[0], atol=1e-3)
    assert (shown.finding.key, shown.example.finding.key) == (rule, f"counter_{rule}")
    assert (shown.finding.region != region_of(shown.finding.map)).mean() < 1e-3
    for candidate in answer.candidates[1:]:
        expected = ask(net, red, 0, candidate.index).maps[0]
        np.testing.assert_allclose(answer.maps[f"{rule}_{candidate.index}"], expected, atol=1e-3)


def test_candidates_that_the_tables_do_not_have_have_no_map(tmp_path):
    answer = answers.answer(tmp_path, rule="part-tables", compared=(0, 2, 4))
    assert {candidate.index for candidate in answer.candidates} == {0, 1, 3, 4}
    assert {key for key in answer.maps if key.startswith("part-tables_")} == {"part-tables_4", "part-tables_2"}
    asked = [question for question in ask.questions(answer) if question.kind == "part-tables"]
    assert [(question.photo, question.classes) for question in asked] == [(0, (0, 4)), (0, (0, 2)), (1, (2, 0))]
    assert asked[1].meaning == "parts by which red thing and blue thing differ"


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("rule", "compared", "missing"),
    [
        ("part-tables", (1, 2, 3), "red thing"),
        ("part-tables", (0, 1, 3), "blue thing"),
        ("counterparts", (0, 1, 3), "blue thing"),
    ],
)
def test_a_class_that_was_not_compared_is_one_sentence(tmp_path, rule, compared, missing):
    what = rule.replace("-", " ")
    with pytest.raises(InputError, match=f"the {what} have no {missing}, about which .*they are of "):
        answers.answer(tmp_path, counter=False, rule=rule, compared=compared)


def test_by_counterparts_the_prediction_needs_none(tmp_path):
    answer = answers.answer(tmp_path, counter=False, rule="counterparts", compared=(1, 2, 3))
    assert {key for key in answer.maps if key.startswith("counterparts_")} == {f"counterparts_{c}" for c in (1, 2, 3)}


def test_a_margin_that_is_the_same_everywhere_is_noted(tmp_path):
    kernel = np.ones((3, len(answers.NAMES)), np.float32)
    answer = answers.answer(tmp_path, net=answers.tiny_network(kernel), rule="margin")
    assert any("the margin of" in note and "is zero everywhere, so no region sets" in note for note in answer.notes)


def test_the_classes_are_ranked_by_the_softmax_of_all_logits(answer):
    net = answers.tiny_network()
    _, logits = net(network_input(net, answer.photo.path)[0])
    expected = jax.nn.softmax(logits)
    assert [candidate.probability for candidate in answer.candidates] == pytest.approx(
        sorted(expected.tolist(), reverse=True)[:4], rel=1e-5
    )
    assert answer.prediction.name == "red thing"
    assert answer.why_not.counter.name == "blue thing"


def test_a_region_is_the_largest_fraction_of_its_map_and_its_boxes_lie_in_the_photo(answer):
    for finding in answer.findings:
        assert (finding.region != region_of(finding.map)).mean() < 1e-3
        assert finding.covered == pytest.approx(0.1, abs=1e-3)
        for x0, y0, x1, y1 in finding.boxes:
            assert 0 <= x0 < x1 <= 60 and 0 <= y0 < y1 <= 48


def test_a_box_surrounds_the_patch_that_speaks_for_the_class(answer):
    """The bright patch covers columns 20 to 38 and rows 12 to 30 of the photo; a cell is 10.7 pixels of it."""
    x0, y0, x1, y1 = answer.attributive.boxes[0]
    assert 20 - 11 < x0 < x1 < 38 + 11
    assert 12 - 11 < y0 < y1 < 30 + 11


def test_without_a_class_the_second_choice_is_the_other_one(tmp_path):
    photo = answers.write_photo(tmp_path / "photo.png")
    ask = answers.compile_explanations()
    answer = build.build(answers.tiny_network(), photo, ask, answers.METHODS)
    assert answer.why_not.counter == answer.candidates[1]
    assert not answer.why_not.named


def test_one_compilation_serves_every_photo_and_every_class(tmp_path):
    net, ask = (
        answers.tiny_network(),
        build.compile_explanations(attribution="gradient", confidence="softmax", top=3, fraction=0.1),
    )
    first, second = (
        answers.write_photo(tmp_path / "a.png"),
        answers.write_photo(tmp_path / "b.png", (9, 90, 200), (90, 70)),
    )
    build.build(net, first, ask, answers.METHODS)
    build.build(net, second, ask, answers.METHODS, why_not="red", counter_image=first)
    assert ask._cache_size() == 1


def test_the_memory_of_a_report_does_not_grow_with_the_number_of_pairs():
    """Each of the 780 pairs of 40 classes, enlarged, takes 0.8 MB."""
    net = answers.tiny_network(np.random.default_rng(0).normal(size=(3, 200)).astype(np.float32))
    net = dataclasses.replace(net, class_names=())
    ask = build.compile_explanations(attribution="gradient", confidence="softmax", top=40, fraction=0.1)
    compiled = ask.lower(net, jnp.zeros((32, 32, 3)), jnp.int32(-1), jnp.int32(-1)).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 120e6


def test_thousands_of_regions_are_packed():
    """Of 28 x 28 cells and 200 classes 2352 pairs can occur: 472 MB as they are, a byte a pixel."""
    net = answers.tiny_network(np.zeros((3, 200), np.float32))
    net = dataclasses.replace(net, class_names=(), features=lambda params, image: jnp.zeros((28, 28, 3)))
    ask = build.compile_explanations(attribution="gradient", confidence="softmax", top=200, fraction=0.1)
    arguments = (net, jnp.zeros((32, 32, 3)), jnp.int32(-1), jnp.int32(-1))
    packed = jax.eval_shape(lambda *given: ask(*given).regions["deliberative"], *arguments)
    assert packed.shape[0] == 28 * 28 * 3 and packed.size * packed.dtype.itemsize < 60e6


def test_regions_are_the_same_in_blocks(tmp_path, monkeypatch):
    whole = answers.answer(tmp_path)
    monkeypatch.setattr(build, "ENLARGED", 4)
    in_blocks = build.compile_explanations(attribution="gradient", confidence="softmax", top=4, fraction=0.1)
    again = build.build(answers.tiny_network(), whole.photo.path, in_blocks, answers.METHODS, why_not="blue")
    assert len(again.insecurities) == len(whole.insecurities) > 0
    for one, other in zip(again.insecurities, whole.insecurities):
        np.testing.assert_array_equal(one.finding.region, other.finding.region)


@pytest.mark.parametrize(
    ("attribution", "confidence"),
    [
        ("integrated-gradients", "softmax"),
        ("grad-cam", "softmax"),
        ("second-order", "softmax"),
        ("gradient", "certainty"),
    ],
)
def test_every_choice_gives_finite_maps(tmp_path, attribution, confidence):
    answer = answers.answer(tmp_path, attribution=attribution, confidence=confidence)
    assert all(np.isfinite(values).all() for values in answer.maps.values())
    assert len(answer.maps) >= len(answer.findings)


def test_a_counter_photo_that_the_network_sees_otherwise_is_noted(tmp_path):
    photo = answers.write_photo(tmp_path / "red.png")
    ask = answers.compile_explanations()
    answer = build.build(answers.tiny_network(), photo, ask, answers.METHODS, why_not="blue", counter_image=photo)
    assert any("sees red thing, not blue thing, in red.png" in note for note in answer.notes)


def test_a_score_without_gradient_gives_zeros_and_a_note(tmp_path):
    """A confidence of exactly 1 has no gradient left in float32."""
    answer = answers.answer(
        tmp_path, net=answers.tiny_network(kernel=1e4 * np.asarray(answers.tiny_network().params["kernel"]))
    )
    assert not answer.why_not.finding.map.any()
    assert not answer.why_not.finding.region.any()
    assert answer.why_not.finding.boxes == ()
    assert any("confidence" in note and "zero everywhere" in note for note in answer.notes)


def test_other_attributions_are_stored_as_they_would_be_by_themselves(tmp_path):
    both = answers.answer(tmp_path, also=("grad-cam",))
    alone = answers.answer(tmp_path, attribution="grad-cam")
    for key in ("class_0", "class_2", "confidence", "difficulty"):
        np.testing.assert_allclose(both.maps[f"grad-cam_{key}"], alone.maps[key], rtol=1e-6)
    np.testing.assert_allclose(both.maps["counter_grad-cam_class_2"], alone.maps["counter_class_2"], rtol=1e-6)


def test_a_photo_in_a_data_set_has_the_names_of_its_parts(tmp_path):
    """A part is told where its point lies in the region: the network sees the middle 36 x 36 of 60 x 40 pixels."""
    root = folders.write_birds(tmp_path / "birds")
    photo = root / "images" / "001.Red_Bird" / "Red_Bird_0.png"
    answer = build.build(answers.tiny_network(), photo, answers.compile_explanations(), answers.METHODS)
    assert [part.name for part in answer.photo.parts] == ["back", "beak"]
    assert not any(finding.parts for finding in answer.findings)  # both points lie outside what the network sees
    x0, y0, x1, _ = answer.attributive.boxes[0]
    rows, columns = np.nonzero(answer.attributive.region)
    side = (answer.photo.window[2] - answer.photo.window[0]) / build.VIEW
    lit = (answer.photo.window[0] + columns[0] * side, answer.photo.window[1] + rows[0] * side)
    places = f"1 1 {lit[0] + side / 2} {lit[1] + side / 2} 1\n1 2 {(x0 + x1) / 2} {y0 - 5} 1\n"
    table = root / "parts" / "part_locs.txt"
    table.write_text(places + "".join(table.read_text().splitlines(keepends=True)[2:]))
    answer = build.build(answers.tiny_network(), photo, answers.compile_explanations(), answers.METHODS)
    assert answer.attributive.parts == ("back",)
    (root / "parts" / "parts.txt").write_text("nonsense")
    answer = build.build(answers.tiny_network(), photo, answers.compile_explanations(), answers.METHODS)
    assert answer.photo.parts == () and any("The parts of Red_Bird_0.png have no names" in n for n in answer.notes)


def test_an_ordinary_photo_has_no_notes(answer):
    assert answer.notes == ()


def test_colours_that_could_not_be_converted_are_noted(tmp_path):
    path = answers.write_photo(tmp_path / "odd.png")
    with Image.open(path) as image:
        image.save(path, icc_profile=b"no profile")
    found = build.build(answers.tiny_network(), path, answers.compile_explanations(), answers.METHODS)
    (note,) = (note for note in found.notes if "colour" in note)
    assert note.startswith("odd.png: its colour profile cannot be used") and note.endswith("sRGB.")


@pytest.mark.robust("shapes and numbers")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_reach_no_report(tmp_path, bad):
    kernel = np.ones((3, len(answers.NAMES)), np.float32)
    kernel[0, 1] = bad
    with pytest.raises(InputError, match=r"logits for .*red\.png are not finite"):
        answers.answer(tmp_path, net=answers.tiny_network(kernel=kernel))


def head_that_masks(params, F):
    return jnp.where(params["out"], -jnp.inf, F.mean((0, 1)) @ params["kernel"])


def head_that_adds(params, F):
    return F.mean((0, 1)) @ params["kernel"] + jnp.log(1 - params["out"].astype(jnp.float32))


def ruling_out(*classes, head=head_that_masks):
    """The tiny network, of whose classes some are ruled out."""
    net = answers.tiny_network()
    params = net.params | {"out": jnp.isin(jnp.arange(len(answers.NAMES)), jnp.array(classes))}
    return dataclasses.replace(net, params=params, head=head)


@pytest.mark.robust("shapes and numbers")
@pytest.mark.parametrize("head", [head_that_masks, head_that_adds])
@pytest.mark.parametrize("out", [(1,), (3, 4, 5), (1, 3, 4, 5)])
def test_classes_that_are_ruled_out_are_no_candidates_and_the_report_says_so(tmp_path, out, head):
    answer = answers.answer(tmp_path, net=ruling_out(*out, head=head))
    assert not {candidate.index for candidate in answer.candidates} & set(out)
    pairs = [(insecurity.first.index, insecurity.second.index) for insecurity in answer.insecurities]
    assert pairs and not {index for pair in pairs for index in pair} & set(out)
    notes = [note for note in answer.notes if "rules out" in note]
    assert notes[0] == f"In red.png, the network rules out {len(out)} of its 6 classes (a logit of -inf)."
    assert sum(candidate.probability for candidate in answer.candidates) <= 1 + 1e-6
    assert all(np.isfinite(values).all() for values in answer.maps.values())
    json.dumps(record.record(answer), allow_nan=False)


@pytest.mark.robust("shapes and numbers")
def test_a_network_that_rules_classes_out_is_explained_like_one_that_lacks_them(tmp_path):
    kernel = np.asarray(answers.tiny_network().params["kernel"])[:, :4]
    lacking = dataclasses.replace(answers.tiny_network(kernel=kernel), class_names=answers.NAMES[:4])
    found, expected = (answers.answer(tmp_path, net=net) for net in (ruling_out(4, 5), lacking))
    assert [one.index for one in found.candidates] == [one.index for one in expected.candidates]
    assert found.maps.keys() == expected.maps.keys()
    for name, values in expected.maps.items():
        np.testing.assert_allclose(found.maps[name], values, rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.robust("shapes and numbers")
@pytest.mark.parametrize(
    ("out", "words"),
    [
        ((2,), r"rules out blue thing for .*red\.png \(its logit is -inf\); name another class"),
        (range(1, 6), "rules out blue thing"),
        (range(6), "logits for .* are not finite"),
    ],
)
def test_nothing_is_said_about_a_class_that_is_ruled_out(tmp_path, out, words):
    with pytest.raises(InputError, match=words):
        answers.answer(tmp_path, net=ruling_out(*out))


@pytest.mark.robust("shapes and numbers")
def test_maps_that_are_not_finite_reach_no_report(tmp_path):
    """The square root has an infinite slope at zero, where the logits themselves are finite."""

    def head(params, F):
        flat = jnp.sqrt(jnp.maximum(F.mean((0, 1)) - F.mean((0, 1)), 0))
        return F.mean((0, 1)) @ params["kernel"] + flat.sum()

    with pytest.raises(InputError, match=r"maps for .*red\.png are not finite"):
        answers.answer(tmp_path, net=dataclasses.replace(answers.tiny_network(), head=head))


def test_a_network_without_preprocessing_cannot_take_a_photo(tmp_path):

    with pytest.raises(InputError, match="no preprocessing"):
        answers.answer(tmp_path, net=dataclasses.replace(answers.tiny_network(), preprocessing=None))


def test_classes_without_names_are_numbered(tmp_path):
    photo = answers.write_photo(tmp_path / "photo.png")
    ask = answers.compile_explanations()
    net = answers.tiny_network()

    nameless = dataclasses.replace(net, class_names=())
    answer = build.build(nameless, photo, ask, answers.METHODS, why_not="2")
    assert (answer.prediction.name, answer.why_not.counter.name) == ("class 0", "class 2")
