"""What the endpoints take a request for, where no page is needed to see it."""

from charrnn.model import checkpoint
from charrnn.runs import control, store
from charrnn.ui import api
from tests.builders import varied_text


def test_a_text_that_is_sent_without_a_name_is_not_called_shakespeare(monkeypatch):
    started = []
    monkeypatch.setattr(control, "spawn", started.append)
    sizes = {"rnn_units": 8, "embedding_dim": 4}
    run = api.train(varied_text(3000), preset="quick", settings=sizes)
    record = checkpoint.read_record(store.find(run))
    assert (record.corpus.name, record.title) == ("text", "text quick")
    run = api.train(varied_text(3000), "my novel", "quick", sizes)
    record = checkpoint.read_record(store.find(run))
    assert (record.corpus.name, record.title) == ("my novel", "my novel quick")
    assert len(started) == 2
