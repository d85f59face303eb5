"""Colours are told apart on both backgrounds, with every common kind of colour vision."""

from itertools import combinations, pairwise
from math import gcd

import pytest

from harness.report.charts.themes import (
    DARK_BACKGROUND,
    LIGHT_BACKGROUND,
    PALETTE,
    SHAPES,
    dark_config,
    light_config,
)

# Machado et al. 2009, doi:10.1109/TVCG.2009.113: what is seen without one kind of cone, linear RGB.
VISIONS = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
# OKLab, https://bottosson.github.io/posts/oklab: equal distances look about alike.
TO_LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
LEAST_CONTRAST = 3.0
NEXT_TO_EACH_OTHER = 0.1  # in OKLab, of colours that stand beside each other in a legend
ALL = 0.06  # of any two: shapes tell them apart as well


def times(matrix, vector):
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def linear(color):
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]


def luminance(color):
    return sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), linear(color), strict=True))


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lab(color, vision):
    seen = [max(0.0, part) for part in times(VISIONS[vision], linear(color))]
    return times(TO_LAB, [part ** (1 / 3) for part in times(TO_LMS, seen)])


def distance(one, other, vision):
    first, second = lab(one, vision), lab(other, vision)
    return sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) ** 0.5


@pytest.mark.parametrize("background", [LIGHT_BACKGROUND, DARK_BACKGROUND])
@pytest.mark.parametrize("color", PALETTE)
def test_marks_stand_out_from_both_backgrounds(color, background):
    assert contrast(color, background) >= LEAST_CONTRAST


@pytest.mark.parametrize("vision", VISIONS)
def test_neighbours_of_the_palette_are_told_apart(vision):
    found = {(a, b): distance(a, b, vision) for a, b in pairwise(PALETTE)}
    assert min(found.values()) >= NEXT_TO_EACH_OTHER, found


@pytest.mark.parametrize("vision", VISIONS)
def test_the_first_four_colours_are_all_told_apart(vision):
    found = {(a, b): distance(a, b, vision) for a, b in combinations(PALETTE[:4], 2)}
    assert min(found.values()) >= NEXT_TO_EACH_OTHER, found


@pytest.mark.parametrize("vision", VISIONS)
def test_no_two_colours_look_alike(vision):
    found = {(a, b): distance(a, b, vision) for a, b in combinations(PALETTE, 2)}
    assert min(found.values()) >= ALL, found


def test_no_two_of_many_series_have_colour_and_shape_alike():
    assert gcd(len(PALETTE), len(SHAPES)) == 1


@pytest.mark.parametrize("config", [light_config, dark_config])
def test_text_can_be_read_on_the_background(config):
    found = config()
    background = found["background"]
    for color in (
        found["title"]["color"],
        found["title"]["subtitleColor"],
        found["axis"]["labelColor"],
        found["legend"]["labelColor"],
        found["text"]["color"],
    ):
        assert contrast(color, background) >= 4.5


def test_a_background_can_be_left_out():
    assert light_config(None)["background"] is None
