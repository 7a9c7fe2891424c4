"""The workers of one run on several machines: who they are, and whether all are there.

TensorFlow's own start waits for a worker that never comes without end and without a
word, and then no signal ends it. So the workers meet here first, through plain sockets
on the same addresses: each connects to worker 0, the chief, and says what it would
train; only when all have come and agree does TensorFlow begin. The connections stay:
the chief sends the state that all begin from, and whoever loses a connection knows
which worker is gone.

Nothing here is authenticated or encrypted, and nor is TensorFlow's transport.
"""

import contextlib
import json
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from charrnn.errors import ConfigError, RunError, TrainingError
from charrnn.trainer.supervise import Report

MEETING_SECONDS: Final = 120.0  # for all workers to come
RETRY_SECONDS: Final = 0.3  # between two tries to reach the chief
GREETING_SECONDS: Final = 5.0  # for who has connected to say who it is
BREAKING_SECONDS: Final = 5.0  # for a connection to break after TensorFlow has failed
LEAVING_SECONDS: Final = 10.0  # for the others to end before the chief does
MAX_MESSAGE: Final = 65_536  # bytes of a line
MAX_WORKERS: Final = 999
LEFT: Final = b"left\n"  # what a worker that ends well says last
_LENGTH: Final = struct.Struct("<Q")  # of a state

Facts = dict[str, Any]


