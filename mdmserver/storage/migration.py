"""Brings a database to the present schema: numbered SQL files, each applied once and remembered."""

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

from mdmserver.clock import Clock
from mdmserver.errors import MDMError
from mdmserver.storage.times import stored
from mdmserver.transaction import Row, Storage, Transaction

_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_LEDGER = (
    "CREATE TABLE IF NOT EXISTS schema_migration "
    "(number INTEGER PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, applied_at BIGINT NOT NULL)"
)


class SchemaUnknown(MDMError):
    """The database was made by a newer server, or a migration that was applied has changed since."""

    code = "schema_unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of the schema."""

    number: int
    name: str
    sql: str

    @property
    def hash(self) -> str:
        """SHA-256 of the text, to notice that an applied file was edited."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(engine: str) -> list[Migration]:
    """The migrations of an engine, in order."""
    folder = files("mdmserver.storage") / "migrations" / engine
    found = [
        Migration(number=int(match.group(1)), name=entry.name, sql=entry.read_text())
        for entry in folder.iterdir()
        if (match := _FILE_NAME.fullmatch(entry.name))
    ]
    return sorted(found, key=lambda migration: migration.number)


async def migrate(storage: Storage, engine: str, *, clock: Clock) -> list[str]:
    """Apply what is missing; the names of what was applied. Raises SchemaUnknown."""
    wanted = migrations(engine)

    async def body(tx: Transaction) -> list[str]:
        await tx.execute(_LEDGER)
        applied = {row[0]: row for row in await tx.fetch_all("SELECT number, name, hash FROM schema_migration")}
        _check(applied, wanted)
        missing = [migration for migration in wanted if migration.number not in applied]
        for migration in missing:
            for statement in statements(migration.sql):
                await tx.execute(statement)
            await tx.execute(
                "INSERT INTO schema_migration (number, name, hash, applied_at) VALUES (?, ?, ?, ?)",
                migration.number,
                migration.name,
                migration.hash,
                stored(clock()),
            )
        return [migration.name for migration in missing]

    return await storage.run(body)


def statements(sql: str) -> list[str]:
    """The statements of a file: each ends with `;` at the end of a line, a trigger with `END;` at the start of one."""
    found: list[str] = []
    lines: list[str] = []
    for line in sql.splitlines():
        if line.strip() and not line.lstrip().startswith("--"):
            lines.append(line)
        is_in_trigger = bool(lines) and lines[0].startswith("CREATE TRIGGER")
        if lines and (line.startswith("END;") if is_in_trigger else line.rstrip().endswith(";")):
            found.append("\n".join(lines))
            lines = []
    if lines:
        raise ValueError("a migration ends in the middle of a statement")
    return found


def _check(applied: dict[int, Row], wanted: list[Migration]) -> None:
    known = {migration.number: migration for migration in wanted}
    for number, row in applied.items():
        migration = known.get(number)
        if migration is None:
            raise SchemaUnknown(f"the database has migration {number}, which this version of mdmserver does not know")
        if row[2] != migration.hash:
            raise SchemaUnknown(f"migration {migration.name} was changed after it was applied")
