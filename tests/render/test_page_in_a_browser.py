"""The page of a run in a real browser: opened, filtered, moved through, light and dark."""

from __future__ import annotations

import shutil

import pytest

from camviz.render.html import draw_page, errors_page
from camviz.run.database.database import Database
from camviz.run.report import make_page
from camviz.types import Look
from tests.helpers.runs import AWKWARD, make_run

pytestmark = pytest.mark.slow  # half a minute, most of it the browser

MAPS = [
    {"facets": ("gradcam",)},
    {"method": "layercam", "target": "<b>dog</b>", "probability": 0.2, "facets": ("layercam",), "facts": {"note": "n"}},
]
BAD = "bad <img src=x onerror=document.title='x'>.png"


@pytest.fixture(scope="module")
def browser():
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'camviz[dev]'")
    place = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with driver.sync_playwright() as started:
        try:
            opened = started.chromium.launch(executable_path=place, args=["--no-sandbox"])
        except driver.Error as error:
            pytest.skip(f"no Chromium on this machine: {str(error).splitlines()[0]}")
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A run with awkward names, 60 plain ones and a failure, as a page."""
    folder = tmp_path_factory.mktemp("run") / "my run"
    names = [*AWKWARD, *(f"n{number:03d}.png" for number in range(60))]
    make_run(folder, names, MAPS, failed=(BAD,))
    with Database(folder) as database:
        (folder / "report.html").write_bytes(draw_page(make_page(database, database.newest(), folder), "1").data)
    return folder / "report.html"


@pytest.fixture
def page(browser, file):
    """The page, opened; nothing may go wrong in it, nothing may be asked of the net."""
    context = browser.new_context(viewport={"width": 1000, "height": 700}, bypass_csp=True)
    opened, wrong = context.new_page(), []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda one: wrong.append(one.text) if one.type == "error" else None)
    opened.on("request", lambda one: wrong.append(one.url) if not one.url.startswith(("file:", "data:")) else None)
    opened.goto(file.as_uri())
    opened.wait_for_selector(".card")
    yield opened
    context.close()
    assert wrong == []


def count(page, text: str) -> None:
    page.wait_for_function("text => document.getElementById('count').value === text", arg=text, timeout=5000)


def focused(page) -> str:
    return page.evaluate("document.activeElement.dataset.place ?? document.activeElement.id")


def test_cards_come_as_they_are_needed(page):
    count(page, "131 shown")
    assert page.locator(".card").count() == 60
    for cards in (120, 131):
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_function("cards => document.querySelectorAll('.card').length === cards", arg=cards, timeout=5000)


def test_names_are_text(page):
    assert page.title() == "my run · camviz"
    assert page.locator("main img[src=x], header img").count() == 0
    page.fill("#q", "onerror")
    count(page, "1 of 131")
    assert page.locator(".card.failed .name").text_content() == BAD
    page.locator(".failures summary").click()
    assert page.locator(".failures td").first.text_content() == BAD


@pytest.mark.parametrize("name", AWKWARD)
def test_every_name_is_found_and_its_links_lead_somewhere(page, file, name):
    page.fill("#q", name)
    page.select_option("#method", "layercam")
    count(page, "1 of 131")
    page.locator(".card").click()
    assert page.locator("#large-name").text_content() == name
    for image in page.locator(".stage img").all():
        page.wait_for_function("one => one.complete && one.naturalWidth === 40", arg=image.element_handle())
    assert page.locator(".links a").all_text_contents() == [f"{name}.layercam.png", "original"]
    assert "<b>dog</b>" in page.locator(".facts").text_content()


def test_filters_and_order(page):
    page.select_option("#class", "cat")
    count(page, "65 of 131")
    page.select_option("#class", "")
    page.select_option("#state", "failed")
    count(page, "1 of 131")
    page.select_option("#state", "note")
    count(page, "65 of 131")
    page.select_option("#state", "")
    page.fill("#high", "50")
    count(page, "65 of 131")
    assert set(page.locator(".what b").all_text_contents()) == {"20.0%"}
    page.locator("button[type=reset]").click()
    count(page, "131 shown")
    page.select_option("#sort", "unsure")
    page.wait_for_function("document.querySelector('.what b').textContent === '20.0%'")
    page.select_option("#sort", "sure")
    page.wait_for_function("document.querySelector('.what b').textContent === '75.0%'")
    page.fill("#q", "no such thing")
    count(page, "0 of 131")
    page.locator("#clear").click()
    count(page, "131 shown")


def test_a_view_is_kept_in_the_address(page):
    page.fill("#q", "n00")
    page.select_option("#method", "gradcam")
    count(page, "10 of 131")
    assert "#q=n00&method=gradcam" in page.url
    page.reload()
    count(page, "10 of 131")
    assert page.input_value("#q") == "n00"


def test_keys(page):
    page.keyboard.press("ArrowDown")
    assert focused(page) == "0"
    page.keyboard.press("ArrowRight")
    assert focused(page) == "1"
    page.keyboard.press("ArrowDown")
    across = int(focused(page)) - 1
    assert across > 1
    page.keyboard.press("End")
    assert focused(page) == "130"
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    assert page.locator("#place").text_content() == "1 of 131"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator("#place").text_content() == "3 of 131"
    page.keyboard.press("Escape")
    page.wait_for_function("document.activeElement.dataset.place === '2'")
    page.keyboard.press("/")
    assert focused(page) == "q"
    page.keyboard.type("n001")
    count(page, "2 of 131")
    page.keyboard.press("Escape")
    count(page, "131 shown")


def test_original_and_overlay(page):
    over = page.locator(".both .over").first
    opacity = "one => getComputedStyle(one).opacity"
    assert over.evaluate(opacity) == "1"
    page.keyboard.press("o")
    page.wait_for_function("getComputedStyle(document.querySelector('.both .over')).opacity === '0'")
    page.keyboard.press("o")
    page.wait_for_function("getComputedStyle(document.querySelector('.both .over')).opacity === '1'")
    page.locator(".card:has(.both)").first.hover()
    page.wait_for_function("getComputedStyle(document.querySelector('.both .over')).opacity === '0'")


def test_light_and_dark(page):
    paper = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(paper) == "rgb(22, 24, 28)"
    page.emulate_media(color_scheme="light")
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    page.keyboard.press("t")
    page.keyboard.press("t")
    assert (page.locator("#theme").text_content(), page.evaluate(paper)) == ("Theme: dark", "rgb(22, 24, 28)")


def test_everything_that_can_be_used_has_a_name(page):
    nameless = """[...document.querySelectorAll('button, input, select, a, img')].filter(one => {
      const label = one.getAttribute('aria-label') || one.labels?.[0]?.textContent.trim();
      return !label && !one.textContent.trim() && !one.alt && !(one.tagName === 'IMG' && one.hasAttribute('alt'));
    }).map(one => one.outerHTML.slice(0, 80))"""
    assert page.evaluate(nameless) == []


def test_a_panel_is_shown_as_it_is(browser, tmp_path):
    """It holds image and map side by side: nothing may lie below or above it."""
    make_run(tmp_path, ["a.png"], look=Look("panel"), images=tmp_path / "in")
    with Database(tmp_path) as database:
        (tmp_path / "report.html").write_bytes(draw_page(make_page(database, database.newest(), tmp_path), "1").data)
    page = browser.new_page(bypass_csp=True)
    page.goto((tmp_path / "report.html").as_uri())
    page.locator(".card").click()
    [shown] = [one for one in page.locator(".stage img").all() if one.is_visible()]
    assert shown.get_attribute("src") == "a_gradcam.png"
    assert not page.locator("#large-mix").is_visible()
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_of_errors_by_keyboard_on_a_phone_and_in_the_dark(browser, tmp_path, theme):
    image = {"name": "a.jpg", "probability": "55 %", "figures": ["a.png"]}
    found = [{"true": "cat", "predicted": "a very long name " * 5, "count": 3, "of": 4, "images": [image] * 3}]
    (tmp_path / "errors.html").write_text(errors_page(4, 1, found, {"cat": 4}), "utf-8")
    context = browser.new_context(viewport={"width": 390, "height": 700}, color_scheme=theme)
    page = context.new_page()
    page.goto((tmp_path / "errors.html").as_uri())
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light == (theme == "light")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    at = "[...document.querySelectorAll('figure a')].indexOf(document.activeElement)"
    for key, expected in (("ArrowRight", 0), ("ArrowRight", 1), ("ArrowLeft", 0), ("ArrowLeft", 0), ("Escape", -1)):
        page.keyboard.press(key)
        assert page.evaluate(at) == expected
    assert page.evaluate("scrollY") == 0
    context.close()
