"""
What a log has to say of its seals: the methods that `ActivityLog` gets.
"""

from __future__ import annotations

import os

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...twins import in_thread


if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

    from .checkpoint import CheckpointSink
    from .report import VerifyReport


class SealMethods:
    """
    Check seals and export them.

    Whoever derives from it has these.

    Attributes:

        _url: The database.

        _key: Signs; ``b""`` signs nothing.

        _seal_keys: All keys that may have signed.
    """

    _url: URL
    _key: bytes
    _seal_keys: tuple[bytes, ...]

    def _at_coordinator(self) -> Engine:
        """Return the engine, after one look at the schema; refuse a worker of a cluster."""
        raise NotImplementedError

    def verify(
        self,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        since_checkpoint: bool = False,
        in_database: bool = False,
        progress: Callable[[int, int], object] | None = None,
    ) -> VerifyReport:
        """
        Hold all that is stored against the seals that were written with it.

        Every row is read. The report names each batch that was changed, each
        record that is missing or was added, and each gap in a chain.

        Args:

            checkpoint: A file of `checkpoint`; without one, an end that was
                cut off can't be told from one where a process was killed.

            since_checkpoint: Leave out the rows that were written before the
                last line of that file.

            in_database: Have PostgreSQL compute the digests: faster, and no proof
                where the server itself may lie.

            progress: Told how many rows are checked, and of how many.

        Returns:

            The report; its ``ok`` says whether nothing is wrong.

        Raises:

            SchemaError: The tables are missing or of another version.

            RepositoryError: The database can't be reached.

            OSError: The file can't be read.

            ValueError: *since_checkpoint* without *checkpoint*, or *in_database*
                with SQLite.
        """
        from ..engine import SQLITE
        from ..reaching import reached
        from .verify import verify_log

        if since_checkpoint and checkpoint is None:
            raise ValueError("since_checkpoint: a checkpoint is needed")
        if in_database and self._url.get_backend_name() == SQLITE:
            raise ValueError("in_database: only PostgreSQL can do that")
        engine = self._at_coordinator()
        with reached(self._url):
            return verify_log(
                engine,
                keys=self._seal_keys,
                checkpoint=checkpoint,
                since_checkpoint=since_checkpoint,
                in_database=in_database,
                progress=progress,
            )

    def checkpoint(self, sink: CheckpointSink) -> str:
        """
        Write down how far every chain of batches is, outside the database.

        Args:

            sink: A file, to which one JSON line is appended and synced, or
                what is called with that line. It belongs where neither the
                database's keepers nor the application can change it.

        Returns:

            The line.

        Raises:

            SchemaError: The tables are missing or of another version.

            RepositoryError: The database can't be reached, or refuses.

            OSError: The file can't be written.
        """
        from ..reaching import reached
        from .checkpoint import take_checkpoint

        engine = self._at_coordinator()
        with reached(self._url):
            return take_checkpoint(engine, sink, key=self._key)

    averify = in_thread(verify)

    acheckpoint = in_thread(checkpoint)
