"""The tables, for reading and for everything that is not the hot write path. The first migration creates them."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import Boolean

Json = dict[str, Any]


class Base(DeclarativeBase):
    """Every table; integers are 4 bytes unless said, instants are aware UTC."""

    metadata = MetaData()
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy's own way)
        str: Text,
        int: Integer,
        bool: Boolean,
        datetime: DateTime(timezone=True),
        bytes: LargeBinary,
        Json: JSONB,
        uuid.UUID: UUID,
        float: Double,
    }


class BusinessClock(Base):
    """The time that dossiers live in: one row; frozen, jumped and sped up in the demo and the tests."""

    __tablename__ = "business_clock"
    __table_args__ = (
        PrimaryKeyConstraint("id"),
        CheckConstraint("id = 1", name="ck_business_clock_one_row"),
        CheckConstraint("rate > 0", name="ck_business_clock_rate"),
    )
    id: Mapped[int] = mapped_column(SmallInteger, server_default="1", autoincrement=False)
    anchor: Mapped[datetime]
    set_at: Mapped[datetime]
    rate: Mapped[float]
    running: Mapped[bool]
    until: Mapped[datetime | None]


class Unit(Base):
    """An administration, or a part of one, that can hold a dossier. Closed by `valid_to`, never deleted."""

    __tablename__ = "units"
    __table_args__ = (
        UniqueConstraint("code", name="uq_units_code"),
        ForeignKeyConstraint(["parent_id"], ["units.id"], name="fk_units_parent"),
        CheckConstraint("valid_from < valid_to", name="ck_units_valid"),
        Index("ix_units_parent", "parent_id"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    code: Mapped[str]
    name: Mapped[str]
    level: Mapped[str]
    mailbox: Mapped[str | None]
    telephone: Mapped[str | None]
    zone: Mapped[str] = mapped_column(server_default="Europe/Paris")
    valid_from: Mapped[datetime | None]
    valid_to: Mapped[datetime | None]
    kinds: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    areas: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    topics: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    parent_id: Mapped[int | None]
    calendar: Mapped[str | None]
    note: Mapped[str | None]
    confidence: Mapped[str | None]
    source: Mapped[str | None]


class Territory(Base):
    """A Territoire d'industrie within one perimeter: another perimeter, or another name, is another row from its date on."""

    __tablename__ = "territories"
    __table_args__ = (
        UniqueConstraint("code", "valid_from", name="uq_territories_version"),
        CheckConstraint("valid_from < valid_to", name="ck_territories_valid"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    code: Mapped[str]
    name: Mapped[str]
    valid_from: Mapped[date]
    valid_to: Mapped[date | None]


class TerritoryMember(Base):
    """A group of communes, or a commune alone, that belongs to a territory."""

    __tablename__ = "territory_members"
    __table_args__ = (
        PrimaryKeyConstraint("territory_id", "area", name="pk_territory_members"),
        ForeignKeyConstraint(["territory_id"], ["territories.id"], name="fk_territory_members"),
    )
    territory_id: Mapped[int]
    area: Mapped[str]


class Person(Base):
    """A person: the only place where a name and an address stand."""

    __tablename__ = "persons"
    __table_args__ = (UniqueConstraint("login", name="uq_persons_login"),)
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    login: Mapped[str]
    name: Mapped[str]
    mail: Mapped[str | None]


class Membership(Base):
    """A person in a role, in a unit (none for a holder), for a while."""

    __tablename__ = "memberships"
    __table_args__ = (
        ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_memberships_person"),
        ForeignKeyConstraint(["unit_id"], ["units.id"], name="fk_memberships_unit"),
        CheckConstraint("valid_from < valid_to", name="ck_memberships_valid"),
        Index("ix_memberships_unit", "unit_id", "role"),
        Index("ix_memberships_person", "person_id"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    person_id: Mapped[int]
    unit_id: Mapped[int | None]
    role: Mapped[str]
    valid_from: Mapped[datetime | None]
    valid_to: Mapped[datetime | None]


class Absence(Base):
    """A person who is away from an instant until another, and who stands in."""

    __tablename__ = "absences"
    __table_args__ = (
        ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_absences_person"),
        ForeignKeyConstraint(["substitute_id"], ["persons.id"], name="fk_absences_substitute"),
        CheckConstraint("begins < ends", name="ck_absences_span"),
        CheckConstraint("substitute_id <> person_id", name="ck_absences_substitute"),
        Index("ix_absences_person", "person_id", "ends"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    person_id: Mapped[int]
    substitute_id: Mapped[int | None]
    begins: Mapped[datetime]
    ends: Mapped[datetime]


class Vacancy(Base):
    """An administration that held open dossiers while nobody was there."""

    __tablename__ = "vacancies"
    __table_args__ = (
        ForeignKeyConstraint(["unit_id"], ["units.id"], name="fk_vacancies_unit"),
        CheckConstraint("since <= until", name="ck_vacancies_span"),
        Index("uq_vacancies_open", "unit_id", unique=True, postgresql_where=text("until is null")),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    unit_id: Mapped[int]
    since: Mapped[datetime]
    until: Mapped[datetime | None]


class Preference(Base):
    """How a person wants to be reminded."""

    __tablename__ = "preferences"
    __table_args__ = (
        PrimaryKeyConstraint("person_id", name="pk_preferences"),
        ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_preferences_person"),
        CheckConstraint("reminders in ('immediate', 'daily', 'none')", name="ck_preferences_reminders"),
    )
    person_id: Mapped[int] = mapped_column(autoincrement=False)
    reminders: Mapped[str]


class Commune(Base):
    """A commune by its INSEE code."""

    __tablename__ = "communes"
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class Competence(Base):
    """Which unit stands on a rung for a topic in an area (a commune, a département, or `*`); none is a vacancy."""

    __tablename__ = "competences"
    __table_args__ = (
        PrimaryKeyConstraint("topic", "area", "rung", name="pk_competences"),
        ForeignKeyConstraint(["unit_id"], ["units.id"], name="fk_competences_unit"),
    )
    topic: Mapped[str]
    area: Mapped[str]
    rung: Mapped[int] = mapped_column(SmallInteger)
    unit_id: Mapped[int | None]


class Directory(Base):
    """The revision of the directory: whoever caches it compares."""

    __tablename__ = "directory"
    __table_args__ = (PrimaryKeyConstraint("id"), CheckConstraint("id = 1", name="ck_directory_one_row"))
    id: Mapped[int] = mapped_column(SmallInteger, server_default="1", autoincrement=False)
    revision: Mapped[int] = mapped_column(BigInteger)


class AlmanacRow(Base):
    """A version of a calendar, or of the table of legal limits, that clocks name. Never changes; the last of a code holds."""

    __tablename__ = "almanac"
    __table_args__ = (
        CheckConstraint("kind in ('calendar', 'rules')", name="ck_almanac_kind"),
        Index("ix_almanac_code", "kind", "code", "id"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    kind: Mapped[str]
    code: Mapped[str]
    digest: Mapped[str]
    body: Mapped[Json]
    own: Mapped[bool]
    who: Mapped[str]
    why: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class DefinitionRow(Base):
    """A version of a workflow definition, under the digest of its meaning. Never changes; published once."""

    __tablename__ = "definitions"
    __table_args__ = (
        UniqueConstraint("digest", name="uq_definitions_digest"),
        CheckConstraint("state in ('draft', 'published', 'suspended')", name="ck_definitions_state"),
        Index("ix_definitions_name", "name", "version"),
        Index(
            "uq_definitions_published",
            "name",
            "version",
            unique=True,
            postgresql_where=text("published_at is not null"),
        ),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str]
    version: Mapped[int]
    digest: Mapped[str]
    body: Mapped[Json]
    schema: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str]
    why: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    published_at: Mapped[datetime | None]


class DossierRow(Base):
    """A dossier: exactly what its journal folds to, and when the clock must next look at it."""

    __tablename__ = "dossiers"
    __table_args__ = (
        UniqueConstraint("reference", name="uq_dossiers_reference"),
        UniqueConstraint("submit_key", name="uq_dossiers_submit_key"),
        CheckConstraint("phase in ('submitted', 'triaged', 'escalated', 'resolved')", name="ck_dossiers_phase"),
        CheckConstraint("seq > 0", name="ck_dossiers_seq"),
        CheckConstraint("length(head) = 32", name="ck_dossiers_head"),
        CheckConstraint("(phase = 'resolved') = (wake_at is null)", name="ck_dossiers_open_wakes"),
        CheckConstraint("wake_at > at", name="ck_dossiers_wakes_later"),
        CheckConstraint("(phase = 'resolved') = (closed_at is not null)", name="ck_dossiers_closed"),
        Index("ix_dossiers_wake", "wake_at", postgresql_where=text("wake_at is not null and not stuck")),
        Index(
            "ix_dossiers_pressing",
            "unit_id",
            text("coalesce(due_at, 'infinity')"),
            "id",
            postgresql_where=text("phase <> 'resolved'"),
        ),
        Index(
            "ix_dossiers_all_pressing",
            text("coalesce(due_at, 'infinity')"),
            "id",
            postgresql_where=text("phase <> 'resolved'"),
        ),
        Index("ix_dossiers_units", "units", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    reference: Mapped[str]
    definition_id: Mapped[int]
    state: Mapped[str]
    phase: Mapped[str]
    seq: Mapped[int]
    version: Mapped[int]
    at: Mapped[datetime]
    unit_id: Mapped[int | None]
    rung: Mapped[int | None] = mapped_column(SmallInteger)
    assignee_id: Mapped[int | None]
    pinned: Mapped[bool]
    outcome: Mapped[str | None]
    units: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    clocks: Mapped[Json]
    holds: Mapped[list[Json]] = mapped_column(JSONB)
    data: Mapped[Json]
    closed_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    wake_at: Mapped[datetime | None]
    head: Mapped[bytes]
    stuck: Mapped[bool] = mapped_column(server_default=text("false"))
    submit_key: Mapped[str | None]


class Party(Base):
    """A person on the holder's side of a dossier; all have equal rights."""

    __tablename__ = "parties"
    __table_args__ = (
        PrimaryKeyConstraint("dossier_id", "person_id", name="pk_parties"),
        ForeignKeyConstraint(["dossier_id"], ["dossiers.id"], name="fk_parties_dossier"),
        ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_parties_person"),
        Index("ix_parties_person", "person_id"),
    )
    dossier_id: Mapped[int] = mapped_column(BigInteger)
    person_id: Mapped[int]


class Consultation(Base):
    """An avis: the request, a dossier of its own, and the dossier that it is about; `unit_id` is the service consulted."""

    __tablename__ = "consultations"
    __table_args__ = (
        PrimaryKeyConstraint("dossier_id", name="pk_consultations"),
        ForeignKeyConstraint(["dossier_id"], ["dossiers.id"], name="fk_consultations_dossier"),
        ForeignKeyConstraint(["parent_id"], ["dossiers.id"], name="fk_consultations_parent"),
        ForeignKeyConstraint(["unit_id"], ["units.id"], name="fk_consultations_unit"),
        Index("ix_consultations_parent", "parent_id"),
    )
    dossier_id: Mapped[int] = mapped_column(BigInteger, autoincrement=False)
    parent_id: Mapped[int] = mapped_column(BigInteger)
    unit_id: Mapped[int]


class TextRow(Base):
    """What a person wrote: erasable, while the journal keeps a salted digest."""

    __tablename__ = "texts"
    __table_args__ = (
        CheckConstraint(
            "(body is null) = (erased_at is not null) and (salt is null) = (body is null)",
            name="ck_texts_erased",
        ),
        Index("ix_texts_dossier", "dossier_id"),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    dossier_id: Mapped[int] = mapped_column(BigInteger)
    field: Mapped[str]
    salt: Mapped[bytes | None]
    body: Mapped[str | None]
    erased_at: Mapped[datetime | None]


class Content(Base):
    """What is in the folder of files, each content once, by its hash."""

    __tablename__ = "contents"
    __table_args__ = (
        CheckConstraint("length(sha256) = 32", name="ck_contents_sha256"),
        CheckConstraint("size > 0", name="ck_contents_size"),
        CheckConstraint("verdict in ('clean', 'infected')", name="ck_contents_verdict"),
        CheckConstraint("(verdict is null) = (scanned_at is null)", name="ck_contents_scanned"),
        Index("ix_contents_waiting", "next_at", "sha256", postgresql_where=text("verdict is null and gone_at is null")),
    )
    sha256: Mapped[bytes] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    kept_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    verdict: Mapped[str | None]
    found: Mapped[str | None]
    scanned_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    why: Mapped[str | None]
    gone_at: Mapped[datetime | None]


class FileRow(Base):
    """A content in a dossier, by the event of the journal that says so."""

    __tablename__ = "files"
    __table_args__ = (
        ForeignKeyConstraint(["dossier_id"], ["dossiers.id"], name="fk_files_dossier"),
        ForeignKeyConstraint(["sha256"], ["contents.sha256"], name="fk_files_content"),
        ForeignKeyConstraint(["name_id"], ["texts.id"], name="fk_files_name"),
        UniqueConstraint("dossier_id", "seq", name="uq_files_event"),
        CheckConstraint("audience in ('holder', 'inside')", name="ck_files_audience"),
        Index("ix_files_content", "sha256"),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    dossier_id: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int]
    sha256: Mapped[bytes]
    name_id: Mapped[uuid.UUID]
    type: Mapped[str]
    audience: Mapped[str]
    reserved: Mapped[bool] = mapped_column(server_default=text("false"))
    erased_at: Mapped[datetime | None]


class FileRead(Base):
    """Who downloaded what, in the time of dossiers."""

    __tablename__ = "file_reads"
    __table_args__ = (
        ForeignKeyConstraint(["file_id"], ["files.id"], name="fk_file_reads_file"),
        ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_file_reads_person"),
        ForeignKeyConstraint(["unit_id"], ["units.id"], name="fk_file_reads_unit"),
        Index("ix_file_reads_file", "file_id", "id"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    file_id: Mapped[uuid.UUID]
    at: Mapped[datetime] = mapped_column(server_default=text("business_now()"))
    person_id: Mapped[int | None]
    unit_id: Mapped[int | None]
    role: Mapped[str]


class Confidentiality(Base):
    """The marks of a dossier, as its journal last set them; a dossier without a row has none."""

    __tablename__ = "confidentialities"
    __table_args__ = (
        ForeignKeyConstraint(["dossier_id"], ["dossiers.id"], name="fk_confidentialities_dossier"),
        ForeignKeyConstraint(["code_name"], ["texts.id"], name="fk_confidentialities_code_name"),
    )
    dossier_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    code_name: Mapped[uuid.UUID | None]
    reserved: Mapped[bool]
    elected: Mapped[bool]


class ReadingRow(Base):
    """Who read a dossier that is marked, in the time of dossiers: a line a person, dossier and day. Append-only."""

    __tablename__ = "readings"
    __table_args__ = (
        ForeignKeyConstraint(["dossier_id"], ["dossiers.id"], name="fk_readings_dossier"),
        ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_readings_person"),
        ForeignKeyConstraint(["unit_id"], ["units.id"], name="fk_readings_unit"),
        UniqueConstraint(
            "dossier_id",
            "person_id",
            "unit_id",
            "role",
            "day",
            name="uq_readings_day",
            postgresql_nulls_not_distinct=True,
        ),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    dossier_id: Mapped[int] = mapped_column(BigInteger)
    person_id: Mapped[int | None]
    unit_id: Mapped[int | None]
    role: Mapped[str]
    day: Mapped[date] = mapped_column(server_default=text("((business_now() at time zone 'Europe/Paris')::date)"))
    at: Mapped[datetime] = mapped_column(server_default=text("business_now()"))


class EventRow(Base):
    """The journal: append-only, gapless and hash-chained in a dossier, partitioned by range of dossiers."""

    __tablename__ = "events"
    __table_args__ = (
        PrimaryKeyConstraint("dossier_id", "seq", name="pk_events"),
        CheckConstraint("seq > 0", name="ck_events_seq"),
        CheckConstraint("effective <= at", name="ck_events_effective"),
        CheckConstraint("length(hash) = 32", name="ck_events_hash"),
        Index("uq_events_fired", "dossier_id", "fired", unique=True, postgresql_where=text("fired is not null")),
        Index("uq_events_idem", "dossier_id", "idem", unique=True, postgresql_where=text("idem is not null")),
        {"postgresql_partition_by": "RANGE (dossier_id)"},
    )
    dossier_id: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int] = mapped_column(autoincrement=False)
    at: Mapped[datetime]
    effective: Mapped[datetime]
    kind: Mapped[str]
    person_id: Mapped[int | None]
    unit_id: Mapped[int | None]
    role: Mapped[str]
    definition_id: Mapped[int]
    shape: Mapped[int] = mapped_column(SmallInteger)
    command: Mapped[Json]
    facts: Mapped[Json]
    effect: Mapped[Json]
    fired: Mapped[str | None]
    idem: Mapped[str | None]
    hash: Mapped[bytes]


class Pending(Base):
    """An event not yet reacted to."""

    __tablename__ = "pending"
    __table_args__ = (PrimaryKeyConstraint("lane", "dossier_id", "seq", name="pk_pending"),)
    dossier_id: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int]
    definition_id: Mapped[int]
    shape: Mapped[int] = mapped_column(SmallInteger)
    lane: Mapped[int] = mapped_column(SmallInteger, autoincrement=False)


class ReactionFailure(Base):
    """A subscriber that failed on an event: retried alone, then given up for a person to see."""

    __tablename__ = "reaction_failures"
    __table_args__ = (
        PrimaryKeyConstraint("dossier_id", "seq", "subscriber", name="pk_reaction_failures"),
        Index("ix_reaction_failures_next", "next_at", postgresql_where=text("next_at is not null")),
    )
    dossier_id: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int]
    subscriber: Mapped[str]
    attempts: Mapped[int]
    next_at: Mapped[datetime | None]
    error: Mapped[str]


class Reacted(Base):
    """How many events of a dossier were reacted to; with `pending` it adds up to `seq`, or something was lost."""

    __tablename__ = "reacted"
    dossier_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    events: Mapped[int]


class FactsRow(Base):
    """What a dossier adds to the counters, by its journal up to `seq`."""

    __tablename__ = "facts"
    __table_args__ = (Index("ix_facts_month", "month"),)
    dossier_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    seq: Mapped[int]
    month: Mapped[date | None]
    counted: Mapped[list[Json]] = mapped_column(JSONB)


class CounterRow(Base):
    """The sum of what dossiers add under one key."""

    __tablename__ = "counters"
    __table_args__ = (
        PrimaryKeyConstraint(
            "month", "departement", "topic", "definition", "unit_id", "rung", "family", "clock", "measure", "due",
            name="pk_counters",
        ),
    )  # fmt: skip
    month: Mapped[date]
    departement: Mapped[str]
    topic: Mapped[str]
    definition: Mapped[str]
    unit_id: Mapped[int]
    rung: Mapped[str]
    family: Mapped[str]
    clock: Mapped[str]
    measure: Mapped[str]
    due: Mapped[str]
    value: Mapped[int] = mapped_column(BigInteger)


class Notice(Base):
    """What is to be told, to which seat, because of which event; sent at least once, under one message id."""

    __tablename__ = "notices"
    __table_args__ = (
        UniqueConstraint("message_id", name="uq_notices_message"),
        UniqueConstraint("dossier_id", "seq", "subscriber", "target", name="uq_notices_once"),
        CheckConstraint("state in ('queued', 'sent', 'void', 'dead', 'held')", name="ck_notices_state"),
        CheckConstraint("(state = 'sent') = (sent_at is not null)", name="ck_notices_sent"),
        Index("ix_notices_queued", "next_at", "id", postgresql_where=text("state = 'queued'")),
        Index(
            "ix_notices_webhook",
            "target",
            "next_at",
            "id",
            postgresql_where=text("state = 'queued' and subscriber = 'webhooks'"),
        ),
        Index("ix_notices_webhook_log", "target", "id", postgresql_where=text("subscriber = 'webhooks'")),
        Index("ix_notices_aside", "state", "id", postgresql_where=text("state in ('dead', 'held', 'void')")),
        Index(
            "ix_notices_digest",
            "digest_unit_id",
            postgresql_where=text("state = 'queued' and digest_unit_id is not null"),
        ),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    message_id: Mapped[uuid.UUID] = mapped_column(server_default=text("gen_random_uuid()"))
    dossier_id: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int]
    subscriber: Mapped[str]
    target: Mapped[str]
    cause: Mapped[Json]
    not_before: Mapped[datetime]
    state: Mapped[str] = mapped_column(server_default="queued")
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    why: Mapped[str | None]
    sent_to: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    made_at: Mapped[datetime | None] = mapped_column(server_default=text("clock_timestamp()"))
    digest_unit_id: Mapped[int | None]


class Webhook(Base):
    """A program elsewhere that is told of events: of one administration, of one territory, or all."""

    __tablename__ = "webhooks"
    __table_args__ = (
        ForeignKeyConstraint(["unit_id"], ["units.id"], name="fk_webhooks_unit"),
        ForeignKeyConstraint(["author_id"], ["persons.id"], name="fk_webhooks_author"),
        UniqueConstraint("idem", name="uq_webhooks_idem"),
        CheckConstraint("unit_id is null or territory is null", name="ck_webhooks_scope"),
        CheckConstraint("cardinality(kinds) > 0", name="ck_webhooks_kinds"),
        CheckConstraint("(disabled_at is null) = (disabled_why is null)", name="ck_webhooks_disabled"),
        CheckConstraint("(failures = 0) = (failing_since is null)", name="ck_webhooks_failing"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    url: Mapped[str]
    unit_id: Mapped[int | None]
    territory: Mapped[str | None]
    kinds: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    author_id: Mapped[int | None]
    author: Mapped[str]
    idem: Mapped[str | None]
    made_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    disabled_at: Mapped[datetime | None]
    disabled_why: Mapped[str | None]
    failing_since: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(server_default="0")
    rests_until: Mapped[datetime | None]


class WebhookSecret(Base):
    """A secret that signs what a webhook is sent, until it ends."""

    __tablename__ = "webhook_secrets"
    __table_args__ = (
        ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], name="fk_webhook_secrets"),
        CheckConstraint("length(secret) between 24 and 64", name="ck_webhook_secrets_length"),
        Index("ix_webhook_secrets", "webhook_id"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    webhook_id: Mapped[int]
    secret: Mapped[bytes]
    made_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    ends_at: Mapped[datetime | None]


class Stuck(Base):
    """A dossier that the clock could not handle: out of its way, retried alone, shown to a person."""

    __tablename__ = "stuck"
    __table_args__ = (
        CheckConstraint(
            "(skipped_at is null) = (skipped_by is null) and (skipped_at is null) = (skipped_why is null)",
            name="ck_stuck_skipped",
        ),
    )
    dossier_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    error: Mapped[str]
    since: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    attempts: Mapped[int] = mapped_column(server_default="1")
    retry_at: Mapped[datetime]
    skipped_at: Mapped[datetime | None]
    skipped_by: Mapped[str | None]
    skipped_why: Mapped[str | None]


class SweepBatch(Base):
    """A batch begun and not finished; one that killed its worker is halved at the next start."""

    __tablename__ = "sweep_batches"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    started_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Heartbeat(Base):
    """Who last did what, in real time: liveness is a row written by a task."""

    __tablename__ = "heartbeats"
    name: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    note: Mapped[str | None]


class Operation(Base):
    """What an operator did, in real time: keys and reasons, no content."""

    __tablename__ = "operations"
    __table_args__ = (Index("ix_operations_what", "what", "at"),)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    what: Mapped[str]
    who: Mapped[str]
    why: Mapped[str | None]
    subject: Mapped[Json]


class Installation(Base):
    """Which database delivers, written by its first delivery; a copy finds that it is another one, and holds."""

    __tablename__ = "installation"
    __table_args__ = (
        PrimaryKeyConstraint("id"),
        CheckConstraint("id = 1", name="ck_installation_one_row"),
        CheckConstraint("(held_at is null) = (held_why is null)", name="ck_installation_held"),
    )
    id: Mapped[int] = mapped_column(SmallInteger, server_default="1", autoincrement=False)
    system_identifier: Mapped[int] = mapped_column(BigInteger)
    database_oid: Mapped[int] = mapped_column(BigInteger)
    since: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    held_at: Mapped[datetime | None]
    held_why: Mapped[str | None]


class SweepRow(Base):
    """What one batch of the clock did, kept for a day: dossiers by how late it acted."""

    __tablename__ = "sweeps"
    __table_args__ = (Index("ix_sweeps_at", "at"),)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    done: Mapped[int]
    stuck: Mapped[int]
    late: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    late_sum: Mapped[float]
    late_most: Mapped[float]


class Account(Base):
    """How a person signs in; none signs in by mail alone."""

    __tablename__ = "accounts"
    __table_args__ = (ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_accounts_person"),)
    person_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    password: Mapped[str | None]
    changed_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    closed_at: Mapped[datetime | None]


class WebSession(Base):
    """A person at work in a browser, in one of their seats; known by the digest of a cookie."""

    __tablename__ = "web_sessions"
    __table_args__ = (
        ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_web_sessions_person"),
        ForeignKeyConstraint(["unit_id"], ["units.id"], name="fk_web_sessions_unit"),
        CheckConstraint("length(digest) = 32", name="ck_web_sessions_digest"),
        Index("ix_web_sessions_person", "person_id"),
        Index("ix_web_sessions_ends", "ends_at"),
    )
    digest: Mapped[bytes] = mapped_column(primary_key=True)
    person_id: Mapped[int]
    unit_id: Mapped[int | None]
    role: Mapped[str | None]
    csrf: Mapped[str]
    id_token: Mapped[str | None]
    began_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    ends_at: Mapped[datetime]


class LinkedIdentity(Base):
    """Whom an OpenID provider knows by `sub`: the person that they are here."""

    __tablename__ = "identities"
    __table_args__ = (
        ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_identities_person"),
        UniqueConstraint("issuer", "person_id", name="uq_identities_person"),
    )
    issuer: Mapped[str] = mapped_column(primary_key=True)
    sub: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[int]
    linked_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Leaving(Base):
    """Somebody who was sent to an OpenID provider and is awaited; known by the digest of a cookie, for a while, once."""

    __tablename__ = "leavings"
    __table_args__ = (
        CheckConstraint("length(digest) = 32", name="ck_leavings_digest"),
        Index("ix_leavings_ends", "ends_at"),
    )
    digest: Mapped[bytes] = mapped_column(primary_key=True)
    state: Mapped[str]
    nonce: Mapped[str]
    verifier: Mapped[str]
    goes_on: Mapped[str]
    kept: Mapped[str]
    ends_at: Mapped[datetime]


class SignInLink(Base):
    """A letter that lets somebody sign in once; its secret is made as it leaves."""

    __tablename__ = "sign_in_links"
    __table_args__ = (
        ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_sign_in_links_person"),
        UniqueConstraint("digest", name="uq_sign_in_links_digest"),
        CheckConstraint("state in ('queued', 'sent', 'dead')", name="ck_sign_in_links_state"),
        Index("ix_sign_in_links_queued", "next_at", "id", postgresql_where=text("state = 'queued'")),
        Index("ix_sign_in_links_asked", "asked_at"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    message_id: Mapped[uuid.UUID] = mapped_column(server_default=text("gen_random_uuid()"))
    person_id: Mapped[int]
    asked_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    state: Mapped[str] = mapped_column(server_default="queued")
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    digest: Mapped[bytes | None]
    ends_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    why: Mapped[str | None]


class Invitation(Base):
    """Somebody invited to be a party of a dossier; the secret of the letter is made as it leaves."""

    __tablename__ = "invitations"
    __table_args__ = (
        ForeignKeyConstraint(["dossier_id"], ["dossiers.id"], name="fk_invitations_dossier"),
        ForeignKeyConstraint(["inviter_id"], ["persons.id"], name="fk_invitations_inviter"),
        ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_invitations_person"),
        UniqueConstraint("digest", name="uq_invitations_digest"),
        CheckConstraint("side in ('elected', 'company')", name="ck_invitations_side"),
        CheckConstraint("state in ('queued', 'sent', 'dead')", name="ck_invitations_state"),
        CheckConstraint("(accepted_at is null) = (person_id is null)", name="ck_invitations_accepted"),
        CheckConstraint("accepted_at is null or withdrawn_at is null", name="ck_invitations_one_end"),
        Index(
            "uq_invitations_open",
            "dossier_id",
            text("lower(mail)"),
            unique=True,
            postgresql_where=text("accepted_at is null and withdrawn_at is null"),
        ),
        Index("ix_invitations_dossier", "dossier_id", "id"),
        Index(
            "ix_invitations_queued",
            "next_at",
            "id",
            postgresql_where=text("state = 'queued' and accepted_at is null and withdrawn_at is null"),
        ),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    message_id: Mapped[uuid.UUID] = mapped_column(server_default=text("gen_random_uuid()"))
    dossier_id: Mapped[int] = mapped_column(BigInteger)
    inviter_id: Mapped[int]
    side: Mapped[str]
    mail: Mapped[str | None]
    asked_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    state: Mapped[str] = mapped_column(server_default="queued")
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    digest: Mapped[bytes | None]
    ends_at: Mapped[datetime | None]
    again_at: Mapped[datetime | None]
    accepted_at: Mapped[datetime | None]
    person_id: Mapped[int | None]
    withdrawn_at: Mapped[datetime | None]
    why: Mapped[str | None]


class MonthlyLetter(Base):
    """The report of a month as a letter to one manager."""

    __tablename__ = "monthly_letters"
    __table_args__ = (
        ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_monthly_letters_person"),
        UniqueConstraint("person_id", "month", name="uq_monthly_letters_once"),
        CheckConstraint("state in ('queued', 'sent', 'void', 'dead')", name="ck_monthly_letters_state"),
        Index("ix_monthly_letters_queued", "next_at", "id", postgresql_where=text("state = 'queued'")),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    message_id: Mapped[uuid.UUID] = mapped_column(server_default=text("gen_random_uuid()"))
    person_id: Mapped[int]
    month: Mapped[date]
    state: Mapped[str] = mapped_column(server_default="queued")
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    why: Mapped[str | None]


class Meeting(Base):
    """A meeting of a unit on its dossiers."""

    __tablename__ = "meetings"
    __table_args__ = (
        ForeignKeyConstraint(["unit_id"], ["units.id"], name="fk_meetings_unit"),
        ForeignKeyConstraint(["chair_id"], ["persons.id"], name="fk_meetings_chair"),
        UniqueConstraint("unit_id", "day", name="uq_meetings_day"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    unit_id: Mapped[int]
    day: Mapped[date]
    chair_id: Mapped[int]
    closed_at: Mapped[datetime | None]


class AgendaItem(Base):
    """A dossier on the agenda of a meeting."""

    __tablename__ = "agenda_items"
    __table_args__ = (
        PrimaryKeyConstraint("meeting_id", "dossier_id", name="pk_agenda_items"),
        ForeignKeyConstraint(["meeting_id"], ["meetings.id"], name="fk_agenda_items_meeting"),
        ForeignKeyConstraint(["dossier_id"], ["dossiers.id"], name="fk_agenda_items_dossier"),
        Index("ix_agenda_items_dossier", "dossier_id"),
    )
    meeting_id: Mapped[int] = mapped_column(BigInteger)
    dossier_id: Mapped[int] = mapped_column(BigInteger)
    place: Mapped[int]


class MeetingDecision(Base):
    """What a meeting decided on a dossier: the note that says it, and by when it is to be done."""

    __tablename__ = "meeting_decisions"
    __table_args__ = (
        PrimaryKeyConstraint("dossier_id", "seq", name="pk_meeting_decisions"),
        ForeignKeyConstraint(
            ["meeting_id", "dossier_id"], ["agenda_items.meeting_id", "agenda_items.dossier_id"],
            name="fk_meeting_decisions_item",
        ),
        Index("ix_meeting_decisions_meeting", "meeting_id", "dossier_id", "seq"),
        Index("ix_meeting_decisions_due", "due", postgresql_where=text("due is not null and done_at is null")),
    )  # fmt: skip
    dossier_id: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int]
    meeting_id: Mapped[int] = mapped_column(BigInteger)
    due: Mapped[date | None]
    done_at: Mapped[datetime | None]


class MinutesRow(Base):
    """The minutes of a meeting as a letter to one unit."""

    __tablename__ = "minutes"
    __table_args__ = (
        ForeignKeyConstraint(["meeting_id"], ["meetings.id"], name="fk_minutes_meeting"),
        ForeignKeyConstraint(["unit_id"], ["units.id"], name="fk_minutes_unit"),
        UniqueConstraint("meeting_id", "unit_id", name="uq_minutes_once"),
        CheckConstraint("state in ('queued', 'sent', 'dead')", name="ck_minutes_state"),
        Index("ix_minutes_queued", "next_at", "id", postgresql_where=text("state = 'queued'")),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    message_id: Mapped[uuid.UUID] = mapped_column(server_default=text("gen_random_uuid()"))
    meeting_id: Mapped[int] = mapped_column(BigInteger)
    unit_id: Mapped[int]
    state: Mapped[str] = mapped_column(server_default="queued")
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    why: Mapped[str | None]


class SavedViewRow(Base):
    """A name that a person gives to the filters of a queue."""

    __tablename__ = "saved_views"
    __table_args__ = (
        ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_saved_views_person"),
        UniqueConstraint("person_id", "name", name="uq_saved_views_name"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    person_id: Mapped[int]
    name: Mapped[str]
    filters: Mapped[str]


class Draft(Base):
    """What a holder has typed and not yet submitted."""

    __tablename__ = "drafts"
    __table_args__ = (
        ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_drafts_person"),
        Index("ix_drafts_person", "person_id", "saved_at"),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    person_id: Mapped[int]
    fields: Mapped[Json]
    saved_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class ApiToken(Base):
    """A program that acts for a person in one seat, within its scopes, until a date."""

    __tablename__ = "api_tokens"
    __table_args__ = (
        ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_api_tokens_person"),
        ForeignKeyConstraint(["unit_id"], ["units.id"], name="fk_api_tokens_unit"),
        UniqueConstraint("digest", name="uq_api_tokens_digest"),
        Index("ix_api_tokens_person", "person_id"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    person_id: Mapped[int]
    unit_id: Mapped[int | None]
    role: Mapped[str]
    name: Mapped[str]
    digest: Mapped[bytes]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    made_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    ends_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class Attempts(Base):
    """How often something was tried in a window of real time."""

    __tablename__ = "attempts"
    __table_args__ = (Index("ix_attempts_since", "since"),)
    name: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime]
    number: Mapped[int]
