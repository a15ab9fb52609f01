"""Every test of the shop gets a clone of a database with 20,000 products, which is built once."""

import pytest
from shop import Base, Product, create_app
from sqlalchemy import create_engine, insert

from clusterdb.testing import template_fixture


def stocked(sqlalchemy_url):
    """Create the tables and products that all tests start with."""
    engine = create_engine(sqlalchemy_url)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        products = [{"name": f"product-{number}", "stock": number % 100} for number in range(20_000)]
        connection.execute(insert(Product), products)
    engine.dispose()


clusterdb_template = template_fixture(stocked, watched=["shop.py"])


@pytest.fixture
def client(clusterdb):
    """A test client of the application, which uses the clone of this test."""
    return create_app(clusterdb.sqlalchemy_url).test_client()
