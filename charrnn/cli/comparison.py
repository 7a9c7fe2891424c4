"""What `runs --sweep` prints: the runs of a sweep side by side."""

from typing import Any

from charrnn.cli.output import show, show_json, table
from charrnn.errors import RunError
from charrnn.files import quoted
from charrnn.machine import program
from charrnn.runs import sweeps
from charrnn.runs.quality import best_loss
from charrnn.runs.sweeps import Group

FINE = 0


def show_sweep(sweep_id: str, *, as_json: bool = False) -> int:
    """Print mean and spread over seeds for each combination of the other settings.

    Args:
        sweep_id: The sweep.
        as_json: Whether to print it for a program.

    Returns:
        The exit code.

    Raises:
        RunError: If there is no such sweep.
    """
    found = sweeps.groups(sweeps.runs_of(sweep_id))
    if not found:
        raise RunError(
            f"There is no sweep {quoted(sweep_id)} here: `{program()} runs --json` "
            "tells of each run which it belongs to."
        )
    if as_json:
        show_json({"sweep": sweep_id, "groups": [_group_json(one) for one in found]})
        return FINE
    names = list(found[0].settings)
    heads = [name.upper().replace("_", "-") for name in names]
    rows = [(*heads, "ENDED", "MEAN", "SPREAD", "BEST", "BEST RUN")]
    for one in found:
        settings = (str(one.settings.get(name, "-")) for name in names)
        rows.append((*settings, *_cells(one)))
    table(rows)
    show("nats per character on the validation part; spread: standard deviation")
    return FINE


def _cells(group: Group) -> tuple[str, ...]:
    best = group.best
    return (
        f"{len(group.losses)} of {len(group.runs)}",
        _loss(group.mean),
        _loss(group.spread),
        _loss(min(group.losses, default=None)),
        "-" if best is None else best.model_id,
    )


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _group_json(group: Group) -> dict[str, Any]:
    runs = []
    for entry in group.runs:
        best = best_loss(entry.record, entry.now.view)
        runs.append(
            {
                "id": entry.model_id,
                "seed": entry.record.training.seed,
                "state": entry.state,
                "val_loss": None if best is None else best.loss,
            }
        )
    return {
        "settings": dict(group.settings),
        "mean": group.mean,
        "spread": group.spread,
        "runs": runs,
    }
