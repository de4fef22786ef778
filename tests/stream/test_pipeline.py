"""A stream gives every photo what it would get by itself, whatever happens on the way."""

import dataclasses
import functools
import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import image_files
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from photographs import CLASSES, tiny_network, write_photos

from galore import InputError, counterparts, explain, foreign, part_tables, stream
from galore.data.photo import read_image
from galore.stream import device, photos
from galore.stream.pipeline import NOT_FINITE, UNKNOWN

COUNT = 23
NET = tiny_network()


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = write_photos(tmp_path_factory.mktemp("photos"), COUNT)
    (root / "a" / "broken.jpg").write_text("no photo")
    return root


def run(data, out, answer=stream.discriminant, **options):
    return stream.run(NET, data, out, answer, **({"batch_size": 4, "shard_size": 10, "threads": 2} | options))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> stream.Folder:
    """Discriminant explanations of all photos, by one process in one go."""
    return run(data, tmp_path_factory.mktemp("whole") / "out")


def columns_of(folder) -> dict[str, np.ndarray]:
    shards = [folder.shard(number) for number in folder.finished()]
    return {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}


def test_every_photo_gets_what_it_would_get_by_itself(data, whole):
    found = columns_of(whole)
    assert len(found["maps"]) == COUNT + 1 and whole.finished() == [0, 1, 2]
    ask = jax.jit(functools.partial(explain.discriminant, predicted=None))
    for row, name in enumerate(whole.image_paths()):
        if "broken" in name:
            continue
        alone = ask(NET, jnp.asarray(NET.preprocessing.apply(read_image(data / name)))[None])
        np.testing.assert_allclose(found["maps"][row], alone.maps[0], rtol=1e-4, atol=1e-6)
        assert found["predicted"][row] == alone.predicted[0] and found["counter"][row] == alone.counter[0]
        assert found["difficulty"][row] == pytest.approx(1 - float(alone.confidence[0]), abs=1e-5)


def test_a_broken_photo_keeps_its_row_and_says_why(whole):
    row = whole.image_paths().index("a/broken.jpg")
    found = columns_of(whole)
    assert np.flatnonzero(~found["explained"]).tolist() == [row]
    assert np.isnan(found["maps"][row]).all() and found["predicted"][row] == -1
    assert list(whole.problems()) == [row] and "broken.jpg is not an image" in whole.problems()[row]
    rows, maps = whole.column("maps")
    assert len(maps) == COUNT and row not in rows and np.isfinite(maps).all()


class Killed(Exception):
    pass


@pytest.mark.parametrize("at", [1, 12, 24])
def test_a_stopped_run_leaves_whole_shards_and_resumes_to_the_same_bits(data, whole, tmp_path, at):
    def stop(done, total):
        if done >= at:
            raise Killed

    with pytest.raises(Killed):
        run(data, tmp_path / "out", on_images=stop)
    before = stream.read(tmp_path / "out")
    written = {number: before.path(number).stat().st_mtime_ns for number in before.finished()}
    assert len(written) == max(at - 4, 0) // 10
    seen = []
    after = run(data, tmp_path / "out", on_images=lambda done, total: seen.append((done, total)))
    assert seen[0][0] > 10 * len(written) and seen[-1] == (COUNT + 1, COUNT + 1)
    assert {number: after.path(number).stat().st_mtime_ns for number in written} == written
    for number in range(whole.shards):
        for name, values in whole.shard(number).items():
            np.testing.assert_array_equal(after.shard(number)[name], values)


def test_a_finished_run_is_not_touched_again(data, whole):
    run(data, whole.root, on_images=lambda done, total: pytest.fail("there was nothing left to do"))


def test_parts_make_a_whole(data, whole, tmp_path):
    first = run(data, tmp_path / "parts", part=(0, 2))
    assert first.finished() == [0, 2]
    parts = columns_of(run(data, tmp_path / "parts", part=(1, 2)))
    for name, values in columns_of(whole).items():
        np.testing.assert_array_equal(parts[name], values)


def test_numbers_that_are_not_finite_are_a_problem_of_their_row_alone(data, whole, tmp_path):
    predicted = columns_of(whole)["predicted"]
    chosen = predicted[0]

    def fails_for_one_class(net, images):
        found = stream.discriminant(net, images)
        bad = found["predicted"] == chosen
        return found | {"maps": jnp.where(bad[:, None, None], jnp.nan, found["maps"])}

    folder = run(data, tmp_path / "out", fails_for_one_class)
    bad = np.flatnonzero(predicted == chosen)
    assert 0 < len(bad) < COUNT
    assert [row for row, problem in folder.problems().items() if problem == NOT_FINITE] == bad.tolist()


