"""Text can be read by day and by night."""

from __future__ import annotations

import re

import pytest

from examples.dashboard.app import HERE


PAIRS = [
    ("text", "page"),
    ("text", "card"),
    ("text", "raised"),
    ("soft", "page"),
    ("soft", "card"),
    ("soft", "raised"),
    ("accent", "page"),
    ("accent", "card"),
    ("accent", "accent-soft"),
    ("on-accent", "accent"),
    ("bad", "card"),
    ("bad", "bad-soft"),
    ("good", "card"),
]


def palettes() -> dict[str, dict[str, str]]:
    blocks = re.findall(r":root \{(.*?)\}", (HERE / "static/dashboard.css").read_text(), re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks[:2])
    return {"light": light, "dark": light | dark}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("front", "back"), PAIRS)
def test_text_stands_out_from_what_is_behind_it(scheme: str, front: str, back: str) -> None:
    colours = palettes()[scheme]
    dark, light = sorted(luminance(colours[name]) for name in (front, back))

    assert (light + 0.05) / (dark + 0.05) >= 4.5
