"""HQ's page in a real browser, against a real bridge, fed through the sync API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from edge_agent.contract.times import rfc3339, utc_now

if TYPE_CHECKING:
    from tests.browser.conftest import Bridge, StoreLine


@pytest.fixture(autouse=True)
def _furnished(line: StoreLine) -> None:
    """Every test finds the store as it is after its first counts, and heard just now."""
    if (line.on_hand["A1-01"], line.on_hand["A1-02"]) != (12, 2):
        line.stock("A1-01", 12, cause="recount")
        line.stock("A1-02", 2, cause="recount")
    line.send()


def test_a_stranger_is_told_how_to_get_a_login_link(browser: Browser, bridge: Bridge) -> None:
    page = browser.new_page(locale="en-GB")
    page.goto(bridge.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Please use your login link")
    expect(page.locator("code")).to_contain_text("cloud-bridge user add NAME --role viewer")
    page.close()


def test_a_login_link_opens_the_only_store_with_every_facing(browser: Browser, bridge: Bridge) -> None:
    page = browser.new_page(locale="en-GB")
    page.goto(bridge.login_link("wang-wei"))
    expect(page).to_have_url(f"{bridge.url}/")
    expect(page.get_by_role("heading", level=1)).to_have_text("人民路店")
    expect(page.locator(".facing")).to_have_count(3)
    assert "12 of 24, OK, confidence 97" in (
        page.locator("[data-facing='A1-01']").get_attribute("aria-label") or ""
    )
    assert "2 of 12, Low" in (page.locator("[data-facing='A1-02']").get_attribute("aria-label") or "")
    expect(page.locator("[data-facing='A1-03']")).to_have_class(re.compile("unknown"))
    expect(page.locator(".devices")).to_contain_text("Connection lost")
    expect(page.locator(".footfall .totals")).to_have_text(re.compile(r"Entered\s*4\s*Exited\s*1"))
    expect(page.locator(".footfall canvas")).to_be_visible()
    page.close()


def test_facings_stand_on_their_shelves_from_the_left_upper_shelf_first(page: Page, bridge: Bridge) -> None:
    page.goto(bridge.url)
    expect(page.locator(".shelf h3")).to_have_text(["A1-S2", "A1-S1"])
    expect(page.locator(".shelf").nth(1).locator(".label")).to_have_text(["A1-01", "A1-02"])


def test_a_change_in_the_store_appears_without_reload(page: Page, bridge: Bridge, line: StoreLine) -> None:
    page.goto(bridge.url)
    expect(page.locator(".link")).to_have_text("Live")
    expect(page.locator("[data-facing='A1-01'] .stock")).to_have_text("12 / 24")
    line.stock("A1-01", 11)
    expect(page.locator("[data-facing='A1-01'] .stock")).to_have_text("11 / 24", timeout=2000)
    expect(page.locator(".changes li").first).to_contain_text(
        re.compile(r"A1-01.*-1 → 11.*picked", re.DOTALL)
    )
    line.stock("A1-02", 0)
    expect(page.locator("[data-facing='A1-02']")).to_have_class(re.compile(r"\bout\b"), timeout=2000)
    expect(page.locator(".chip.out")).to_have_text(re.compile(r"Out\s*1"))


def test_the_language_switch_changes_every_word_and_is_remembered(page: Page, bridge: Bridge) -> None:
    page.goto(bridge.url)
    page.get_by_role("button", name="中文").click()
    expect(page.locator(".footfall h2")).to_have_text("今日客流")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator("[data-facing='A1-02'] .status")).to_contain_text("偏低")
    page.reload()
    expect(page.locator(".devices h2")).to_have_text("设备")


def test_a_facing_is_reached_opened_and_closed_with_the_keyboard(page: Page, bridge: Bridge) -> None:
    page.goto(bridge.url)
    page.locator("[data-facing='A1-03']").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("[data-facing='A1-01']")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-facing='A1-02']")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#facing-title")).to_be_focused()
    expect(page.locator(".details")).to_contain_text("04006381333931")
    expect(page.locator(".details")).to_contain_text("Scale")
    page.keyboard.press("Escape")
    expect(page.locator(".details")).to_have_count(0)
    expect(page.locator("[data-facing='A1-02']")).to_be_focused()


def test_a_facing_says_when_it_is_to_be_reordered(page: Page, bridge: Bridge, line: StoreLine) -> None:
    page.goto(bridge.url)
    page.locator("[data-facing='A1-01']").click()
    expect(page.locator(".details dl")).to_contain_text("Reorder duenot known")
    today = utc_now().replace(hour=16, minute=40, second=30)  # times are shown by the reader's clock
    line.stock("A1-01", 11, due=rfc3339(today))
    expect(page.locator(".details dl")).to_contain_text("Reorder due16:40GTIN")
    line.stock("A1-01", 5, due=rfc3339(today))
    expect(page.locator(".details dl")).to_contain_text("Reorder duesince 16:40")
    page.get_by_role("button", name="中文").click()
    expect(page.locator(".details dl")).to_contain_text("应补货时间自 16:40 起")


def test_only_one_facing_is_a_tab_stop(page: Page, bridge: Bridge) -> None:
    page.goto(bridge.url)
    expect(page.locator(".facing")).to_have_count(3)
    expect(page.locator(".facing[tabindex='0']")).to_have_count(1)


def test_a_filter_is_part_of_the_address_and_the_table_shows_only_its_rows(
    page: Page, bridge: Bridge
) -> None:
    page.goto(f"{bridge.url}/#/stores/store-0042?show=low&view=table")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("A1-02")
    page.get_by_role("link", name="Map").click()
    expect(page.locator(".facing.dim")).to_have_count(2)


def test_without_hq_the_page_says_so_and_recovers_by_itself(
    page: Page, bridge: Bridge, line: StoreLine
) -> None:
    page.goto(bridge.url)
    expect(page.locator(".facing")).to_have_count(3)
    expect(page.locator(".link")).to_have_text("Live")
    bridge.stop()
    expect(page.locator(".link")).to_have_text("Reconnecting")
    expect(page.locator(".notice.warn")).to_contain_text("Not live: as of")
    expect(page.locator(".shelves")).to_have_class(re.compile("stale"))
    bridge.start()
    line.hello()
    line.stock("A1-01", 9)
    expect(page.locator(".link")).to_have_text("Live", timeout=15_000)
    expect(page.locator("[data-facing='A1-01'] .stock")).to_have_text("9 / 24")
    expect(page.locator(".notice.warn")).to_have_count(0)


def test_the_store_list_shows_how_each_store_is(page: Page, bridge: Bridge) -> None:
    page.goto(f"{bridge.url}/#/stores")
    row = page.locator("tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("Online")
    row.get_by_role("link").click()
    expect(page.locator(".facing")).to_have_count(3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_and_numbers_on_the_map_have_enough_contrast(page: Page, bridge: Bridge, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(bridge.url)
    expect(page.locator(".facing")).to_have_count(3)
    assert page.evaluate(_FAINT_TEXT) == []


def test_on_a_phone_nothing_is_wider_than_the_screen_and_every_target_is_large_enough(
    page: Page, bridge: Bridge
) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(bridge.url)
    expect(page.locator(".facing")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(_SMALL_TARGETS) == []


def test_logging_out_ends_the_session_whatever_answer_is_on_its_way(browser: Browser, bridge: Bridge) -> None:
    page = browser.new_page(locale="en-GB")
    page.goto(bridge.login_link("zhang-min"))
    page.get_by_role("heading", name="人民路店").wait_for()
    held = []

    def hold(route: Route) -> None:
        held.append((route, route.fetch()))

    with page.expect_request("**/v1/stores?*"):
        page.route("**/v1/stores?*", hold)  # answered by HQ, not yet heard by the page
    page.get_by_role("button", name="Log out").click()
    login = page.get_by_role("heading", level=1, name="Please use your login link")
    shown = login.element_handle()
    assert held
    for route, answer in held:
        with page.expect_response("**/v1/stores?*") as heard:
            route.fulfill(response=answer)
        heard.value.finished()
    page.evaluate("() => new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)))")
    assert shown.evaluate("(heading) => heading.isConnected"), "the page came back, without a session"
    page.unroute_all()
    page.reload()
    expect(login).to_be_visible()
    page.close()


_SMALL_TARGETS = """() => [...document.querySelectorAll('a, button, select, summary')]
  .filter((one) => one.checkVisibility() && !one.matches('.skip'))
  .map((one) => [one.textContent.trim(), one.getBoundingClientRect()])
  .filter(([, box]) => box.height < 44 || box.width < 44)
  .map(([text, box]) => `${text}: ${box.width} x ${box.height}`)"""

# WCAG 2.2, 1.4.3: 4.5:1 against the nearest opaque ancestor; text on a pattern is left out.
_FAINT_TEXT = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const under = (one) => {
    const colour = rgb(getComputedStyle(one).backgroundColor);
    return colour[3] === 255 || !one.parentElement ? colour : under(one.parentElement);
  };
  const faint = [];
  for (const one of document.querySelectorAll('main *, header *')) {
    const hasText = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!hasText || !one.checkVisibility() || one.closest('.move, .visually-hidden')) continue;
    const [a, b] = [light(rgb(getComputedStyle(one).color)), light(under(one))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faint.push(`${one.className} ${one.textContent.trim()}: ${ratio.toFixed(2)}`);
  }
  return faint;
}"""