def test_out_of_memory_halves_the_batch_and_says_so(data, whole, tmp_path):
    tried = []

    def greedy_for_memory(net, images):
        tried.append(len(images))
        if len(images) > 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 byte")
        return stream.discriminant(net, images)

    with pytest.warns(UserWarning, match="going on with 2 images at once"):
        found = columns_of(run(data, tmp_path / "out", greedy_for_memory, batch_size=8))
    assert set(tried) == {8, 4, 2}
    np.testing.assert_allclose(found["maps"], columns_of(whole)["maps"], rtol=1e-4, atol=1e-6)

    def hopeless(net, images):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 byte")

    with pytest.warns(UserWarning), pytest.raises(InputError, match="out of memory with 1 images at once"):
        run(data, tmp_path / "hopeless", hopeless)


def test_an_error_of_another_kind_is_not_hidden(data, tmp_path):
    def fails(net, images):
        raise jax.errors.JaxRuntimeError("INTERNAL: a defect")

    with pytest.raises(jax.errors.JaxRuntimeError, match="a defect"):
        run(data, tmp_path / "out", fails)


def test_batches_are_with_the_device_before_the_first_result_is_fetched():
    taken = []
    blank = {"image": np.zeros((2, 16, 16, 3), np.uint8)}
    results = device.Devices(NET, stream.attributive, 2).answers(taken.append(k) or blank for k in range(9))
    next(results)
    assert taken == list(range(device.AHEAD + 1))


def test_deliberative_explanations_are_ranked_within_their_image(data, tmp_path):
    found = columns_of(run(data, tmp_path / "out", functools.partial(stream.deliberative, top=3)))
    there = found["explained"]
    assert found["maps"].shape[1] == found["pairs"].shape[1] == 3
    first = np.where(found["occurs"], found["strengths"], -np.inf)[there]
    assert (np.diff(first, axis=1)[np.isfinite(first[:, 1:])] <= 0).all()
    assert found["pairs"][there].max() < CLASSES


def noise(*classes, seed=0):
    F = np.random.default_rng(seed).uniform(size=(4 * len(classes), 4, 4, 8)).astype(np.float32)
    return F, np.repeat(classes, 4), jax.random.key(0)


@functools.cache
def tables(*classes, seed=0):
    found = part_tables.fit(*noise(*classes, seed=seed))
    return dataclasses.replace(found, clusterings=found.clusterings[::6])  # two compile faster than twelve


@functools.cache
def counterparts_of(*classes):
    return counterparts.fit(*noise(*classes))


ALL = range(CLASSES)


