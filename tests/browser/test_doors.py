"""The doors as a browser meets them: the policy, and pages of other websites."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Page

WATCH = """
addEventListener("securitypolicyviolation", event => console.error(
  `policy: ${event.violatedDirective} ${event.blockedURI}`));
"""
# what Gradio's page of the API asks for although it is switched off
SWITCHED_OFF = ("/gradio_api/mcp/schema", "/monitoring/summary")


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("space") / "checkpoints"
    running = Page(folder, SPACE_ID="alice/page")
    yield running
    running.end()


class Watched:
    """A page of the browser, its answers and its violations of the policy."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.faults: list[str] = []
        page.add_init_script(WATCH)
        page.on("console", self._heard)
        page.on("response", self._answered)

    def _heard(self, message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(message.text)

    def _answered(self, response: Any) -> None:
        if response.status >= 400 and not response.url.endswith(SWITCHED_OFF):
            self.faults.append(f"{response.status} {response.url}")
        self.faults += [
            f"no policy: {response.url}"
            for name in ("content-security-policy", "x-content-type-options")
            if response.url.startswith("http") and name not in response.headers
        ]


def open_watched(browser: Any, server: Page) -> Watched:
    watched = Watched(browser.new_context().new_page())
    watched.page.goto(server.url)
    watched.page.locator("#compare:not([disabled])").wait_for(state="attached")
    return watched


def open_tabs(watched: Watched) -> None:
    for tab in watched.page.get_by_role("tab").all():
        tab.click()
        watched.page.wait_for_timeout(300)
    assert watched.faults == []


def test_every_tab_of_a_space_opens_under_the_policy(space, browser):
    watched = open_watched(browser, space)
    open_tabs(watched)
    watched.page.context.close()


BODY = """async () => {
  const request = {method: "POST", body: "x".repeat(20e6)};
  const answer = await fetch("/gradio_api/cancel", request);
  return [answer.status, (await answer.json()).detail];
}"""
OUTSIDE = """async () => {
  const image = new Image();
  image.src = "http://127.0.0.2:9/x.png";
  const frame = document.createElement("iframe");
  frame.src = "http://127.0.0.2:9/";
  document.body.append(image, frame);
  await fetch("http://127.0.0.2:9/").catch(() => 0);
}"""


def test_the_policy_lets_the_page_work_and_stops_other_hosts(served, browser):
    watched = open_watched(browser, served)
    open_tabs(watched)
    # Gradio's own page
    watched.page.locator("footer button", has_text="API").last.click()
    watched.page.get_by_text("client.predict").locator("visible=true").first.wait_for()
    watched.page.wait_for_timeout(300)
    assert watched.faults == []
    # a body that is too large is answered, not cut off
    status, said = watched.page.evaluate(BODY)
    assert status == 413
    assert "at most 2.0 MB" in said
    watched.faults.clear()
    watched.page.evaluate(OUTSIDE)
    watched.page.wait_for_timeout(500)
    stopped = {f.split()[1] for f in watched.faults if f.startswith("policy:")}
    assert stopped == {"img-src", "frame-src", "connect-src"}
    watched.page.context.close()


# --- another website -----------------------------------------------------------


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>another website</title>")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def website() -> Iterator[str]:
    """Address of another website's page; as `localhost` it is another site."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()


UPLOAD = """async url => {
  const form = new FormData();
  form.append("files", new Blob(["planted"]), "planted.txt");
  await fetch(url + "gradio_api/upload", {method: "POST", mode: "no-cors", body: form,
    credentials: "include"});
}"""
FETCH = """async ([url, path, request]) => {
  const answer = await fetch(url + path, request).catch(() => null);
  return answer && answer.status;
}"""


def test_another_website_neither_frames_nor_uses_a_local_page(served, website, browser):
    context = browser.new_context()
    page = context.new_page()
    page.goto(website)
    statuses: list[int] = []
    page.on("response", lambda r: statuses.append(r.status))
    before = set((served.folder.parent / "gradio").rglob("*"))
    page.evaluate(UPLOAD, served.url)
    assert statuses == [403]
    assert set((served.folder.parent / "gradio").rglob("*")) == before
    assert page.evaluate(FETCH, [served.url, "config", {}]) is None
    page.evaluate(
        """url => { const frame = document.createElement("iframe");
        frame.src = url; document.body.append(frame); }""",
        served.url,
    )
    page.wait_for_timeout(1000)
    frame = page.frames[1]
    assert "charrnn" not in frame.content()
    page.goto(website)
    page.evaluate(
        "url => { const a = document.createElement('a'); a.href = url;"
        " a.textContent = 'link'; document.body.append(a); }",
        served.url,
    )
    page.get_by_text("link").click()  # a link opens the page
    page.locator("#compare").wait_for()
    context.close()


def test_a_space_is_framed_by_the_hub_alone(space, browser):
    html = f'<!doctype html><iframe src="{space.url}" width=900 height=700></iframe>'

    def parent_page(route: Any) -> None:
        route.fulfill(content_type="text/html", body=html)

    for parent, event in (
        ("https://huggingface.co", "requestfinished"),
        ("https://evil.example", "requestfailed"),
    ):
        context = browser.new_context()
        # this Space stands at an address of this computer, as none does in truth
        context.grant_permissions(["local-network-access"], origin=parent)
        context.route(f"{parent}/**", parent_page)
        page = context.new_page()
        with page.expect_event(event, lambda request: request.url == space.url):
            page.goto(f"{parent}/spaces/alice/page")
        if event == "requestfinished":
            inside = page.frame_locator("iframe")
            inside.locator("#compare:not([disabled])").wait_for(state="attached")
        context.close()
