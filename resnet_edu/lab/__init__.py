"""The lab: switch shortcuts on and off and watch a network train.

One front end (``front/``) in storeys, arrows down only (``assets.py`` joins the files and refuses any other arrow):

* ``front/instruments/``: what a reader operates, one file each; ``instruments.py`` lists them with the figure that
  stands in their place without JavaScript. ``instrument("training")`` as a cell's last expression shows one.
* ``front/parts/``: what instruments are made of. ``ui.mjs`` is the only file that names the library for templates.
  ``session.mjs`` is a reader's runs, ``sources.mjs`` where their figures come from, ``mount.mjs`` how a page starts.
* ``front/engine/``: numbers alone, in a Worker of the page.
* ``front/vendor/``: the library, as published (``tools/vendor.py``).

A page loads the shared script (all parts) and one for each instrument on it; engine and digits come at the first use.
``widget.mjs`` mounts ``training`` in a notebook with its kernel behind it (``widget.Lab``).

Three *sources* of figures: the **browser** (the engine), a **recording** (``recorded/``, made by
``python -m resnet_edu.lab``) and the **kernel** (a training thread behind a Jupyter widget).

Configuration
-------------
The same keys in every source, in addresses and in run files:

====================  =========================================================================================
``depth``             6n+2 weighted layers: 8, 20, 32, 56, 110
``shortcut``          ``"none"``, ``"A"``, ``"B"``, ``"C"`` (He et al. 2015, section 3.3)
``normalization``     ``"batch"`` or ``"none"`` (convolutions then have a bias)
``activation``        ``"post"`` (He et al. 2015) or ``"pre"`` (He et al. 2016, Fig. 4e: the stem's ReLU is the first
                      block's first activation, a projection shares the block's activation and has no
                      normalisation, one normalisation and ReLU stand behind the last block)
``width``             channels of the first stage; 4 in the browser (a multiple of 4)
``learning_rate``, ``momentum``, ``weight_decay``, ``batch_size``
                      SGD as in He et al. 2015; the rate is constant; an incomplete last batch is dropped
``seed``              weights and order of the batches; twins with other shortcuts start from equal weights
``steps``             length of the run
``test_every``        steps between tests on the whole test set, in evaluation mode
``switches``          list of ``[step, block, connected]``: from the step after ``step`` on, block 1, 2 … has its
                      shortcut (1) or not (0). A block that ``"none"`` left without gets option A.
====================  =========================================================================================

Protocol
--------
The front end asks, the source answers; it never speaks first. One request is in flight. While a run goes on, the
front end polls ten times a second. In a notebook, requests and replies are custom messages of the widget
(``model.send(request)``, ``msg:custom``). Without an answer within six seconds a Worker counts as lost; a kernel may
be busy, so the reader is told, and the run goes on when the answer comes.

Every request is ``{"id": int, "kind": str, "since": int, …}``. Kinds:

========================================  ======================================================================
``start`` with ``config``, ``play``       make the network anew; train at once if ``play`` is true
``play``, ``pause``                       go on, hold before the next step
``step``                                  train one step while paused
``switch`` with ``block``, ``connected``  cut or restore a shortcut from the next step on; the source appends
                                          ``[steps done, block, connected]`` to ``switches``
``poll``                                  nothing but the answer
========================================  ======================================================================

Every reply is one object, JSON in a notebook (no binary buffers; a number that is not finite is ``null``)::

    {"id":       the request's id,
     "state":    "running" | "paused" | "done" | "failed",
     "message":  why it failed, for the reader, or null,
     "device":   what trains, for the reader ("Tesla T4", "WebAssembly SIMD"),
     "switches": the run's switches,
     "frames":   the frames behind the first ``since`` ones}

Frames are contiguous from step 1. A frame is what one step showed::

    {"step": 1, "loss": nats, "error": percent of the batch (both before the step's update),
     "test_loss": nats, "test_error": percent   # after the update; only every ``test_every`` steps and at the end
     "norms":     [norm of the gradient of each weighted layer's weights, input first, no projections],
     "responses": [standard deviation of each block's branch before the addition]}

``norms`` and ``responses`` may be missing from some frames (a sampled measurement).

Questions
---------
A Worker of the page (``engine/worker.mjs``; ``browserSource`` in ``parts/sources.mjs`` is the page's end of the line)
also answers questions about its network, between two steps, one after the other::

    {"id": 7, "kind": "ask", "question": "lesions", "settings": {"split": "test"}}
    {"id": 7, "progress": {"done": 1, "total": 9, "part": …}}   # any number of times
    {"id": 7, "value": …} | {"id": 7, "error": "for the reader"} | {"id": 7, "cancelled": true}
    {"id": 8, "kind": "cancel", "of": 7}                        # has no reply of its own

``engine/questions.mjs`` is the list; ``tests/browser/test_lab_questions.py`` asks PyTorch the same. Blocks count from
1; an ``image`` is a number of the digits or 64 numbers 0 … 16; ``split``, ``images`` (how many) and ``by_class`` (in
the order of their classes) choose what is evaluated; with
``fresh`` the statistics are taken anew for the measurement.

* ``open`` (``file``) and ``export`` (``facts``): a network in or out, as ``load_network`` and ``save_network`` do.
* ``describe``: settings, step, layers, blocks. ``keep``, ``restore``: remember everything, and put it back.
* ``set`` (``block`` or ``all``; ``branch``, ``shortcut``, ``connected``): factors and cuts. A branch of 0 is a lesion:
  it is not computed, the shortcut stays (``interventions.delete_blocks``). ``swap`` (``first``, ``second``): two blocks
  change places (``interventions.reorder_blocks``).
* ``recalibrate`` (``images``): statistics anew (``probes.recalibrate``). ``scale`` (``factor``): all filters.
  ``head`` (``seed``): a new linear layer.
* ``evaluate``, ``logits``; ``lesions``: the error with each branch off in turn. ``vote`` (``members``, ``seed``,
  ``spared``): sub-networks by a coin for each block, alone and by their averaged answers (``interventions.vote``).
* ``sizes`` (``images``, ``training``): activations, weights and their gradients, per layer and block.
  ``copy`` (``block``): its branch passes its input on.
* ``jacobian`` (``image``, ``from``, ``to``): of blocks, with its singular values (``probes.chain_jacobian``).
  ``spectra`` (``images``): those of every block and of their product (``probes.block_spectra``).
* ``lens`` (``image``): logits behind each block, with the later branches off. ``maps`` (``image``): feature maps.
* ``line``, ``surface`` (seeds, steps, ``normalization``): the loss along random directions, filter-normalised or raw
  (``landscape``).
* ``time`` (``blocks``, ``passes``): forward passes of single blocks, in milliseconds an image; needs no network.

A Worker's configuration has more keys, which a run may leave out: ``branch_gain`` (α) and ``shortcut_gain`` (λ) of all
blocks, ``weight_scale`` of all convolutions' first weights, ``last_scale`` of what ends each branch (0: each block
starts as its shortcut), ``identity_start`` (``networks.start_near_identity``), all five names that ``cifar_resnet`` has
for ``activation``, ``clip_norm`` (of the whole gradient, as ``TrainConfig.clip_norm``), ``frozen`` (prefixes of
parameter names, or ``"body"``; their statistics stand still unless ``moving_statistics``), ``head`` (``"new"``),
``data`` (``turn``, ``classes``, ``per_class``, ``seed``) and ``bug`` (``BUGS`` in ``net.mjs``: a fault of public code,
planted; such a network cannot be stored). With ``file``, ``start`` goes on from a stored network.
``task: "stack"`` trains ``blocks`` blocks of one width on a map, ``target`` ``"stay"`` or ``"move on"``, with a squared
error relative to the target's mean square. ``task: "chain"`` is not trained: ``depth`` convolutions without blocks, of
one width, on maps of ``size`` pixels a side, padded as ``border`` says (``"circular"``, ``"zeros"``); noise goes in,
and noise is the gradient at its end.

Asking the reader
-----------------
``predict``, ``measured`` and ``recall`` show the questions of ``questions/CHAPTER.toml`` (``questions.py`` reads and
checks them, ``asking.py`` makes what stands there without JavaScript). Answers stay on the reader's device
(``front/parts/answers.mjs``, under the questions' ids); ``book/your-progress.md`` shows them and asks again what was
missed. In a notebook ``predict`` is a widget (``widget.Question``), so that its ``values`` reach the kernel.

``training`` starts from these values: ``id`` (of the element, and in the page's address), ``config`` (what differs
from the defaults), ``records`` (run files), ``shown`` (names of the recorded runs drawn from the start), ``guess``
(start in guess-first mode), ``kernel`` (in a widget, true: there is one).
"""

from resnet_edu.lab.asking import measured, predict, recall
from resnet_edu.lab.assets import FRONT, bundle, digits_data, engine_script, page_scripts, style
from resnet_edu.lab.instruments import INSTRUMENTS, instrument
from resnet_edu.lab.recording import check_record, load_records, record

__all__ = [
    "FRONT",
    "INSTRUMENTS",
    "bundle",
    "check_record",
    "digits_data",
    "engine_script",
    "instrument",
    "load_network",
    "load_records",
    "measured",
    "page_scripts",
    "predict",
    "recall",
    "record",
    "save_network",
    "style",
]


def __getattr__(name: str) -> object:
    """Import what needs PyTorch only when it is asked for."""
    if name in ("load_network", "save_network"):
        from resnet_edu.lab import weights

        return getattr(weights, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
