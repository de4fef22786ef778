"""One page about all records: what it says, and what it draws."""

import dataclasses

import pytest
from invented_records import SETTING, of, rows

from galore import InputError, terminal
from galore.benchmark import page, record, report

SECONDS = [[1.0, 2.0], [2.0, 3.0], [4.0, 4.0]]


def folder(tmp_path, **records):
    for name, one in records.items():
        record.save(one, tmp_path / f"{name}.json")
    return tmp_path


def test_a_page_shows_every_setting_and_its_figures(tmp_path):
    scaled = [
        dataclasses.replace(row, setting=dataclasses.replace(SETTING, scaling="weak", devices=k))
        for k in (1, 2)
        for row in rows(SECONDS)
    ]
    path = page.draw(folder(tmp_path, one=of(rows(SECONDS)), two=of(scaled, peak=None)))
    text = path.read_text()
    assert "## one" in text and "## two" in text and "weak scaling" in text
    assert "| forward | 2 s | 1.1 s - 3.8 s | 4 | 1 | 2 | 3 | 1 |" in text
    for figure in ("roofline", "scaling", "first_result"):
        assert f"({figure}.svg)" in text and (tmp_path / f"{figure}.svg").stat().st_size > 5000


def test_a_page_without_an_accelerator_says_so_and_one_with_does_not(tmp_path):
    cpu = dataclasses.replace(SETTING, device="cpu")
    assert "No accelerator has been measured yet" in page.draw(folder(tmp_path, a=of(rows(SECONDS, cpu)))).read_text()
    text = page.draw(folder(tmp_path, b=of(rows(SECONDS)))).read_text()
    assert "No accelerator" not in text


def test_failures_and_foreign_names_are_shown_as_text(tmp_path):
    odd = dataclasses.replace(SETTING, network="<b>|`")
    failed = dataclasses.replace(rows(SECONDS, odd)[0], status="out of memory", reason="no *room* | left")
    text = page.draw(folder(tmp_path, a=of([failed, *rows(SECONDS, odd)]))).read_text()
    assert "out of memory: no \\*room\\* \\| left" in text and "\\<b\\>\\|\\`" in text


def test_a_record_in_which_nothing_was_measured_draws_no_empty_figure(tmp_path):
    (tmp_path / "roofline.svg").write_text("of yesterday")
    failed = [dataclasses.replace(row, status="failed", flops_per_s=None, trace_s=None) for row in rows(SECONDS)]
    text = page.draw(folder(tmp_path, a=of(failed))).read_text()
    assert "svg" not in text and not (tmp_path / "roofline.svg").exists()


def test_a_folder_without_records_is_refused(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="expected a folder with records"):
            page.draw(place)


def test_where_torch_was_timed_a_column_compares_with_its_compiler(tmp_path):
    names = ("forward", "discriminant", "torch compiled: forward")
    found = rows([[1.0, 2.0, 4.0], [2.0, 3.0, 1.0], [4.0, 4.0, 2.0]], names=names)
    assert [record.ratio_of(row, found, names[2]) for row in found] == [2, 2, 1]
    assert "of compiled torch" in page.draw(folder(tmp_path, a=of(found))).read_text()
    assert record.ratio_of(found[0], found[:2], names[2]) is None
    printed = terminal.console()
    printed.width = 200
    with printed.capture() as shown:
        printed.print(report.table(found))
    assert "/ torch" in shown.get()
