"""What has a kernel behind it in a notebook: the lab, and the question whose guess later cells read."""

from collections.abc import Callable
from typing import ClassVar

import anywidget
import ipywidgets
import traitlets

from resnet_edu.datasets import Dataset, best_device, cifar10, digits, fashion_mnist
from resnet_edu.lab import questions
from resnet_edu.lab.assets import bundle, style
from resnet_edu.lab.instruments import TWINS, Instrument, instrument
from resnet_edu.lab.kernel import Frames, KernelSource
from resnet_edu.lab.recording import check_config, load_records


class WithIsland:
    """A widget behind an HTML output (``still``), so that a page, a saved notebook or an export needs no kernel.

    Two outputs, since a notebook that is opened again shows an error in place of a widget without its kernel, whatever
    else the output offers. The instrument waits for the widget, and takes the place of one that does not come
    (``standIn`` in ``front/parts/mount.mjs``); the built book shows HTML alone.
    """

    still: Instrument

    def _ipython_display_(self, **_: object) -> None:
        from IPython.display import display

        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        name = type(self).__name__
        display({"text/plain": name, "text/html": self.still.behind_widget()._repr_html_()}, raw=True)
        widget = {"text/plain": name, "text/html": "", "application/vnd.jupyter.widget-view+json": view}
        display(widget, raw=True)


class Panel(WithIsland, ipywidgets.VBox):
    """Widgets below each other, and the instrument that stands for them in a page without a kernel."""

    def __init__(self, *children: ipywidgets.Widget, still: Instrument):
        super().__init__(children)
        self.still = still


class Lab(WithIsland, anywidget.AnyWidget):
    """Toggle shortcuts and watch a network train in this kernel, in the browser, or from a recording.

    * ``data``: any ``Dataset``, on the device that shall train, or several by name (``{"digits": digits(), "mine":
      …}``; a function in place of one is called when it is chosen). By default the bundled digits, Fashion-MNIST and
      CIFAR-10; the latter two are fetched when they are chosen. The browser and the recordings use the digits.
    * ``config``: what differs from the defaults; ``resnet_edu.lab`` lists the keys.
    * ``element``: the lab's name; a lab of the same name that ran before in this kernel is closed.
    * ``shown``: the recorded runs drawn from the start. ``guess``: start in guess-first mode.

    A saved or published notebook shows the lab without its kernel. Where widget messages are blocked while a cell
    runs, ``run()`` trains in the foreground.

    Raises ``ValueError`` for an unknown setting or recording, ``TypeError`` for anything that is no data set.
    """

    _esm = bundle("training")
    _css = style()

    id = traitlets.Unicode().tag(sync=True)
    config = traitlets.Dict().tag(sync=True)
    records = traitlets.List().tag(sync=True)
    shown = traitlets.List().tag(sync=True)
    guess = traitlets.Bool().tag(sync=True)
    kernel = traitlets.Bool(True).tag(sync=True)
    datasets = traitlets.List().tag(sync=True)

    source: KernelSource | None = None
    _open: ClassVar[dict[str, "Lab"]] = {}

    def __init__(
        self,
        data: Dataset | dict[str, Dataset | Callable[[], Dataset]] | None = None,
        config: dict | None = None,
        *,
        element: str = "lab",
        shown: tuple[str, ...] = (),
        guess: bool = False,
    ):
        config = dict(config or {})
        full = check_config(config)
        choices = _choices(data)
        self.still = instrument("training", id=element, config=config, shown=shown or TWINS, guess=guess)
        if before := self._open.pop(element, None):
            before.close()
        self.source = KernelSource(choices, full)
        self._open[element] = self
        super().__init__(
            id=element, config=config, records=load_records(), shown=list(shown), guess=guess, datasets=list(choices)
        )
        self.on_msg(lambda _, request, __: self.send(self.source.answer(request)))

    def run(self, **config) -> Frames:
        """Train in the foreground and return the frames; interrupting the kernel keeps what was done."""
        return self.source.run(config)

    def close(self) -> None:
        """End the training thread and the widget."""
        if self.source is not None:
            self.source.close()
        super().close()


class Question(WithIsland, anywidget.AnyWidget):
    """A chapter's question for a guess; ``resnet_edu.lab.predict`` makes it.

    * ``given``: what the reader committed, by the keys of the items; empty before.
    * ``values``: the same, with the values from which the sliders start where nothing was given (``None`` for a
      choice of words).
    """

    _esm = bundle(entry="question")
    _css = style()

    data = traitlets.Dict().tag(sync=True)
    given = traitlets.Dict().tag(sync=True)

    asked: ClassVar[dict[str, "Question"]] = {}  # by chapter: ``measured`` looks here for the guess

    def __init__(self, chapter: str):
        self.still = instrument("predict", chapter=chapter)
        self._items = questions.read(chapter).predict.item
        if before := self.asked.pop(chapter, None):
            before.close()
        super().__init__(data=self.still.data)
        self.asked[chapter] = self

    @property
    def values(self) -> dict[str, float | str | None]:
        """The reader's guess by the keys of the items."""
        return {item.key: self.given.get(item.key, item.start) for item in self._items}


def _choices(data: object) -> dict[str, Dataset | Callable[[], Dataset]]:
    """Return the data sets that a lab offers, by name. Raises ``TypeError`` for anything else."""
    if data is None:
        device = best_device()
        return {
            "digits": digits(),
            "Fashion-MNIST": lambda: fashion_mnist().to(device),
            "CIFAR-10": lambda: cifar10().to(device),
        }
    if isinstance(data, Dataset):
        return {data.name: data}
    if isinstance(data, dict) and data and all(isinstance(one, Dataset) or callable(one) for one in data.values()):
        return data
    hint = f"; for a network of {data} layers: Lab(config={{'depth': {data}}})" if isinstance(data, int) else ""
    raise TypeError(
        f"data must be a Dataset such as resnet_edu.datasets.digits(), or several by name, got {data!r}{hint}"
    )
