"""A sentence for every way in which a transfer can fail."""

import pytest

from charrnn.hub.explain import Failure, Kind, explain

JOB = {
    "repo": "alice/m{o}del",
    "revision": "v1",
    "token": "x",
    "endpoint": "https://hub.example",
    "visitor": False,
}


@pytest.mark.parametrize("action", ["push", "pull"])
@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_sentence(kind: Kind, action: str) -> None:
    failure = Failure(kind=kind, detail="{their} words", status=418)
    sentence = explain(failure, {**JOB, "action": action})
    assert sentence.endswith(".")
    assert sentence.isprintable()


def test_a_status_is_told_with_the_servers_words() -> None:
    job = {**JOB, "action": "push"}

    def told(status: int, **more: bool) -> str:
        failure = Failure(kind=Kind.STATUS, status=status, detail="no {room}", **more)
        return explain(failure, job)

    assert told(413) == "The Hub finds the files too large (no {room})."
    assert told(418) == "The Hub refused (HTTP 418) (no {room})."
    assert told(503).startswith("hub.example has a problem of its own (HTTP 503)")
    assert told(403, storage=True).startswith("The Hub's file storage answered HTTP 4")
    job["visitor"] = True
    assert told(403).endswith("A login here opens only what was made here.")
