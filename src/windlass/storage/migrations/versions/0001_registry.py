"""Projects, versions, decisions, keys, jobs and workers."""

from alembic import op
from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    String,
    Text,
    UniqueConstraint,
    text,
)

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    _projects_and_versions()
    _decisions()
    _keys()
    _jobs_and_workers()


def _projects_and_versions() -> None:
    op.create_table(
        "projects",
        Column("name", String(63), nullable=False),
        Column("declaration", JSON, nullable=False),
        Column("updated_at", Float, nullable=False),
        PrimaryKeyConstraint("name", name=op.f("pk_projects")),
    )
    op.create_table(
        "versions",
        Column("project", String(63), nullable=False),
        Column("number", Integer, nullable=False),
        Column("digest", String(64), nullable=False),
        Column("stage", String(10), nullable=False),
        Column("created_at", Float, nullable=False),
        Column("trained_by", String(200), nullable=False),
        Column("job_id", String(64)),
        Column("pruned_at", Float),
        Column("facts", JSON, nullable=False),
        Column("gates", JSON, nullable=False),
        PrimaryKeyConstraint("project", "number", name=op.f("pk_versions")),
        ForeignKeyConstraint(["project"], ["projects.name"], name=op.f("fk_versions_project")),
        UniqueConstraint("project", "digest", name=op.f("uq_versions_project_digest")),
        UniqueConstraint("job_id", name=op.f("uq_versions_job_id")),
        CheckConstraint("number > 0", name=op.f("ck_versions_number")),
    )
    _one_a_project("ix_versions_one_production", "versions", "stage = 'production'")


def _decisions() -> None:
    op.create_table(
        "decisions",
        Column("project", String(63), nullable=False),
        Column("sequence", Integer, nullable=False),
        Column("action", String(10), nullable=False),
        Column("number", Integer, nullable=False),
        Column("digest", String(64), nullable=False),
        Column("actor", String(200), nullable=False),
        Column("reason", Text, nullable=False),
        Column("decided_at", Float, nullable=False),
        Column("previous", String(64), nullable=False),
        Column("hash", String(64), nullable=False),
        PrimaryKeyConstraint("project", "sequence", name=op.f("pk_decisions")),
        ForeignKeyConstraint(
            ["project", "number"],
            ["versions.project", "versions.number"],
            name=op.f("fk_decisions_project_number"),
        ),
        UniqueConstraint("hash", name=op.f("uq_decisions_hash")),
    )


def _keys() -> None:
    op.create_table(
        "keys",
        Column("name", String(63), nullable=False),
        Column("hash", String(64), nullable=False),
        Column("role", String(10), nullable=False),
        Column("rate", Integer),
        Column("created_at", Float, nullable=False),
        Column("revoked_at", Float),
        PrimaryKeyConstraint("name", name=op.f("pk_keys")),
        UniqueConstraint("hash", name=op.f("uq_keys_hash")),
    )


def _jobs_and_workers() -> None:
    op.create_table(
        "jobs",
        Column("id", String(64), nullable=False),
        Column("project", String(63), nullable=False),
        Column("kind", String(20), nullable=False),
        Column("request", JSON, nullable=False),
        Column("idempotency_key", String(255)),
        Column("asked_by", String(200), nullable=False),
        Column("state", String(10), nullable=False),
        Column("cancelling", Boolean, nullable=False),
        Column("progress", Float, nullable=False),
        Column("message", Text, nullable=False),
        Column("error", Text),
        Column("result", JSON),
        Column("worker", String(64)),
        Column("attempts", Integer, nullable=False),
        Column("created_at", Float, nullable=False),
        Column("started_at", Float),
        Column("finished_at", Float),
        PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        UniqueConstraint(
            "project", "idempotency_key", name=op.f("uq_jobs_project_idempotency_key")
        ),
    )
    _one_a_project("ix_jobs_one_running", "jobs", "state = 'running'")
    op.create_table(
        "workers",
        Column("id", String(64), nullable=False),
        Column("host", String(255), nullable=False),
        Column("pid", Integer, nullable=False),
        Column("started_at", Float, nullable=False),
        Column("beat_at", Float, nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )


def _one_a_project(name: str, table: str, where: str) -> None:
    """An index that lets one row a project be so."""
    op.create_index(
        name,
        table,
        ["project"],
        unique=True,
        sqlite_where=text(where),
        postgresql_where=text(where),
    )
