"""A small web shop with Flask and SQLAlchemy; the URL selects the database.

flask --app "shop:create_app('sqlite+clusterdb:///shop')" run
"""

from flask import Flask, abort, jsonify, request
from sqlalchemy import CheckConstraint, ForeignKey, create_engine, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker


class Base(DeclarativeBase):
    """The tables."""


class Product(Base):
    """A product and its stock."""

    __tablename__ = "products"
    __table_args__ = (CheckConstraint("stock >= 0", name="enough_in_stock"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    stock: Mapped[int]


class Order(Base):
    """An order of a number of items of one product."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey(Product.id))
    count: Mapped[int]


def create_app(url: str) -> Flask:
    """Create the application for the database at ``url``."""
    app = Flask(__name__)
    sessions = sessionmaker(create_engine(url))

    @app.get("/products/<name>")
    def show(name: str):
        with sessions() as session:
            product = _product(session, name)
            sold = session.scalar(select(func.sum(Order.count)).where(Order.product_id == product.id))
            return jsonify(name=product.name, stock=product.stock, sold=sold or 0)

    @app.post("/products/<name>/orders")
    def order(name: str):
        with sessions() as session:
            product, count = _product(session, name), int(request.form["count"])
            session.add(Order(product_id=product.id, count=count))
            product.stock = Product.stock - count
            try:
                session.commit()
            except IntegrityError:
                abort(409, "not enough in stock")
            return jsonify(stock=product.stock), 201

    return app


def _product(session: Session, name: str) -> Product:
    product = session.scalar(select(Product).where(Product.name == name))
    return product or abort(404)
