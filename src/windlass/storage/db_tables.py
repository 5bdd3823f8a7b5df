"""The database tables for SQLAlchemy Core. `migrations` creates them; a test compares the two.

Times are UTC seconds since 1970, as floats. JSON columns hold what `json.dumps` wrote.
"""

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# what a project declares, as the newest training or worker read it: core/project_spec.py
projects = Table(
    "projects",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("declaration", JSON, nullable=False),
    Column("updated_at", Float, nullable=False),
)

versions = Table(
    "versions",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("stage", String(10), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("trained_by", String(200), nullable=False),
    Column("job_id", String(64)),
    Column("pruned_at", Float),  # its bundle was removed; the row stays
    Column("facts", JSON, nullable=False),  # params, metrics, findings, engine, data digest
    Column("gates", JSON, nullable=False),  # how each gate went, at registration
    ForeignKeyConstraint(["project"], ["projects.name"]),
    UniqueConstraint("project", "digest"),
    UniqueConstraint("job_id"),
    CheckConstraint("number > 0", name="number"),
)
Index(
    "ix_versions_one_production",
    versions.c.project,
    unique=True,
    sqlite_where=text("stage = 'production'"),
    postgresql_where=text("stage = 'production'"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("action", String(10), nullable=False),
    Column("number", Integer, nullable=False),  # of the version that it is about
    Column("digest", String(64), nullable=False),  # of that version's bundle
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_at", Float, nullable=False),
    Column("previous", String(64), nullable=False),  # hash of the one before, or zeros
    Column("hash", String(64), nullable=False),
    ForeignKeyConstraint(["project", "number"], ["versions.project", "versions.number"]),
    UniqueConstraint("hash"),
)

keys = Table(
    "keys",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),  # SHA-256 of the key
    Column("role", String(10), nullable=False),
    Column("rate", Integer),  # requests a minute; null: the server's
    Column("created_at", Float, nullable=False),
    Column("revoked_at", Float),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("project", String(63), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("request", JSON, nullable=False),
    Column("idempotency_key", String(255)),
    Column("asked_by", String(200), nullable=False),
    Column("state", String(10), nullable=False),  # queued, running, succeeded, failed, cancelled
    Column("cancelling", Boolean, nullable=False, default=False),
    Column("progress", Float, nullable=False, default=0.0),  # 0..1
    Column("message", Text, nullable=False, default=""),
    Column("error", Text),
    Column("result", JSON),
    Column("worker", String(64)),  # who carries it out, or alone may
    Column("attempts", Integer, nullable=False, default=0),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    UniqueConstraint("project", "idempotency_key"),
)
Index(
    "ix_jobs_one_running",
    jobs.c.project,
    unique=True,
    sqlite_where=text("state = 'running'"),
    postgresql_where=text("state = 'running'"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("beat_at", Float, nullable=False),
)
