"""The lab as a live widget: the same front end, with this kernel as a source."""

import anywidget
import ipywidgets
import traitlets

from resnet_edu.datasets import Dataset, digits
from resnet_edu.lab.assets import bundle, style
from resnet_edu.lab.instruments import TWINS, Instrument, instrument
from resnet_edu.lab.kernel import KernelSource
from resnet_edu.lab.recording import check_config, load_records


class WithIsland:
    """A widget that also shows itself as HTML (``still``), so that a page or an export needs no kernel."""

    still: Instrument

    def _repr_mimebundle_(self, **options: object) -> tuple[dict, dict]:
        if hasattr(super(), "_repr_mimebundle_"):
            shown = super()._repr_mimebundle_(**options)
        else:  # a plain widget of ipywidgets 7
            view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
            shown = {"text/plain": type(self).__name__, "application/vnd.jupyter.widget-view+json": view}
        data, metadata = shown if isinstance(shown, tuple) else (shown, {})
        return {**data, "text/html": self.still._repr_html_()}, metadata

    if hasattr(ipywidgets.Widget, "_ipython_display_"):  # ipywidgets 7, which shows widgets its own way

        def _ipython_display_(self, **_: object) -> None:
            from IPython.display import display

            data, metadata = self._repr_mimebundle_()
            display(data, metadata=metadata, raw=True)


class Panel(WithIsland, ipywidgets.VBox):
    """Widgets below each other, and the instrument that stands for them in a page without a kernel."""

    def __init__(self, *children: ipywidgets.Widget, still: Instrument):
        super().__init__(children)
        self.still = still


class Lab(WithIsland, anywidget.AnyWidget):
    """Toggle shortcuts and watch a network train in this kernel, in the browser, or from a recording.

    * ``data``: any ``Dataset``, on the device that shall train (default: the bundled digits, on the CPU). The
      browser and the recordings always use the digits.
    * ``config``: what differs from the defaults; ``resnet_edu.lab`` lists the keys.
    * ``element``: the lab's name in the page's address, unique in the page.
    * ``shown``: the recorded runs drawn from the start. ``guess``: start in guess-first mode.

    A saved or published notebook shows the lab without its kernel. Where widget messages are blocked while a cell
    runs, ``run()`` trains in the foreground.

    Raises ``ValueError`` for an unknown setting or recording.
    """

    _esm = bundle("training")
    _css = style()

    id = traitlets.Unicode().tag(sync=True)
    config = traitlets.Dict().tag(sync=True)
    records = traitlets.List().tag(sync=True)
    shown = traitlets.List().tag(sync=True)
    guess = traitlets.Bool().tag(sync=True)
    kernel = traitlets.Bool(True).tag(sync=True)

    def __init__(
        self,
        data: Dataset | None = None,
        config: dict | None = None,
        *,
        element: str = "lab",
        shown: tuple[str, ...] = (),
        guess: bool = False,
    ):
        config = dict(config or {})
        self.source = KernelSource(data or digits(), check_config(config))
        self.still = instrument("training", id=element, config=config, shown=shown or TWINS, guess=guess)
        super().__init__(id=element, config=config, records=load_records(), shown=list(shown), guess=guess)
        self.on_msg(lambda _, request, __: self.send(self.source.answer(request)))

    def run(self, **config) -> list[dict]:
        """Train in the foreground and return the frames; interrupting the kernel keeps what was done."""
        return self.source.run(config)

    def close(self) -> None:
        """End the training thread and the widget."""
        self.source.close()
        super().close()
