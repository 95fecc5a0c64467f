"""The lab in a static page: a figure for those without JavaScript, and the data from which the script starts."""

import base64
import html
import json

from resnet_edu.lab.recording import check_config, load_records


def _errors(text: str) -> list[float]:
    """Unpack errors, 16-bit numbers in hundredths of a percent (``packNumbers`` in ``record.mjs``)."""
    import numpy as np

    words = np.frombuffer(base64.b64decode(text), dtype="<u2")
    return np.where(words == 65535, np.nan, words / 100).tolist()


def figure(records: list[dict]):
    """Return the test error of recorded runs over the steps, as a ``resnet_edu.figures.Figure``."""
    from resnet_edu.figures import Figure, style_of

    curves = [(made, made["tested_steps"], _errors(made["test_error"])) for made in records]

    def draw(canvas, ink):
        axes = canvas.subplots()
        for made, steps, errors in curves:
            config = made["config"]
            axes.plot(steps, errors, marker=".", **style_of(config["shortcut"]))
            kind = "plain" if config["shortcut"] == "none" else "residual"
            axes.annotate(
                f"{kind}-{config['depth']}", (steps[-1], errors[-1]), xytext=(6, 0), textcoords="offset points",
                va="center", annotation_clip=False,
            )  # fmt: skip
        axes.set(xlabel="step", ylabel="test error (%)", ylim=(0, 100))

    ends = " and ".join(
        f"{errors[-1]:.0f} % {'without' if made['config']['shortcut'] == 'none' else 'with'} shortcuts"
        for made, _, errors in curves
    )
    made = records[0]
    caption = (
        f"Two networks of {made['config']['depth']} layers learn to read digits: the test error after "
        f"{made['steps']} steps is {ends} (recorded {made['date'][:10]}, {made['device']}, seed "
        f"{made['config']['seed']}). With JavaScript, this figure is a lab that trains such networks in the page."
    )
    return Figure(draw, caption, f"Test error against training step: at the end it is {ends}.")


def island(
    element: str = "lab",
    config: dict | None = None,
    shown: tuple[str, ...] = ("plain-56", "residual-56"),
    guess: bool = False,
) -> str:
    """Return the lab as HTML for a page that loads the classic bundle and the digits.

    ``element`` is the id, unique in the page; ``config`` lists what differs from the defaults; ``shown`` names the
    recorded runs that are drawn from the start (they also make the figure without JavaScript); ``guess`` starts in
    guess-first mode. Raises ``ValueError`` for an unknown setting or recording, or if no recording is named.
    """
    check_config(config or {})
    if not shown:
        raise ValueError("shown must name at least one recorded run: the figure without JavaScript is drawn from it")
    picture = figure(load_records(*shown))._repr_html_()
    data = {"id": element, "config": config or {}, "records": load_records(), "shown": list(shown), "guess": guess}
    return (
        f'<div class="resnet-lab" id="{html.escape(element, quote=True)}">'
        f'<div class="resnet-lab-figure">{picture}</div>'
        f"{data_script(data)}</div>"
    )


def data_script(data: dict) -> str:
    """Return ``data`` as a script element that a page's script reads; nothing in it can end the element."""
    text = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    return f'<script type="application/json">{text}</script>'
