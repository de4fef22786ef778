"""The guide to other models runs as printed."""

import guide

PAGE = guide.DOCS / "other_models.md"


def test_every_block_runs_in_order_and_prints_what_is_shown():
    guide.run(PAGE)


def test_the_table_of_layers_is_what_a_reader_sees_first():
    first = guide.blocks(PAGE)[0]
    assert "print(galore.layers(model, image))" in first.code
    assert first.printed is not None and first.printed.startswith("layer")
