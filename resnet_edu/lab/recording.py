"""Runs of the lab as files: recorded with its own engine in a headless Chromium, checked where they are read."""

import datetime
import hashlib
import json
import zlib
from pathlib import Path

from resnet_edu.lab.assets import FRONT, digits_data, engine_script, page_script

RECORDED = Path(__file__).parent / "recorded"
COMMAND = "python -m resnet_edu.lab"
# Modules of front/engine that a run's numbers depend on.
TRAINS = ("assembler", "plain", "kernels", "random", "layers", "heads", "net", "data", "sizes", "training")
DEFAULTS = {
    "depth": 56, "shortcut": "A", "normalization": "batch", "activation": "post", "learning_rate": 0.03, "seed": 1,
    "steps": 300, "width": 4, "batch_size": 32, "momentum": 0.9, "weight_decay": 0.0001, "test_every": 10,
    "switches": [],
}  # fmt: skip
CHOICES = {
    "depth": (8, 20, 32, 56, 110), "shortcut": ("A", "B", "C", "none"), "normalization": ("batch", "none"),
    "activation": ("post", "pre"),
}  # fmt: skip
NUMBERS = {  # lowest, highest, whole
    "learning_rate": (0.0001, 10, False), "momentum": (0, 0.999, False), "weight_decay": (0, 0.1, False),
    "seed": (0, 99999, True), "steps": (1, 100_000, True), "width": (4, 64, True), "batch_size": (1, 512, True),
    "test_every": (1, 100_000, True),
}  # fmt: skip
RUNS = {  # name of the file: what differs from the defaults
    f"{kind}-{depth}": {"depth": depth, "shortcut": shortcut}
    for depth in CHOICES["depth"]
    for kind, shortcut in (("residual", "A"), ("plain", "none"))
}


def check_config(config: dict) -> dict:
    """Return the full configuration that differs from the defaults in ``config``.

    Raises ``ValueError`` for an unknown key, or a value that the engine does not offer.
    """
    if unknown := sorted(config.keys() - DEFAULTS.keys()):
        raise ValueError(f"a run has no setting {unknown[0]!r}; it has {', '.join(DEFAULTS)}")
    for key, allowed in CHOICES.items():
        if key in config and config[key] not in allowed:
            raise ValueError(f"{key} must be one of {', '.join(map(repr, allowed))}, got {config[key]!r}")
    for key, (low, high, whole) in NUMBERS.items():
        value = config.get(key, low)
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not low <= value <= high:
            raise ValueError(f"{key} must be a {'whole ' * whole}number from {low:g} to {high:g}, got {value!r}")
    return {**DEFAULTS, **config}


def engine_version() -> str:
    """Return a short checksum of what trains: runs of equal versions, configurations and machines are equal."""
    text = "".join((FRONT / "engine" / f"{name}.mjs").read_text(encoding="utf-8") for name in TRAINS)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


_RECORD = """([config, digits, facts]) => {
  const training = engine.startTraining(config, engine.unpackDigits(digits));
  const frames = [];
  while (training.step < config.steps) frames.push(training.next());
  return page.packRecord({ config, frames }, { ...facts, device: `${facts.device}, ${training.net.kernels}` });
}"""


def record(config: dict, name: str, program: str | None = None) -> dict:
    """Train with the lab's engine in a headless Chromium and return the run as a run file's content.

    ``config`` lists what differs from the defaults (keys: ``resnet_edu.lab``), ``name`` names the run, ``program``
    is the browser (by default Playwright's own). Losses are kept to 1/1000 and errors to 1/100 of a percent at every
    step, gradient norms and responses at every fifth, on a logarithmic scale with steps of 15 %. Raises
    ``ValueError`` as ``check_config`` does, and Playwright's error if there is no browser.
    """
    config = check_config(config)
    from playwright.sync_api import sync_playwright

    import resnet_edu

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        facts = {
            "name": name,
            "source": "browser",
            "device": f"Chromium {browser.version.split('.')[0]} on {page.evaluate('navigator.platform')}",
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "command": COMMAND,
            "versions": {
                "resnet_edu": resnet_edu.__version__,
                "chromium": browser.version,
                "engine": engine_version(),
            },
        }
        exports = ("startTraining", "unpackDigits")
        page.add_script_tag(content=f"globalThis.engine = ({engine_script(exports)})()")
        page.add_script_tag(content=f"globalThis.page = ({page_script(('packRecord',))})()")
        made = page.evaluate(_RECORD, [config, digits_data(), facts])
        browser.close()
    return check_record(made)


def check_record(made: dict) -> dict:
    """Return a run file's content if its checksum is right.

    The checksum is the CRC-32 of the JSON text of everything else, without spaces. Raises ``ValueError`` otherwise.
    """
    rest = {key: value for key, value in made.items() if key != "crc32"}
    crc = f"{zlib.crc32(json.dumps(rest, separators=(',', ':')).encode()):08x}"
    if made.get("crc32") != crc:
        raise ValueError(
            f"run {made.get('name')!r} has the checksum {crc}, its file says {made.get('crc32')}: it was changed or "
            f"cut off; record it anew with: {COMMAND}"
        )
    return made


def load_records(*names: str) -> list[dict]:
    """Return the recorded runs ``names`` (all of them if none is named), checked.

    Raises ``ValueError`` for an unknown name or a wrong checksum.
    """
    if unknown := [name for name in names if name not in RUNS]:
        raise ValueError(f"there is no recorded run {unknown[0]!r}; recorded are {', '.join(RUNS)}")
    return [check_record(json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))) for name in names or RUNS]