@dataclass(frozen=True)
class Cluster:
    """Which workers train one run, and which of them this is.

    Args:
        addresses: ``host:port`` of each worker, the chief's first.
        index: Of this one.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this worker decides, and writes the run's folder."""
        return self.index == 0

    def named(self, index: int) -> str:
        """A worker as sentences call it."""
        return f"worker {index} ({self.addresses[index]})"

    def lost(self, index: int | None) -> str:
        """The sentence where a worker was lost; None: it is not known which."""
        who = "Another worker" if index is None else _upper(self.named(index))
        return (
            f"{who} was lost: start all workers again, worker 0 with --resume, to go "
            "on from the last saved state."
        )

    def to_tf_config(self) -> str:
        """The same as TensorFlow reads it, from the variable ``TF_CONFIG``."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.addresses)}, "task": task})


def _upper(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def find_cluster(
    workers: str | None,
    worker: int | None,
    environ: Mapping[str, str] = os.environ,
) -> Cluster | None:
    """The cluster that the arguments or ``TF_CONFIG`` name; None for one worker.

    Args:
        workers: Addresses with commas between them; None: see ``TF_CONFIG``.
        worker: Which of them this is.
        environ: Where ``TF_CONFIG`` is looked up.

    Raises:
        ConfigError: If an address, the index or the variable is none.

    Example:
        >>> find_cluster("a:2222,b:2222", 1).named(0)
        'worker 0 (a:2222)'
    """
    if (workers is None) != (worker is None):
        raise ConfigError(
            "--workers and --worker go together: the addresses of all workers, and "
            "which of them this is, as in --workers a:2222,b:2222 --worker 0."
        )
    if workers is not None and worker is not None:
        addresses = [address.strip() for address in workers.split(",")]
        return _checked(addresses, worker, "--workers")
    text = environ.get("TF_CONFIG", "").strip()
    return _read_tf_config(text) if text else None


def _read_tf_config(text: str) -> Cluster | None:
    try:
        content = json.loads(text)
        cluster = content.get("cluster") or {}
        task = content.get("task") or {}
        chiefs, workers = cluster.get("chief", []), cluster.get("worker", [])
        index, kind = int(task.get("index", 0)), task.get("type", "worker")
        addresses = [str(address) for address in (*chiefs, *workers)]
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            'TF_CONFIG cannot be read: expected {"cluster": {"worker": ["a:2222", '
            '"b:2222"]}, "task": {"type": "worker", "index": 0}}.'
        ) from error
    if not addresses:
        return None
    if kind not in ("chief", "worker") or set(cluster) - {"chief", "worker"}:
        raise ConfigError(
            "TF_CONFIG names tasks that a training here has not: expected workers, one "
            "of which may be called chief."
        )
    return _checked(addresses, index + (kind == "worker") * len(chiefs), "TF_CONFIG")


def _checked(addresses: list[str], index: int, source: str) -> Cluster | None:
    for address in addresses:
        host, colon, port = address.rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65_536):
            raise ConfigError(
                f"{source} has the address {address[:80]!r}: expected host:port, like "
                "10.0.0.1:2222."
            )
    if len(set(addresses)) < len(addresses):
        raise ConfigError(f"{source} names an address twice: each worker has its own.")
    if len(addresses) > MAX_WORKERS or not 0 <= index < len(addresses):
        raise ConfigError(
            f"{source} has {len(addresses)} workers and this is said to be worker "
            f"{index}: expected a number from 0 to {len(addresses) - 1}."
        )
    return Cluster(tuple(addresses), index) if len(addresses) > 1 else None


def differences(facts: Mapping[int, Facts]) -> str:
    """The sentence on what workers do not agree about; empty if they do.

    Args:
        facts: What each worker would train, by its index.
    """
    expected = facts[0]
    for index, found in sorted(facts.items()):
        for name in sorted({*expected, *found}):
            if found.get(name) != expected.get(name):
                return (
                    f"{name} is {found.get(name)} on worker {index} and "
                    f"{expected.get(name)} on worker 0: start all workers with the "
                    "same text, settings and versions."
                )
    return ""


class _Line:
    """A socket that is read line by line, or so many bytes at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._data = b""

    def send(self, message: Mapping[str, Any]) -> None:
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, seconds: float) -> dict[str, Any]:
        """A message.

        Raises:
            OSError: If none came in time.
            ValueError, TypeError: If it is none.
        """
        deadline = time.monotonic() + seconds
        while b"\n" not in self._data:
            if len(self._data) > MAX_MESSAGE:
                raise ValueError("the message is too long")
            self._read(deadline)
        line, _, self._data = self._data.partition(b"\n")
        message = json.loads(line)
        if not isinstance(message, dict):
            raise TypeError("the message is no object")
        return message

    def receive_bytes(self, count: int, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        pieces, missing = [self._data[:count]], count - len(self._data)
        self._data = self._data[count:]
        while missing > 0:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            piece = self.socket.recv(min(missing, 1 << 20))
            if not piece:
                raise ConnectionError("the connection was closed")
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def _read(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no message came")
        self.socket.settimeout(left)
        data = self.socket.recv(MAX_MESSAGE)
        if not data:
            raise ConnectionError("the connection was closed")
        self._data += data

    def close(self) -> None:
        self.socket.close()


class Peers:
    """The other workers that this one is connected to: all, or the chief.

    Args:
        cluster: All of them.
        lines: The connections, by the index of the worker at the other end.

    Attributes:
        lost: The worker whose connection broke first; None while none did.
    """

    def __init__(self, cluster: Cluster, lines: dict[int, _Line]) -> None:
        self.cluster = cluster
        self.lost: int | None = None
        self._lines = lines
        self._left = threading.Event()
        self._broken = threading.Event()

    def send_state(self, parts: Iterable[memoryview]) -> None:
        """Give every other worker the state that all begin from."""
        data = b"".join(parts)
        for index, line in self._lines.items():
            with self._told_as_lost(index):
                line.socket.settimeout(MEETING_SECONDS)
                line.socket.sendall(_LENGTH.pack(len(data)))
                line.socket.sendall(data)

    def receive_state(self) -> bytes:
        """The state that all begin from, of the chief."""
        line = self._lines[0]
        with self._told_as_lost(0):
            head = line.receive_bytes(_LENGTH.size, MEETING_SECONDS)
            return line.receive_bytes(_LENGTH.unpack(head)[0], MEETING_SECONDS)

    @contextlib.contextmanager
    def _told_as_lost(self, index: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._lose(index)
            raise TrainingError(self.sentence()) from error

    def _lose(self, index: int) -> None:
        self.lost = index
        self._broken.set()

    def is_broken(self) -> bool:
        """Whether a worker was lost, as far as that shows within some seconds."""
        return self._broken.wait(BREAKING_SECONDS)

    def sentence(self) -> str:
        """What to say where a worker was lost."""
        return self.cluster.lost(self.lost)

    def watch(self, on_lost: Callable[[int], None]) -> None:
        """Have a thread call a function when the first connection breaks."""
        threading.Thread(target=self._watch, args=(on_lost,), daemon=True).start()

    def _watch(self, on_lost: Callable[[int], None]) -> None:
        with selectors.DefaultSelector() as selector:
            for index, line in self._lines.items():
                line.socket.setblocking(False)
                selector.register(line.socket, selectors.EVENT_READ, index)
            while selector.get_map():
                for key, _ in selector.select():
                    try:
                        data = key.fileobj.recv(MAX_MESSAGE)  # type: ignore[union-attr]
                    except OSError:
                        data = b""
                    selector.unregister(key.fileobj)
                    if data != LEFT and self.lost is None:
                        self._lose(key.data)
                        on_lost(key.data)
        self._left.set()

    def leave(self) -> None:
        """Tell the chief that this worker ends well."""
        with contextlib.suppress(OSError):
            for line in self._lines.values():
                line.socket.setblocking(True)
                line.socket.sendall(LEFT)

    def wait_until_left(self) -> None:
        """Wait for the other workers' ends, so that the chief's comes last."""
        self._left.wait(LEAVING_SECONDS)


@dataclass(frozen=True)
class Member:
    """This process as a worker of a cluster.

    Args:
        cluster: All workers.
        report: What tells its parent the stages that it comes to.
        seconds: To wait for the other workers.
    """

    cluster: Cluster
    report: Report
    seconds: float = MEETING_SECONDS


def meet(cluster: Cluster, facts: Facts, *, seconds: float = MEETING_SECONDS) -> Peers:
    """Wait until every worker has come, and compare what they would train.

    Args:
        cluster: All workers.
        facts: What this one would train; the chief's is what is expected.
        seconds: To wait for them.

    Raises:
        RunError: If one did not come in time, named, or the port is taken.
        ConfigError: If two of them would not train the same.
    """
    with _listen(cluster) as listener:
        if cluster.is_chief:
            return Peers(cluster, _gather(cluster, facts, listener, seconds))
        return Peers(cluster, {0: _join(cluster, facts, seconds)})


def _listen(cluster: Cluster) -> socket.socket:
    """The port that TensorFlow takes later: here it shows that it is free."""
    port = int(cluster.addresses[cluster.index].rpartition(":")[2])
    try:
        return socket.create_server(("", port), backlog=MAX_WORKERS)
    except OSError as error:
        raise RunError(
            f"The port {port} of {cluster.named(cluster.index)} cannot be used "
            f"({error.strerror}): choose another one, the same on every worker."
        ) from error


def _gather(
    cluster: Cluster, facts: Facts, listener: socket.socket, seconds: float
) -> dict[int, _Line]:
    """The chief's side: the connections of all others, once they agree."""
    deadline = time.monotonic() + seconds
    lines: dict[int, _Line] = {}
    said = {0: facts}
    while len(said) < len(cluster.addresses):
        listener.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            break
        index, line, message = _greet(connection, len(cluster.addresses))
        if index is not None:
            lines[index], said[index] = line, message
    missing = [i for i in range(len(cluster.addresses)) if i not in said]
    if missing:
        names = ", ".join(map(cluster.named, missing))
        raise RunError(_refuse(lines, _late(_upper(names), seconds)))
    if found := differences(said):
        raise ConfigError(_refuse(lines, found))
    for line in lines.values():
        line.send({"refused": ""})
    return lines


def _late(names: str, seconds: float) -> str:
    return (
        f"{names} did not come within {seconds:g} s: start all workers within that "
        "time, with the same addresses."
    )


def _refuse(lines: dict[int, _Line], sentence: str) -> str:
    for line in lines.values():
        with contextlib.suppress(OSError):
            line.send({"refused": sentence})
        line.close()
    return sentence


def _greet(connection: socket.socket, count: int) -> tuple[int | None, _Line, Facts]:
    """Who has connected, and what it would train; None for anybody else."""
    line = _Line(connection)
    try:
        message = line.receive(GREETING_SECONDS)
        index, facts = message["worker"], message["facts"]
        if type(index) is int and 0 < index < count and isinstance(facts, dict):
            return index, line, facts
    except (OSError, ValueError, TypeError, KeyError):
        pass
    line.close()
    return None, line, {}


def _join(cluster: Cluster, facts: Facts, seconds: float) -> _Line:
    """Another worker's side: the connection to the chief, once all agree."""
    host, _, port = cluster.addresses[0].rpartition(":")
    deadline = time.monotonic() + seconds
    while True:
        try:
            line = _Line(socket.create_connection((host, int(port)), timeout=5.0))
            line.send({"worker": cluster.index, "facts": facts})
            left = deadline - time.monotonic() + GREETING_SECONDS
            sentence = line.receive(left)["refused"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            if time.monotonic() > deadline:
                chief = _upper(cluster.named(0))
                raise RunError(_late(chief, seconds)) from error
            time.sleep(RETRY_SECONDS)
            continue
        if sentence:
            raise ConfigError(sentence)
        return line
