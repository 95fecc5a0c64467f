"""Record the lab's runs anew: ``python -m resnet_edu.lab`` (needs Playwright and a Chromium)."""

import argparse
import json

from resnet_edu.doctor import find_browser
from resnet_edu.lab.recording import RECORDED, RUNS, record

if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m resnet_edu.lab", description=__doc__.split(":")[0]).parse_args()
    RECORDED.mkdir(exist_ok=True)
    for name, config in RUNS.items():
        made = record(config, name, find_browser())
        (RECORDED / f"{name}.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {made['steps']} steps, {len(json.dumps(made)) / 1024:.1f} kB")
