"""While a server works on a batch, the writer makes the next one ready."""

from __future__ import annotations

import threading

from typing import Any

from structlog_activity.store.batch import Batch

from .conftest import MakeBuffer
from .doubles import DEADLINE, Repository, eventually, row


class Server(Repository):
    """A repository that has its caller do something else while it works."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.may_go_on = threading.Event()
        self.order: list[Any] = []
        super().__init__(self._work)

    def _work(self, batch: Batch) -> None:
        if not self.arrived.is_set():
            self.arrived.set()
            assert self.may_go_on.wait(DEADLINE)
        self.order.append(("sent", batch.seq))
        batch.meanwhile()
        self.order.append(("done", batch.seq))


def fill(server: Server, buffer: Any, number: int) -> None:
    """Have the first record under way, and *number* more behind it."""

    def finish(snapshot: Any) -> Any:
        server.order.append(snapshot[1])
        return row(snapshot[1])

    buffer.put((finish, 0))
    assert server.arrived.wait(DEADLINE)
    server.order.clear()
    for place in range(1, number + 1):
        buffer.put((finish, place))


def test_the_next_batch_is_made_while_one_is_under_way(make_buffer: MakeBuffer) -> None:
    server = Server()
    buffer = make_buffer(server, batch_size=2)
    fill(server, buffer, 4)

    server.may_go_on.set()

    assert buffer.flush(DEADLINE)
    assert [("sent", 1), 1, 2, ("done", 1), ("sent", 2), 3, 4, ("done", 2)] == server.order[:8]
    assert [0, 1, 2, 3, 4] == server.numbers


def test_less_than_a_batch_is_left_to_gather(make_buffer: MakeBuffer) -> None:
    server = Server()
    buffer = make_buffer(server, batch_size=5)
    fill(server, buffer, 4)

    server.may_go_on.set()

    assert buffer.flush(DEADLINE)
    assert [("sent", 1), ("done", 1)] == server.order[:2]
    assert [0, 1, 2, 3, 4] == server.numbers


def test_others_have_their_turn_however_much_comes(make_buffer: MakeBuffer) -> None:
    server = Server()
    buffer = make_buffer(server, batch_size=1)
    fill(server, buffer, 30)

    server.may_go_on.set()

    assert buffer.flush(DEADLINE)
    after = server.order.index(("done", 9)) + 1
    assert [9, ("sent", 10)] == server.order[after : after + 2]
    assert list(range(31)) == server.numbers


def test_a_batch_made_ready_is_spared_by_a_close_that_gives_up(make_buffer: MakeBuffer) -> None:
    """Whatever was taken is accounted for, though nobody waits for the server any longer."""
    server = Server()
    buffer = make_buffer(server, batch_size=2)
    fill(server, buffer, 6)
    closing = threading.Thread(target=buffer.close, args=(0.05,))
    closing.start()
    closing.join(DEADLINE)

    server.may_go_on.set()

    eventually(lambda: ("done", 1) in server.order, "the end of the call")
    counters = buffer.counters()
    assert 7 == counters["written"] + counters["dropped"]
