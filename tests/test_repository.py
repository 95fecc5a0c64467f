"""The repository as a maintainer and an installer meet it."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import venv

import pytest
from conftest import ROOT

import resnet_edu

# What Colab preinstalls (backend of autumn 2026), as far as the package asks for it.
COLAB = {
    "torch": "2.11.0", "torchvision": "0.26.0", "numpy": "2.0.2", "matplotlib": "3.10.0", "scikit-learn": "1.6.1",
    "joblib": "1.5.1", "tqdm": "4.67.1", "filelock": "3.20.0",
    "safetensors": "0.4.2",  # comes with its transformers; any version serves
    "ipywidgets": "7.7.1", "anywidget": "0.9.21",
    "markdown-it-py": "3.0.0",  # comes with its rich; any version from 3 on serves
}  # fmt: skip


def test_installing_where_colabs_versions_are_moves_nothing(tmp_path):
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "colab", with_pip=False)
    (site,) = (tmp_path / "colab").glob("lib/python*/site-packages")
    for name, version in COLAB.items():
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    python = tmp_path / "colab" / "bin" / "python"
    command = ["-m", "pip", "--python", python, "install", "--dry-run", "--no-index", "--quiet", "--report", "-", wheel]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [item["metadata"]["name"] for item in json.loads(done.stdout)["install"]] == ["resnet-edu"]


def test_requirements_are_exact_and_name_no_index():
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.match(r"[A-Za-z0-9_.-]+(\[[a-z,]+\])?==\S+", line) for line in lines)
    assert {"d2l==0.17.0", "jupyter-book==1.0.4.post1"} <= {line.split(" ")[0] for line in lines}


def test_continuous_integration_takes_the_same_versions_by_hash():
    exact = {line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")}
    locked = (ROOT / ".ci" / "requirements-hashes.txt").read_text()
    entries = re.findall(r"^(\S+==.*?)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", locked, re.MULTILINE)
    assert {version for version, _ in entries} == exact
    assert "LOCKED=1" in (ROOT / ".github" / "workflows" / "test.yml").read_text() and "://" not in locked


def test_importing_the_package_stays_light():
    heavy = ("sklearn", "matplotlib", "ipywidgets", "IPython")
    code = f"import sys, resnet_edu.networks, resnet_edu.datasets; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
    assert resnet_edu.__version__ in (ROOT / "pyproject.toml").read_text()


def test_vendored_files_are_the_ones_in_the_manifest():
    import vendor

    assert vendor.check() == []


def test_a_changed_vendored_file_is_noticed(tmp_path, monkeypatch):
    import vendor

    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"files": {"a.js": "0", "b.js": "0"}}))
    (tmp_path / "a.js").write_text("changed")
    monkeypatch.setattr(vendor, "VENDOR", tmp_path)
    monkeypatch.setattr(vendor, "FRONT", tmp_path / "none")
    monkeypatch.setattr(vendor, "MANIFEST", manifest)
    assert vendor.check() == ["a.js: changed", "b.js: missing"]


def test_the_server_explains_an_occupied_port_and_a_wrong_one():
    import serve

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SystemExit, match="cannot be used .* leave it out to get a free one"):
            serve.open_server(taken.getsockname()[1])
    with pytest.raises(SystemExit, match="the port must be a number from 0 to 65535, got 'http'"):
        serve.main(["http"])


def test_a_missing_kernel_is_explained(monkeypatch):
    import build_book

    monkeypatch.setattr(build_book.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="ipykernel is missing.*make venv"):
        build_book.check_kernel()


def test_a_missing_browser_is_explained(monkeypatch):
    import get_browser

    monkeypatch.setattr(get_browser, "find", lambda: None)
    monkeypatch.setattr(get_browser, "install", lambda: None)
    with pytest.raises(SystemExit, match="install Chromium or Chrome by hand"):
        get_browser.main()


def test_the_browser_that_tests_fastest_comes_first(monkeypatch):
    from resnet_edu import doctor

    there = {"chromium", "chromium-headless-shell"}
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}" if name in there else None)
    assert doctor.find_browser() == "/usr/bin/chromium-headless-shell"
    there.remove("chromium-headless-shell")
    assert doctor.find_browser() == "/usr/bin/chromium"


@pytest.mark.parametrize(("debian", "works"), [(True, True), (True, False), (False, False)])
@pytest.mark.parametrize("other", [None, "/usr/bin/chromium"])
def test_a_browser_is_installed_where_the_fast_one_is_missing(monkeypatch, capsys, debian, works, other):
    import get_browser

    there, asked = [other], []

    def install_by_apt(name):
        asked.append(name)
        if works:
            there[0] = f"/usr/bin/{name}"
        return works

    def run(command, check):
        asked.append(command[-2:])
        there[0] = "its own"

    monkeypatch.setattr(get_browser, "find", lambda: there[0])
    monkeypatch.setattr(get_browser, "is_debian", lambda: debian)
    monkeypatch.setattr(get_browser, "install_by_apt", install_by_apt)
    monkeypatch.setattr(get_browser.subprocess, "run", run)
    monkeypatch.setattr(get_browser.shutil, "which", lambda name: None)
    monkeypatch.setattr(get_browser.sys, "argv", ["get_browser.py"])
    get_browser.main()
    said = capsys.readouterr().out
    assert asked == ["chromium-headless-shell"] * debian + [["install", "chromium"]] * (not works and not other)
    assert said.endswith(f"browser: {'/usr/bin/chromium-headless-shell' if works else other or 'its own'}\n")
    assert ("take longer with /usr/bin/chromium" in said) == (debian and not works and other is not None)


WHICH_WORKER = """
import os, pytest
@pytest.mark.parametrize("number", range(9))
def test(number):
    with open(__file__ + ".txt", "a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], file=file)
"""


def test_a_modules_tests_share_a_worker(tmp_path):
    """Else its fixtures are made twice; pytest 9.2 took this from marked groups, in silence (pytest-xdist #1386)."""
    (options,) = re.findall(r"-m pytest (.* -n .*)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    names = ["test_one.py", "test_two.py", "test_three.py"]
    for name in names:
        (tmp_path / name).write_text(WHICH_WORKER)
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", ".", *shlex.split(options)]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    subprocess.run(command, cwd=tmp_path, env=alone, check=True, stdout=subprocess.DEVNULL)
    workers = {name: (tmp_path / f"{name}.txt").read_text().split() for name in names}
    assert [len(workers[name]) for name in names] == [9, 9, 9]
    assert [len(set(workers[name])) for name in names] == [1, 1, 1]
