# mypy: ignore-errors
"""sqlalchemy-aurora-data-api on PostgreSQL: tables, the ORM, types, savepoints, errors."""

import datetime
import decimal
import enum
import json
import os
import uuid

import sqlalchemy as sa
import sqlalchemy_aurora_data_api
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column, relationship

sqlalchemy_aurora_data_api.register_dialects()


class Base(DeclarativeBase):
    pass


class Mood(enum.Enum):
    sad = "sad"
    happy = "happy"


class Order(Base):
    __tablename__ = "orders"
    id = mapped_column(sa.Integer, primary_key=True)
    placed = mapped_column(sa.DateTime)
    due = mapped_column(sa.Date)
    total = mapped_column(sa.Numeric(10, 2))
    paid = mapped_column(sa.Boolean, default=False)
    details = mapped_column(JSONB)
    key = mapped_column(UUID(as_uuid=False))
    tags = mapped_column(ARRAY(sa.Text))
    mood = mapped_column(sa.Enum(Mood))
    lines = relationship("Line", back_populates="order", order_by="Line.id")


class Line(Base):
    __tablename__ = "lines"
    id = mapped_column(sa.Integer, primary_key=True)
    order_id = mapped_column(sa.ForeignKey("orders.id"))
    item = mapped_column(sa.String(20), nullable=False)
    order = relationship("Order", back_populates="lines")


engine = sa.create_engine(
    "postgresql+auroradataapi://:@/shop",
    connect_args={"aurora_cluster_arn": os.environ["RESOURCE_ARN"], "secret_arn": os.environ["SECRET_ARN"]},
)
shown = {}
Base.metadata.create_all(engine)
with Session(engine) as session:
    session.add(
        Order(
            placed=datetime.datetime(2024, 2, 29, 12, 30, 15, 250000),
            due=datetime.date(2024, 3, 1),
            total=decimal.Decimal("12.50"),
            details={"gift": True, "notes": ["a", "b"]},
            key=str(uuid.UUID(int=7)),
            tags=["red", "a, b"],
            mood=Mood.happy,
            lines=[Line(item="pear"), Line(item="apple")],
        )
    )
    session.commit()
    order = session.scalars(sa.select(Order)).one()
    shown["order"] = [
        order.id,
        str(order.placed),
        str(order.due),
        str(order.total),
        order.paid,
        order.details,
        str(order.key),
        order.tags,
        order.mood.name,
        [line.item for line in order.lines],
    ]
    order.paid = True
    session.commit()
    shown["paid"] = session.scalar(sa.select(sa.func.count()).where(Order.paid))
    session.add(Line(item="gone"))
    session.rollback()
    shown["lines"] = session.scalar(sa.select(sa.func.count()).select_from(Line))
    shown["prod"] = [list(row) for row in session.execute(sa.text("SELECT name FROM items ORDER BY id"))]
with engine.connect() as connection:
    try:
        connection.execute(sa.insert(Line).values(item=None))
    except sa.exc.DBAPIError as error:
        shown["error"] = type(error).__name__
print(json.dumps(shown))
