"""Search for good settings with Optuna; poor trials end early (`pip install optuna`).

    python docs/search_with_optuna.py novel.txt 20

Each trial is an ordinary run, which the page and `charrnn runs` show as well.
"""

import sys
import time

import optuna

from charrnn.hosting import policy
from charrnn.model.checkpoint import read_record
from charrnn.runs import control
from charrnn.runs.quality import best_loss
from charrnn.runs.states import LIVE, RunState
from charrnn.runs.status import read_status
from charrnn.runs.store import own_run
from charrnn.text import sources
from charrnn.text.corpus import Corpus


def objective(trial: optuna.Trial, corpus: Corpus, minutes: float) -> float:
    """The validation loss of one run, in nats per character."""
    settings = {
        "rnn_units": trial.suggest_int("rnn_units", 32, 256, step=32),
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 2e-2, log=True),
        "seq_length": trial.suggest_categorical("seq_length", [32, 64, 100]),
        "minutes": minutes,
    }
    run_id = control.start(corpus, settings=settings, title=f"trial {trial.number}")
    trial.set_user_attr("run", run_id)
    told, pruned = 0, False
    while (status := read_status(run_id)).state in LIVE:
        for event in status.view.validations[told:]:
            trial.report(event.val_loss, event.step)
        told = len(status.view.validations)
        if not pruned and status.state is RunState.RUNNING and trial.should_prune():
            control.stop(run_id)  # it validates and saves first
            pruned = True
        time.sleep(0.5)
    best = best_loss(read_record(own_run(run_id)), status.view)
    if pruned or best is None:
        raise optuna.TrialPruned(status.message)
    return best.loss


def search(text: str, trials: int, minutes: float = 2.0) -> optuna.Study:
    """Try so many settings on a text; see Optuna for storage and parallel work."""
    corpus = sources.load_all([text], max_bytes=policy().max_text_bytes)
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner())
    study.optimize(lambda trial: objective(trial, corpus, minutes), n_trials=trials)
    return study


if __name__ == "__main__":
    found = search(sys.argv[1], int(sys.argv[2]))
    best = found.best_trial
    sys.stdout.write(f"{best.user_attrs['run']}: {best.value:.4f}, {best.params}\n")
