"""Charts as pictures, as vl-convert draws them."""

import json
import sys
import xml.etree.ElementTree as ET

import pytest

from harness.core.errors import DeviceError
from harness.report.charts.images import draw_svg, pictured, pictures, png_of
from tests.report.charts.drawn import charts, of, walk
from tests.report.charts.test_charts import CODE, MARK, hostile_document

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    """Every text of a picture."""
    return ["".join(one.itertext()) for one in ET.fromstring(svg).iter(f"{SVG}text")]


def test_a_picture_has_its_words_and_its_levels():
    svg = draw_svg(charts("reference/default")["rates"])
    found = texts(svg)
    assert {"fp32", "int4"} <= set(found)
    assert any("Decoding by level, tok/s" in text for text in found)
    assert any(text.startswith("smollm2-135m · 134,515,008 parameters") for text in found)


def test_dark_and_light_differ_in_colours_alone():
    chart = charts("reference/default")["rates"]
    light, dark = draw_svg(chart), draw_svg(chart, dark=True)
    assert light != dark
    assert texts(light) == texts(dark)


def test_a_png_is_twice_as_wide_as_the_drawing():
    svg = draw_svg(charts("reference/default")["rates"])
    png = png_of(svg)
    assert png.startswith(b"\x89PNG")
    width = float(ET.fromstring(svg).get("width"))
    assert int.from_bytes(png[16:20], "big") == pytest.approx(2 * width, abs=2)


def test_hostile_names_stay_text():
    """No element of a picture comes from a name, and no expression of Vega holds one."""
    import vl_convert

    found = of(hostile_document())
    for chart in [found["rates"], *(found[name] for name in found if name.startswith("sweep-s"))]:
        svg = draw_svg(chart)
        kinds = {element.tag.removeprefix(SVG) for element in ET.fromstring(svg).iter()}
        assert kinds <= {"svg", "g", "path", "text", "rect", "line", "defs", "clipPath", "tspan"}
        vega = vl_convert.vegalite_to_vega(pictured(chart))
        for key, value in walk(vega):
            if key in CODE and not isinstance(value, dict | list):
                assert MARK not in json.dumps(value), (chart.name, key)


def test_without_the_library_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(DeviceError, match="vl-convert-python") as error:
        list(pictures(list(charts("reference/default").values())))
    assert error.value.fix == "pip install 'ondevice-bench[report]'"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["reference/kv-smollm2-135m", "reference/sweep-bytelm", "validation/first"]
)
def test_every_chart_is_drawn(name):
    for chart in charts(name).values():
        found = texts(draw_svg(chart))
        assert chart.title.split()[0] in " ".join(found)
        assert not {"NaN", "undefined", "null"} & set(found)
