"""What a person does in Prefect's pages, by the words that they show."""

import json
import time
from contextlib import suppress

from support.browser import Page

CAN_BE_CLICKED = "button, a, [role=menuitem], [role=option], [role=tab], [role=combobox]"
FIRST = """(text, below, kinds) => {
    const seen = (e) => e.getClientRects().length > 0;
    const says = (e) => e.innerText && e.innerText.trim() === text;
    let where = document;
    if (below) {
        const label = [...document.querySelectorAll("label, span, p, div")].filter(e => e.innerText
            && e.innerText.trim() === below && seen(e)).pop();
        where = label;
        while (where && ![...where.querySelectorAll(kinds)].some(says)) where = where.parentElement;
    }
    const found = where && [...where.querySelectorAll(kinds)].filter(e => says(e) && seen(e))[0];
    if (!found) return null;
    found.scrollIntoView({block: "center"});
    const r = found.getBoundingClientRect();
    const [x, y] = [r.x + r.width / 2, r.y + r.height / 2];
    const top = document.elementFromPoint(x, y);
    return top && (found.contains(top) || top.contains(found)) ? [x, y] : null;  // else something covers it
}"""

WHERE_IT_STANDS_STILL = """new Promise(done => {
    const was = WHERE;
    setTimeout(() => done(was && String(was) === String(WHERE) ? was : null), 200);
})"""


def log_in(page: Page, url: str, password: str) -> None:
    page.open(url)
    page.wait("!!document.querySelector('input[type=password]')")
    page.fill("document.querySelector('input[type=password]')", password)
    click(page, "Login")


def click(page: Page, text: str, below: str | None = None, kinds: str = CAN_BE_CLICKED, seconds: float = 20) -> None:
    """Click the first that says exactly this, of the elements `kinds` (CSS); below the label `below`, if given."""
    where = f"({FIRST})({json.dumps(text)}, {json.dumps(below)}, {json.dumps(kinds)})"
    page.press(*page.wait(WHERE_IT_STANDS_STILL.replace("WHERE", where), seconds))


def click_until(page: Page, text: str, done: str) -> None:
    """Click it until this JavaScript expression is true: a dialog that grows moves its buttons away from the mouse, and
    a busy server answers some requests with an error."""
    for _ in range(4):
        with suppress(AssertionError):
            click(page, text, seconds=5)  # it may be gone meanwhile, and its work done
        with suppress(AssertionError):
            return page.wait(done)
    raise AssertionError(f"{done}\nafter four clicks on {text}; {page.said()}")


def shows(page: Page, text: str, seconds: float = 20) -> None:
    """Wait for the page to show this text."""
    page.wait(f"document.body.innerText.includes({json.dumps(text)})", seconds)


def will_show(page: Page, text: str, seconds: float) -> None:
    """The same on a page that does not look for news by itself: it is loaded anew now and then."""
    until = time.monotonic() + seconds
    while True:
        try:
            return shows(page, text, 5)
        except AssertionError:
            if time.monotonic() > until:
                raise
            page.open(page.evaluate("location.href"))


def open_menu(page: Page) -> None:
    """The three dots of the page that is open."""
    dots = "[...document.querySelectorAll('button[aria-haspopup=menu]')].filter(e => e.getClientRects().length)[0]"
    middle = "r => [r.x + r.width / 2, r.y + r.height / 2]"
    page.press(*page.evaluate(f"({middle})({dots}.getBoundingClientRect())"))
