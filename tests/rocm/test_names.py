"""The recorded list of names is what the hiprtc at hand knows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rocm import names


@pytest.mark.usefixtures("hiprtc")
def test_the_recorded_names_are_hiprtcs() -> None:
    version = names.hip_version()
    if version not in names.LIST.read_text().splitlines()[0]:
        pytest.skip(f"the list was recorded with another release than {version}: tests/rocm/README.md")
    asked: dict[str, Any] = names.ask_hiprtc()
    assert asked == names.recorded()
