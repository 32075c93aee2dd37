"""Where work items, subscriptions and events are recorded."""

from sqlalchemy import Column, Float, Integer, String, Table, Text, UniqueConstraint

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
)
"""Who is told of a work item; the UID 1.2.840.10008.5.1.4.34.5 stands for all of them."""

EVENTS = Table(
    "workitem_events",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("institution", String(64), nullable=False),
    Column("subscriber", String(16), nullable=False, index=True),
    Column("report", Text, nullable=False),
)
"""Event reports that wait to be fetched."""
