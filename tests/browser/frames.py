"""What a frame costs the browser's main thread, out of Chromium's own trace."""

import contextlib
import json
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Final

CATEGORIES: Final = [
    "devtools.timeline",
    "disabled-by-default-devtools.timeline",
    "disabled-by-default-devtools.timeline.frame",
]
FRAME: Final = "BeginMainThreadFrame"
LAYOUT: Final = frozenset({"UpdateLayoutTree", "Layout"})
SCRIPT: Final = frozenset(
    {
        *("EvaluateScript", "FunctionCall", "EventDispatch", "TimerFire"),
        *("FireAnimationFrame", "RunMicrotasks", "MinorGC", "MajorGC"),
        "BlinkScheduler_PerformMicrotaskCheckpoint",
    }
)


class Frames:
    """The frames of a trace in which something was laid out anew, by their cost.

    Args:
        costs: Processor time of scripting and layout, milliseconds a frame.
    """

    def __init__(self) -> None:
        self.costs: list[float] = []

    def read(self, events: list[dict[str, Any]]) -> None:
        """Take the events of a trace, times in microseconds."""
        main = {
            (event["pid"], event["tid"])
            for event in events
            if event["name"] == "thread_name"
            and event["args"]["name"] == "CrRendererMain"
        }
        own = [event for event in events if (event["pid"], event["tid"]) in main]
        starts = sorted(event["ts"] for event in own if event["name"] == FRAME)
        frames = [0.0] * (len(starts) + 1)
        changed = [False] * len(frames)
        end = 0.0
        for event in sorted(own, key=lambda one: one.get("ts", 0)):
            if event["name"] not in SCRIPT | LAYOUT or event["ph"] != "X":
                continue
            frame = bisect_right(starts, event["ts"])
            changed[frame] |= event["name"] in LAYOUT
            if event["ts"] >= end:  # else it is inside of one that was counted
                end = event["ts"] + event["dur"]
                frames[frame] += event.get("tdur", event["dur"]) / 1000
        pairs = zip(frames, changed, strict=True)
        self.costs = sorted(cost for cost, laid_out in pairs if laid_out)

    def percentile(self, share: float) -> float:
        """The cost that so many of the frames stay under."""
        return self.costs[int(share * len(self.costs))]


@contextlib.contextmanager
def traced(browser: Any, page: Any) -> Iterator[Frames]:
    """What the page does meanwhile, in frames."""
    frames = Frames()
    browser.start_tracing(page=page, categories=CATEGORIES)
    try:
        yield frames
    finally:
        frames.read(json.loads(browser.stop_tracing())["traceEvents"])


def drag(page: Any, slider: str, moves: int) -> None:
    """Pull a slider back and forth with the mouse, a move every 10 ms or so."""
    handle = page.locator(f"{slider} input[type=range]")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    left, y = box["x"], box["y"] + box["height"] / 2
    page.mouse.move(left + 0.4 * box["width"], y)
    page.mouse.down()
    for move in range(moves):
        share = 0.4 + 0.5 * abs((move / 30) % 2 - 1)
        page.mouse.move(left + share * box["width"], y)
        page.wait_for_timeout(10)
    page.mouse.up()
