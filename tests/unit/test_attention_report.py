"""The table and the picture of benchmarks/attention.py say what was measured."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from benchmarks.attention_report import MARK, Results, Series, picture, replace_table, table


@pytest.fixture
def results() -> Results:
    slow, fast, other = Series("baseline"), Series("v6"), Series("torch flash")
    for context, seconds in ((4096, 0.04), (8192, 0.16)):
        slow.add(context, seconds, 1e11 * (context / 4096) ** 2, 300 * 2**20)
        fast.add(context, seconds / 100, 1e11 * (context / 4096) ** 2, 300 * 2**20)
    other.add(8192, 0.0032, 4e11, None)
    return Results(
        "NVIDIA H200 (sm_90)",
        "2026-01-01",
        "prefill: heads 32",
        "",
        {4096: 1e3, 8192: 100.0},
        [slow, fast, other],
    )


def test_results_come_back_from_json(results: Results) -> None:
    assert Results.from_json(results.to_json()) == results


def test_the_table_has_times_rates_speedups_and_the_share_of_the_roofline(results: Results) -> None:
    rows = {
        line.split("|")[1].strip(" `"): line for line in table(results).splitlines() if line.startswith("| `")
    }
    assert "| 40 ms, 2.5, 1x | 160 ms, 2.5, 1x |" in rows["baseline"]
    assert "| 0.4 ms, 250, 100x | 1.6 ms, 250, 100x |" in rows["v6"]
    assert rows["v6"].endswith(
        "| 52.1% | 300 MiB |"
    )  # 100 operations a byte at 4.8 TB/s are a roof of 480 TFLOP/s
    assert "| - | 3.2 ms, 125, 50x |" in rows["torch flash"]
    assert rows["torch flash"].endswith("| 26.0% | - |")


def test_a_device_without_known_peaks_has_no_roofline(results: Results) -> None:
    results.device = "Another GPU"
    assert results.roof(4096) is None
    assert "%" not in table(results)


def test_the_table_takes_its_place_between_the_marks(results: Results) -> None:
    document = f"before\n{MARK[0]}\nold\n{MARK[1]}\nafter\n"
    new = replace_table(document, table(results))
    assert new.startswith("before\n")
    assert new.endswith(f"{MARK[1]}\nafter\n")
    assert "old" not in new
    assert replace_table(new, table(results)) == new
    with pytest.raises(ValueError, match="no lines"):
        replace_table("nothing", "")


def test_the_picture_has_a_point_for_every_time_and_rate(results: Results) -> None:
    root = ElementTree.fromstring(picture(results))
    circles = root.findall(".//{http://www.w3.org/2000/svg}circle")
    assert len(circles) == 2 * 5
    heights = [float(circle.attrib["cy"]) for circle in circles[:4]]
    assert heights[0] > heights[1] > 0  # a longer context takes longer: nearer to the top
    assert heights[2] > heights[0]  # 100 times faster: further down
    for name in ("baseline", "v6", "torch flash", "milliseconds", "TFLOP/s"):
        assert re.search(f">{re.escape(name)}<", picture(results))


def test_the_expected_time_grows_with_the_square(results: Results) -> None:
    assert results.series[0].expected_seconds(32768) == pytest.approx(0.16 * 16)
    assert Series("new").expected_seconds(32768) == 0.0
