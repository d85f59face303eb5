"""The frame of a page: names are text there, and nothing runs or is fetched but what it holds."""

import base64
import hashlib
import json
import re
import sys

import pytest

from harness.core.errors import EXIT_DEVICE, DeviceError
from harness.report.page import frame
from harness.report.page.frame import content_policy, environment, script_json

HOSTILE = (
    "</script><script>window.hit=1</script>",
    "<!--<script>",
    "]]>&lt;",
    "\u2028\u2029\u202e\x00",
    "{{7*7}}{% raw %}",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_json_in_a_script_ends_no_element_and_reads_back(text):
    drawn = str(script_json({text: [text]}))
    assert json.loads(drawn) == {text: [text]}
    assert re.search(r"[<>&\u2028\u2029\u202e\x00]", drawn) is None
    assert drawn.isascii()


def test_a_number_that_is_not_finite_is_null():
    assert str(script_json([float("nan"), float("inf"), 1.5])) == "[null,null,1.5]"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_template_prints_names_as_text(text):
    """Escaped, never drawn as a template again, and without signs that nobody sees."""
    drawn = environment().from_string('<a title="{{ name }}">{{ name }}</a>').render(name=text)
    inner = drawn.removeprefix('<a title="').removesuffix("</a>")
    assert not set(inner.replace('">', "", 1)) & {"<", '"'}
    assert "49" not in drawn
    assert drawn.isprintable()


def test_a_name_that_a_template_lacks_is_an_error():
    with pytest.raises(Exception, match="nothing"):
        environment().from_string("{{ nothing }}").render()


def test_the_policy_names_the_hash_of_each_element_and_no_way_out():
    words = content_policy(["a{}"], ["run()", "more()"])
    rules = dict(rule.split(" ", 1) for rule in words.split("; "))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in words
    assert "http" not in words
    digest = base64.b64encode(hashlib.sha256(b"run()").digest()).decode()
    assert f"'sha256-{digest}'" in rules["script-src"].split()
    assert len(rules["script-src"].split()) == 2


@pytest.mark.parametrize(
    ("module", "draw"), [("jinja2", "environment"), ("vl_convert", "libraries")]
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, module, draw):
    frame.environment.cache_clear()
    frame.chart_libraries.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    call = frame.environment if draw == "environment" else frame.chart_libraries
    with pytest.raises(DeviceError) as caught:
        call()
    assert caught.value.fix == "pip install 'ondevice-bench[report]'"
    assert caught.value.exit_code == EXIT_DEVICE


def test_a_script_with_ends_of_elements_in_its_strings_stands_in_one():
    drawn = frame._as_element('x = "</script><!--";\r\n')
    assert "</script" not in drawn
    assert "<!--" not in drawn
    assert "\r" not in drawn
