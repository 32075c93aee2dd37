"""Where work items, subscriptions and event reports are recorded."""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from serving.records.base import Base

WORKITEMS = Table(
    "workitems",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("institution", String(64), nullable=False),
    Column("uid", String(64), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("transaction_uid", String(64), nullable=False),
    Column("attributes", Text, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("institution", "uid"),
)
"""One row a work item; `attributes` is its DICOM JSON, sealed, without the Transaction UID."""

SUBSCRIPTIONS = Table(
    "workitem_subscriptions",
    Base.metadata,
    Column("institution", String(64), primary_key=True),
    Column("subscriber", String(16), primary_key=True),
    Column("uid", String(64), primary_key=True),
    Column("deletion_lock", Boolean, nullable=False),
)
"""Who is told of which work item: UPS Subscription State (PS3.4 CC.2.3.1)."""
Index("workitem_subscriptions_by_uid", SUBSCRIPTIONS.c.institution, SUBSCRIPTIONS.c.uid)

GLOBAL_SUBSCRIPTIONS = Table(
    "workitem_global_subscriptions",
    Base.metadata,
    Column("institution", String(64), primary_key=True),
    Column("subscriber", String(16), primary_key=True),
    Column("deletion_lock", Boolean, nullable=False),
    Column("attributes", Text),
)
"""Who is subscribed to what is created from now on: Global Subscription State (PS3.4 CC.2.3.1);
`attributes` are the matching keys of a filtered one, sealed, for they may name a patient."""

EVENTS = Table(
    "workitem_reports",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("institution", String(64), nullable=False),
    Column("subscriber", String(16), nullable=False),
    Column("uid", String(64), nullable=False),
    Column("event", Integer, nullable=False),
    Column("attributes", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)
"""Event reports that wait to be sent, one row for each subscriber; `attributes` is the report as
DICOM JSON, sealed, for it may repeat what people wrote."""
Index("workitem_reports_in_order", EVENTS.c.institution, EVENTS.c.subscriber, EVENTS.c.id)

CHANNELS = Table(
    "workitem_channels",
    Base.metadata,
    Column("institution", String(64), primary_key=True),
    Column("subscriber", String(16), primary_key=True),
    Column("channel", String(32), nullable=False),
    Column("opened_at", Float, nullable=False),
)
"""The connection that each subscriber listens on: the last one that was opened, in whichever
process of the service that was."""
