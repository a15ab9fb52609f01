"""The application, against real rows, with the client that it has in production."""


def test_open_tickets_are_listed(client):
    assert [ticket["title"] for ticket in client.get("/tickets").json] == ["The lamp is dark", "The chair is wet"]


def test_closed_ticket_is_listed_no_more(client):
    assert client.post("/tickets/1/close").json == {"id": 1, "state": "closed"}
    assert [ticket["id"] for ticket in client.get("/tickets").json] == [2]


def test_new_ticket_is_open(client):
    assert client.post("/tickets", json={"title": "'); DROP TABLE tickets; --"}).json[0]["state"] == "open"
    assert len(client.get("/tickets").json) == 3


def test_unknown_ticket_cannot_be_closed(client, clusterdb_server):
    assert client.post("/tickets/99/close").status_code == 404
    names = [cluster.name for cluster in clusterdb_server.store.clusters()]
    assert names == ["tickets", "tickets-test"]
