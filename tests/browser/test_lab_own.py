"""The reader's own networks: kept in the browser, opened on other pages, taken to PyTorch and back."""

import json

import pytest
import torch
from lab_page import SHORT, faults, island, open_lab, static, summary, train  # noqa: F401

from resnet_edu import lab
from resnet_edu.training import evaluate

LINES = ".rl-own li"


def unfold(page):
    page.get_by_text("Your networks", exact=True).click()


def names(page):
    return page.locator(f"{LINES} .rl-run-name").all_inner_texts()


def said(page, words):
    page.wait_for_function("(words) => document.querySelector('.rl-message').textContent.includes(words)", arg=words)


def message(page):
    return page.locator(".rl-message").inner_text()


def test_a_trained_network_is_there_on_another_page_and_after_a_reload(open_lab):
    first = open_lab(island(config=SHORT))
    train(first, 60)
    unfold(first)
    first.locator(LINES).wait_for()
    result = summary(first).split("Trained")[0]
    other = open_lab(lab.instrument("race", config=SHORT), name="other.html", keep=first)
    other.reload()
    unfold(other)
    other.get_by_role("button", name="Open: 8 layers, shortcuts A, seed 1").click()
    other.wait_for_function("document.querySelector('.rl-summary').textContent.includes('Your network')")
    assert summary(other).split("Your network")[0] == result
    other.get_by_role("button", name="Train on from these weights").click()
    other.wait_for_function("document.querySelector('.rl-summary').textContent.includes('Trained in')")
    assert "from the weights of your network" in summary(other)
    assert float(summary(other).split("test error ")[1].split(" %")[0]) < float(
        result.split("test error ")[1].split(" %")[0]
    )


def test_both_twins_of_a_race_are_kept(open_lab):
    page = open_lab(lab.instrument("race", config=SHORT))
    train(page, 60)
    unfold(page)
    page.wait_for_function("document.querySelectorAll('.rl-own li').length === 2")
    assert sorted(names(page)) == ["8 layers, no shortcuts, seed 1", "8 layers, shortcuts A, seed 1"]


def test_name_export_delete_and_import(open_lab, tmp_path, digits):
    page = open_lab(island(config=SHORT))
    train(page, 60)
    unfold(page)
    page.get_by_role("button", name="Name anew").click()
    page.get_by_label("New name").fill("Mine <b>")
    page.get_by_label("New name").press("Enter")
    page.wait_for_function("document.querySelector('.rl-own .rl-run-name')?.textContent === 'Mine <b>'")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    assert download.value.suggested_filename == "Mine-b-.safetensors"
    file = tmp_path / "mine.safetensors"
    download.value.save_as(file)
    network = lab.load_network(file)
    assert network.lab["name"] == "Mine <b>" and network.lab["config"]["depth"] == 8
    shown = float(summary(page).split("test error ")[1].split(" %")[0])
    assert evaluate(network, digits, digits.test)[1] == pytest.approx(shown, abs=0.06)  # the page rounds to a tenth

    page.get_by_role("button", name="Delete: Mine").click()
    page.wait_for_function("!document.querySelector('.rl-own li')")
    page.set_input_files("input[type=file]", file)
    page.locator(LINES).wait_for()
    assert names(page) == ["Mine <b>"]


def test_a_network_of_pytorch_is_opened_in_the_page(open_lab, tmp_path):
    torch.manual_seed(0)
    from resnet_edu.networks import cifar_resnet

    file = tmp_path / "from-python.safetensors"
    lab.save_network(cifar_resnet(20, shortcut="A", width=4, in_channels=1), file, name="From Python")
    page = open_lab(island(config=SHORT))
    unfold(page)
    page.set_input_files("input[type=file]", file)
    page.get_by_role("button", name="Open: From Python").click()
    page.wait_for_function("document.querySelector('.rl-summary').textContent.includes('its file holds no curves')")
    assert page.locator(".rl-block").count() == 9
    page.get_by_role("button", name="Train on from these weights").click()
    page.wait_for_function("parseInt(document.querySelector('.rl-at').textContent) > 5")


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 40, b"\x10\0\0\0\0\0\0\0{\"a\": \"<b>\"}    ", b'{"format": "resnet-edu run 1"}'],
    ids=["empty", "noise", "header", "json"],
)  # fmt: skip
def test_a_hostile_file_shows_a_message(open_lab, tmp_path, content):
    file = tmp_path / "odd.safetensors"
    file.write_bytes(content)
    page = open_lab(island(config=SHORT))
    unfold(page)
    page.set_input_files("input[type=file]", file)
    said(page, "“odd.safetensors” cannot be opened")
    assert page.locator(LINES).count() == 0
    train(page, 60)


