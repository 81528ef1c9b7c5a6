"""Services consulted beside a dossier: which request is about which dossier."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

CONSULTATIONS = """
create table consultations (
    dossier_id bigint not null constraint pk_consultations primary key
               constraint fk_consultations_dossier references dossiers,
    parent_id  bigint not null constraint fk_consultations_parent references dossiers,
    unit_id    integer not null constraint fk_consultations_unit references units
);
comment on table consultations is 'an avis: the request, itself a dossier, and the dossier that it is about';
comment on column consultations.unit_id is 'the service consulted';
create index ix_consultations_parent on consultations (parent_id);
"""


def upgrade() -> None:
    """Add a table: the program before this one goes on beside it."""
    op.execute(CONSULTATIONS)
