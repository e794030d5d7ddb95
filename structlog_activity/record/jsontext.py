"""
JSON text, written by the C encoder without what comes before and after it.
"""

from __future__ import annotations

import json

from collections.abc import Callable
from json import encoder
from typing import Any


encode_text: Callable[[str], str] = encoder.encode_basestring
"""Write a text as JSON; it is in C where that is there."""

_OPTIONS: dict[str, Any] = {"ensure_ascii": False, "check_circular": False, "allow_nan": False}
_NO_EXTRAS = (False, False, False)  # Sorted keys, skipped keys, NaN.
_SAMPLE = {"a": [1, "\u00e4", None, 1.5, True], "b": {}}


def json_encoder(comma: str = ",", colon: str = ":") -> Callable[[Any], str]:
    """
    Return what writes plain values as JSON, and raises `ValueError` for NaN.

    `json.JSONEncoder.encode` makes a C encoder anew for each value, which costs
    as much as the encoding. Here one serves them all. It is no documented part
    of the standard library, so where it is missing or writes anything else, the
    documented way is taken.

    Args:

        comma: Stands between items; the default is compact.

        colon: Stands between a key and its value.
    """
    documented = json.JSONEncoder(separators=(comma, colon), **_OPTIONS).encode
    try:
        chunks = vars(encoder)["c_make_encoder"](
            None, _refuse, encoder.encode_basestring, None, colon, comma, *_NO_EXTRAS
        )
        if "".join(chunks(_SAMPLE, 0)) != documented(_SAMPLE):
            return documented
    except Exception:  # noqa: BLE001  Another Python's encoder, with other arguments.
        return documented

    def encode(value: Any) -> str:
        # More than one chunk where the value is large.
        return "".join(chunks(value, 0))

    return encode


def _refuse(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} is not plain")