@pytest.mark.parametrize(
    "change", [{"steps": 1e9 + 0.5}, {"switches": "<b>"}, {"switches": [[1, 2]]}, {"depth": "<b>"}]
)
def test_a_network_with_hostile_settings_shows_a_message(open_lab, tmp_path, change):
    from resnet_edu.networks import cifar_resnet

    file = tmp_path / "odd.safetensors"
    lab.save_network(cifar_resnet(8, shortcut="A", width=4, in_channels=1), file, name="Odd")
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    facts = json.loads(header["__metadata__"]["resnet_edu"])
    header["__metadata__"]["resnet_edu"] = json.dumps(facts | {"config": facts["config"] | change})
    changed = json.dumps(header).encode()
    changed += b" " * (-len(changed) % 8)
    file.write_bytes(len(changed).to_bytes(8, "little") + changed + data[8 + length :])
    page = open_lab(island(config=SHORT))
    unfold(page)
    page.set_input_files("input[type=file]", file)
    page.wait_for_function("document.querySelector('.rl-own li, .rl-message:not([hidden])')")
    if page.locator(LINES).count():
        page.get_by_role("button", name="Open: Odd").click()
    said(page, "opened")
    assert not page.locator(".rl b:not(.rl-switch b)").count()
    train(page, 60)


FAULTS = {
    "blocked": ("Object.defineProperty(window, 'indexedDB', { get() { throw new DOMException('', 'SecurityError'); } });", "blocks storage"),  # noqa: E501
    "missing": ("Object.defineProperty(window, 'indexedDB', { value: undefined });", "could not be kept"),
    "full": ("IDBObjectStore.prototype.add = () => { throw new DOMException('', 'QuotaExceededError'); };", "storage is full"),  # noqa: E501
    "newer": ("indexedDB.open('resnet-edu', 99);", "a newer version of this book"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_without_storage_a_message_and_everything_else_works(open_lab, fault):
    script, words = FAULTS[fault]
    page = open_lab(island(config=SHORT), start=script)
    train(page, 60)
    said(page, words)
    assert "Everything else works" in message(page)
    page.get_by_role("button", name="Reset").click()
    train(page, 60)
    assert "8 layers, shortcuts A: test error" in summary(page)


def test_the_last_ten_stay_newest_first_and_strange_entries_are_left_out(open_lab):
    page = open_lab(island(config=SHORT))
    page.evaluate(
        """() => new Promise((resolve) => {
          const request = indexedDB.open("resnet-edu", 1);
          request.onupgradeneeded = () => request.result.createObjectStore("networks", { keyPath: "id", autoIncrement: true });
          request.onsuccess = () => {
            const store = request.result.transaction("networks", "readwrite").objectStore("networks");
            for (let n = 1; n <= 10; n++) store.add({ format: 1, name: `old ${n}`, date: "2026-01-01", config: {}, test_error: n, train_error: n, file: new ArrayBuffer(8) });
            store.add({ format: 7, name: "of a later version" });
            store.transaction.oncomplete = () => (request.result.close(), resolve());
          };
        })"""  # noqa: E501
    )
    train(page, 60)
    unfold(page)
    page.locator(LINES).first.wait_for()
    page.wait_for_function("document.querySelector('.rl-own .rl-run-name').textContent.startsWith('8 layers')")
    assert names(page) == ["8 layers, shortcuts A, seed 1", *(f"old {n}" for n in range(10, 1, -1))]
    page.get_by_role("button", name="Open: old 10").click()  # its file is no network
    said(page, "It cannot be opened here")


def test_the_list_has_no_accessibility_violation(open_lab):
    page = open_lab(island(config=SHORT), width=390)
    train(page, 60)
    unfold(page)
    page.locator(LINES).wait_for()
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert json.loads(page.evaluate("JSON.stringify(document.querySelectorAll('.rl-own button').length)")) == 4
