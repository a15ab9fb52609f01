"""Every test gets a clone of a PostgreSQL cluster, made by boto3, in a server of its own."""

import pytest
from tickets import create_app

import clusterdb

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tickets"


@pytest.fixture
def database(clusterdb_server, clusterdb_aws):
    """The ARNs of a clone of ``tickets``."""
    prod = clusterdb_server.store.create_cluster("tickets", engine="aurora-postgresql")
    prod.add_instance("tickets-1")
    with clusterdb.connect(prod) as connection:
        connection.execute(
            "CREATE TABLE tickets (id SERIAL PRIMARY KEY, title TEXT NOT NULL, state VARCHAR(6) DEFAULT 'open')"
        )
        connection.execute("INSERT INTO tickets (title) VALUES ('The lamp is dark'), ('The chair is wet')")
        connection.commit()
    rds = clusterdb_aws.client("rds")
    clone = rds.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier="tickets-test",
        SourceDBClusterIdentifier="tickets",
        RestoreType="copy-on-write",
        UseLatestRestorableTime=True,
    )["DBCluster"]
    rds.get_waiter("db_cluster_available").wait(DBClusterIdentifier="tickets-test")
    rds.create_db_instance(
        DBInstanceIdentifier="tickets-test-1",
        DBClusterIdentifier="tickets-test",
        DBInstanceClass="db.serverless",
        Engine="aurora-postgresql",
    )
    rds.enable_http_endpoint(ResourceArn=clone["DBClusterArn"])
    return {"resourceArn": clone["DBClusterArn"], "secretArn": SECRET}


@pytest.fixture
def client(clusterdb_aws, database):
    """A test client of the application, which uses the clone of this test."""
    return create_app(clusterdb_aws.client("rds-data"), database).test_client()
