"""
Faults one upon another, in an order that a seed decides, and the accounts after each.

A failure prints its seed; with that in STRUCTLOG_ACTIVITY_FAULT_SEED the same
faults come again in the same order.
"""

from __future__ import annotations

import os
import random

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.proxy import CommitFault, FaultProxy, Mode
from tests.write.checker import Trial
from tests.write.conftest import MakeTrial
from tests.write.databases import Database


SEED: Final = "STRUCTLOG_ACTIVITY_FAULT_SEED"
COMMITS: Final[tuple[CommitFault, ...]] = ("drop_request", "drop_ack", "delay_ack")
MODES: Final[tuple[Mode, ...]] = ("refuse", "blackhole", "freeze")
CODES: Final = ("40001", "40P01", "42501", "53100", "53300", "55P03", "57014", "58030", "XX000")


class Faults:
    """
    Does something to the database or the way to it, as the dice fall.

    Args:

        dice: Decide.

        trial: Whose records are sent meanwhile.

        proxy: The way.

        database: Where it leads.
    """

    def __init__(
        self, dice: random.Random, trial: Trial, proxy: FaultProxy, database: Database
    ) -> None:
        self._dice = dice
        self._trial = trial
        self._proxy = proxy
        self._database = database
        self._kinds: list[Callable[[], None]] = [
            self._cut, self._break_commits, self._kill, self._change_mode, self._slow_down,
            self._refuse, self._refuse_rows, self._lock, self._rename, self._end_connections,
        ]  # fmt: skip
        self.done: Counter[str] = Counter()
        self.dead: list[int] = []
        self._bad = -1

    def strike(self) -> None:
        kind = self._dice.choice(self._kinds)
        self.done[kind.__name__.strip("_")] += 1
        kind()

    def _cut(self) -> None:
        self._proxy.cut_after(*[self._dice.randrange(1, 30_000) for _ in range(3)])

    def _break_commits(self) -> None:
        self._proxy.fail_commits(*self._dice.choices(COMMITS, k=self._dice.randint(1, 4)))

    def _kill(self) -> None:
        for _ in range(self._dice.randint(1, 4)):
            self._trial.flush_more()
            self._proxy.kill_all()

    def _change_mode(self) -> None:
        self._proxy.mode = mode = self._dice.choice(MODES)
        if mode == "refuse":
            self._proxy.kill_all()
        self._trial.buffer.flush(self._dice.uniform(0.01, 0.6))
        self._proxy.mode = "pass"
        self._proxy.kill_all()

    def _slow_down(self) -> None:
        self._proxy.latency, self._proxy.bandwidth = 0.002, self._dice.choice((50_000, 500_000))
        self._trial.flush_more()
        self._proxy.latency, self._proxy.bandwidth = 0.0, None

    def _refuse(self) -> None:
        with self._triggered(self._dice.choice(CODES), "FOR EACH STATEMENT"):
            self._trial.buffer.flush(self._dice.uniform(0.01, 0.2))

    def _refuse_rows(self) -> None:
        """Some records of this round are bad, and no others."""
        bad = [self._bad - n for n in range(self._dice.randint(1, 5))]
        self._bad = bad[-1] - 1
        self.dead += bad
        names = ", ".join(f"'{number}'" for number in bad)
        with self._triggered("22000", f"FOR EACH ROW WHEN (NEW.object_id IN ({names}))"):
            self._trial.submit(*bad)
            self._trial.buffer.flush(40)
        self._trial.dead = self.dead

    @contextmanager
    def _triggered(self, code: str, when: str) -> Iterator[None]:
        self._do(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$;"
            f"CREATE TRIGGER refuse BEFORE INSERT ON user_activity {when} "
            "EXECUTE FUNCTION refuse()"
        )
        yield
        self._do("DROP FUNCTION refuse CASCADE")

    def _lock(self) -> None:
        with self._database.connect() as other, other.transaction():
            other.execute("LOCK TABLE user_activity_daily IN ACCESS EXCLUSIVE MODE")
            self._trial.buffer.flush(self._dice.uniform(0.01, 0.3))

    def _rename(self) -> None:
        name = self._dice.choice(("user_activity", "user_activity_batch", "user_activity_daily"))
        self._do(f"ALTER TABLE {name} RENAME TO elsewhere")
        self._trial.buffer.flush(self._dice.uniform(0.01, 0.2))
        self._do(f"ALTER TABLE elsewhere RENAME TO {name}")

    def _end_connections(self) -> None:
        for _ in range(self._dice.randint(1, 4)):
            self._trial.flush_more()
            self._database.end_connections()

    def _do(self, statement: str) -> None:
        # It waits for locks that ours holds, which waits for none: they can't deadlock.
        self._database.do(statement)


def strike_again_and_again(
    make_trial: MakeTrial,
    proxy: FaultProxy,
    database: Database,
    folder: Path,
    seed: int,
    rounds: int,
) -> None:
    print(f"replay with {SEED}={seed}")
    dice = random.Random(seed)
    options: dict[str, Any] = {"batch_size": dice.choice((1, 7, 20, 100))}
    durability = dice.choice(("memory", "spill", "wal", "fsync"))
    if durability != "memory":
        options["spool_dir"] = str(folder / "spool")
        options["durability"] = "memory" if durability == "spill" else durability
    with make_trial("lock_timeout=50", limit=0.3, **options) as trial:
        faults = Faults(dice, trial, proxy, database)
        number = 0
        for _ in range(rounds):
            with trial.callers(dice.randint(1, 3), start=number):
                for _ in range(dice.randint(1, 3)):
                    faults.strike()
            number += 10_000_000
            trial.buffer.flush(40)
            trial.check()
    print(f"seed {seed}: {dict(faults.done)}, {len(trial.submitted)} records, {durability}")


def test_a_few_random_faults_cost_nothing(
    make_trial: MakeTrial, proxy: FaultProxy, database: Database, tmp_path: Path
) -> None:
    seed = int(os.environ.get(SEED) or random.randrange(1 << 32))
    strike_again_and_again(make_trial, proxy, database, tmp_path, seed, 4)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("turn", range(8))
def test_many_random_faults_cost_nothing(
    make_trial: MakeTrial, proxy: FaultProxy, database: Database, tmp_path: Path, turn: int
) -> None:
    seed = int(os.environ.get(SEED) or random.randrange(1 << 32))
    strike_again_and_again(make_trial, proxy, database, tmp_path, seed, 40)
