"""The helpers of the chapters on practice: what they select, what they draw, what they say without a network."""

import numpy as np
import pytest
import torch

from resnet_edu.figures import practice


def test_without_weights_in_the_cache_nothing_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: pytest.fail("a download was tried"))
    said = []
    assert practice.cached_network([("resnet50", "V2"), ("resnet18", "V1")], said.append) is None
    assert "pretrained('resnet50', 'V2')" in said[0] and "98 MB" in said[0]


@pytest.mark.parametrize(
    "figure",
    [
        practice.lines({"one": [1, 2], "two": [[3, 2], [4, 1]]}, "caption", "alt", floor={"floor": 0.5}),
        practice.lines({"one": [1, 2]}, "caption", "alt", x=[0, 9], log=True, marks=False),
        practice.bars({"one": [1, 2, 3], "two": [2, 2, 2]}, "caption", "alt"),
        practice.step_curves({"tuned": {30: [9, 8], 100: [5, 4]}}, {"pixels": [20, 22]}, "caption", "alt"),
        practice.label_curves({"method": {2: [30, 20], 10: [10, 12]}}, "caption", "alt"),
        practice.pictures({"title": np.zeros((4, 4, 3))}, "caption", "alt"),
    ],
)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_are_drawn_in_both_themes(figure, theme):
    assert figure.svg(theme).lstrip().startswith((b"<?xml", b"<svg"))