@pytest.mark.parametrize(
    ("answer", "ask"),
    [
        (lambda: stream.margin, explain.margin),
        (lambda: stream.standardised, explain.standardised),
        (
            lambda: functools.partial(stream.by_part_tables, tables=tables(*ALL)),
            lambda net, x, y, c: explain.by_part_tables(net, x, tables(*ALL), y, c),
        ),
        (
            lambda: functools.partial(stream.by_counterparts, fitted=counterparts_of(*ALL)),
            lambda net, x, y, c: explain.by_counterparts(net, x, counterparts_of(*ALL), y, c),
        ),
    ],
)
def test_by_another_rule_maps_are_the_cores_alone_and_beside_the_hesitation(data, whole, tmp_path, answer, ask):
    answer = answer()
    found = columns_of(run(data, tmp_path / "out", answer))
    both = columns_of(run(data, tmp_path / "both", functools.partial(stream.both, why_not=answer, top=3)))
    there = found["explained"]
    names = [name for name, explained in zip(whole.image_paths(), there) if explained]
    images = np.stack([NET.preprocessing.apply(read_image(data / name)) for name in names])
    expected = jax.jit(lambda x: ask(NET, x, None, None))(jnp.asarray(images))
    for columns in (found, both):
        np.testing.assert_allclose(columns["maps"][there], expected.maps, rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(columns["counter"][there], expected.counter)
    assert "known" not in found and both["pairs"].shape[1] == 3
    np.testing.assert_allclose(found["difficulty"], columns_of(whole)["difficulty"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("some", "needed"),
    [
        (lambda: functools.partial(stream.by_part_tables, tables=tables(0, 1, 2)), ("predicted", "counter")),
        (lambda: functools.partial(stream.by_counterparts, fitted=counterparts_of(0, 1, 2)), ("counter",)),
    ],
)
def test_photos_of_classes_that_were_not_compared_say_so(data, whole, tmp_path, some, needed):
    folder, expected = run(data, tmp_path / "out", some()), columns_of(whole)
    lacking = np.any([expected[name] > 2 for name in needed], axis=0) & expected["explained"]
    assert 0 < lacking.sum() < COUNT
    assert [row for row, problem in folder.problems().items() if problem == UNKNOWN] == np.flatnonzero(lacking).tolist()


def test_other_part_tables_are_another_run(data, tmp_path):
    run(data, tmp_path / "out", functools.partial(stream.by_part_tables, tables=tables(0, 1, 2)), part=(0, 9))
    with pytest.raises(InputError, match="holds another run, whose tables is"):
        run(data, tmp_path / "out", functools.partial(stream.by_part_tables, tables=tables(0, 1, 2, seed=1)))


def test_several_devices_share_the_batches(data, whole, tmp_path):
    """Costs about six seconds, to start Python with four devices."""
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import jax
from photographs import tiny_network
from galore import stream
assert jax.device_count() == 4
stream.run(tiny_network(), {str(data)!r}, {str(tmp_path / "out")!r}, stream.discriminant, batch_size=8, shard_size=10)
"""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    expected = columns_of(whole)
    for name, values in columns_of(stream.read(tmp_path / "out")).items():
        if np.issubdtype(values.dtype, np.floating):
            np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-6)
        else:
            np.testing.assert_array_equal(values, expected[name])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch of 0 images"),
        ({"shard_size": 0}, "shards of 0 images"),
        ({"part": (2, 2)}, "part 2 of 2"),
        ({"threads": -1}, "threads -1"),
    ],
)
def test_what_cannot_be_streamed_is_refused(data, tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        run(data, tmp_path / "out", **options)


@pytest.mark.robust("resuming")
def test_a_change_of_the_question_or_the_network_is_another_run(data, whole):
    with pytest.raises(InputError, match="whose counter is None and not 2"):
        run(data, whole.root, functools.partial(stream.discriminant, counter=2))
    with pytest.raises(InputError, match="whose dtype is float32 and not bfloat16"):
        stream.run(NET.astype(jnp.bfloat16), data, whole.root, stream.discriminant, batch_size=4, shard_size=10)
    assert NET.preprocessing is not None
    darker = dataclasses.replace(NET.preprocessing, mean=(0.4, 0.4, 0.4))
    prepared_otherwise = dataclasses.replace(NET, preprocessing=darker)
    with pytest.raises(InputError, match="holds another run, whose preprocessing is"):
        stream.run(prepared_otherwise, data, whole.root, stream.discriminant, batch_size=4, shard_size=10)


def test_photos_below_images_are_found_in_the_order_of_their_names(tmp_path):
    write_photos(tmp_path / "images", 4)
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "0.png").write_bytes(b"")
    (tmp_path / "images" / "notes.txt").write_text("no photo")
    assert photos.find(photos.folder_of(tmp_path)) == ["a/00.png", "a/02.png", "b/01.png", "b/03.png"]


def test_folders_without_photos_are_refused(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        photos.folder_of(tmp_path / "none")
    with pytest.raises(InputError, match="no photos"):
        photos.find(tmp_path)
    (tmp_path / "two\nlines.png").write_bytes(b"")
    with pytest.raises(InputError, match="line break"):
        photos.find(tmp_path)


SUFFIXES = (".jpg", ".jfif", ".JPEG", ".png", ".webp", ".tif", ".gif", ".avif", ".jp2", ".bmp", ".ppm", ".tga", ".qoi")
KIND_OF = {".jpg": "jpeg", ".jfif": "jpeg", ".JPEG": "jpeg", ".tif": "tiff", ".jp2": "jpeg 2000"}


@pytest.mark.robust("what is skipped")
def test_photos_of_every_format_are_found_also_without_a_telling_name(tmp_path):
    samples = image_files.samples()
    names = sorted([f"photo{suffix}" for suffix in SUFFIXES] + ["photo", "photo.backup"])
    for name in names:
        suffix = Path(name).suffix
        (tmp_path / name).write_bytes(samples[KIND_OF.get(suffix, suffix[1:] if suffix in SUFFIXES else "png")])
    assert photos.find(tmp_path) == names
    for name in names:
        assert read_image(tmp_path / name).shape[2] == 3


@pytest.mark.robust("what is skipped")
def test_what_is_left_out_is_counted_by_reason(tmp_path):
    write_photos(tmp_path, 2)
    for name in ("notes.txt", "table.csv", ".DS_Store"):
        (tmp_path / name).write_text("no photo")
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "none.png")
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    skipped = Counter()
    assert photos.find(tmp_path, skipped) == ["a/00.png", "b/01.png"]
    assert skipped == {photos.NO_IMAGE: 3, photos.NO_FILE: 5}
    assert photos.told(skipped) == "left out: 3 x no image, 5 x no regular file"


LINKS = {
    "to the folder itself": {"a/again": "."},
    "to its parent": {"up": ".."},
    "to the root of everything": {"a/all": "/"},
    "to each other": {"a/b": "b", "b/a": "a"},
    "many to the same": {f"same{k}": "a" for k in range(5)},
    "in a circle": {"one": "two", "two": "one"},
    "through another": {"a/first": "b/second", "b/second": "a"},
}


@pytest.mark.parametrize("links", LINKS.values(), ids=LINKS)
def test_links_lead_to_no_photo_twice(tmp_path, links):
    root = write_photos(tmp_path / "root", 4)
    for place, target in links.items():
        (root / place).symlink_to(os.path.join(root, target), target_is_directory=True)
    skipped = Counter()
    assert photos.find(root, skipped) == ["a/00.png", "a/02.png", "b/01.png", "b/03.png"]
    assert skipped.total() == len(links)


def test_links_to_photos_and_folders_elsewhere_are_followed(tmp_path):
    elsewhere = write_photos(tmp_path / "elsewhere", 3)
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked").symlink_to(elsewhere / "a", target_is_directory=True)
    (root / "whole").symlink_to(elsewhere, target_is_directory=True)
    (root / "one.png").symlink_to(elsewhere / "a" / "00.png")
    assert photos.find(root) == ["linked/00.png", "linked/02.png", "one.png", "whole/b/01.png"]


@pytest.mark.parametrize("kind", ["avif", "dds", "dds, compressed", "webp", "tiff", "jpeg 2000", "png", "gif"])
def test_no_damage_of_a_photo_ends_a_stream(tmp_path, kind):
    """Every way of damaging these files, by what the photos of a batch are made of: no device is needed for it."""
    whole, preprocessing = image_files.samples()[kind], NET.preprocessing
    for k in range(20):
        content = bytearray(whole)
        place = k * len(whole) // 20
        content[place : place + 8] = b"\xff" * 8
        (tmp_path / f"{k:02d}.jpg").write_bytes(content if k % 2 else content[: place + 4])
    source = photos.Photos(tmp_path, photos.find(tmp_path), np.arange(20), preprocessing)
    problems = [str(source[k]["problem"]) for k in range(20)]
    assert any(problems) and all(".jpg" in problem for problem in problems if problem)


def test_the_hash_is_of_the_bytes_that_were_decoded(tmp_path, monkeypatch):
    """Each photo is opened once: it cannot become another between its hash and its pixels."""
    kept = image_files.samples()["png"]
    (tmp_path / "whole.png").write_bytes(kept)
    (tmp_path / "damaged.png").write_bytes(kept[:100])
    opened, open_regular = [], foreign.open_regular

    def open_once(path, expected):
        opened.append(path)
        return open_regular(path, expected)

    monkeypatch.setattr(foreign, "open_regular", open_once)
    source = photos.Photos(tmp_path, ["whole.png", "damaged.png", "none.png"], np.arange(3), NET.preprocessing)
    found = [source[k] for k in range(3)]
    assert len(opened) == 3
    for one, content in zip(found, (kept, kept[:100])):
        assert one["sha256"].tobytes() == hashlib.sha256(content).digest()
    assert not found[2]["sha256"].any() and [bool(str(one["problem"])) for one in found] == [False, True, True]
    np.testing.assert_array_equal(photos.contents(tmp_path / "damaged.png"), found[1]["sha256"])
