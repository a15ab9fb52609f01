"""A small web application that reaches its database by the RDS Data API, as on AWS Lambda: with boto3 alone."""

import json

from flask import Flask, abort, request


def create_app(data_api, database):
    """The application; ``data_api`` is a boto3 client of ``rds-data``, ``database`` has the two ARNs of its cluster."""
    app = Flask(__name__)

    def run(sql, **values):
        """The rows of a statement as dictionaries."""
        kinds = {int: "longValue", str: "stringValue"}
        parameters = [{"name": name, "value": {kinds[type(value)]: value}} for name, value in values.items()]
        answer = data_api.execute_statement(**database, sql=sql, parameters=parameters, formatRecordsAs="JSON")
        return json.loads(answer.get("formattedRecords", "[]"))

    @app.get("/tickets")
    def tickets():
        return run("SELECT id, title, state FROM tickets WHERE state = :state ORDER BY id", state="open")

    @app.post("/tickets")
    def add():
        return run(
            "INSERT INTO tickets (title) VALUES (:title) RETURNING id, title, state", title=request.json["title"]
        )

    @app.post("/tickets/<int:number>/close")
    def close(number):
        rows = run("UPDATE tickets SET state = 'closed' WHERE id = :id RETURNING id, state", id=number)
        return rows[0] if rows else abort(404)

    return app
