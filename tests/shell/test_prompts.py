"""Prompts: the cluster, the transaction and the instance they show."""

from __future__ import annotations

import clusterdb
from tests.shell.talk import Talking


def test_prompt_shows_cluster_and_transaction(talking: Talking) -> None:
    """The cluster; an asterisk in a transaction; nothing in use; a plain file."""
    talk = talking()
    assert talk.say("BEGIN;", "COMMIT;")[0] == "prod> prod*> prod> \n"
    assert talk.say("SELECT", "7", ";")[0] == "prod> " + "   -> " * 2 + "7\nprod> \n"
    assert talk.say(".close")[0] == "prod> clusterdb> \n"
    assert talk.say(".open :memory:")[0] == "clusterdb> :memory:> \n"
    assert talk.say(".prompt 'now> ' '  .. '", "SELECT", "8;")[0] == ":memory:> now>   .. 8\nnow> \n"


def test_prompt_shows_the_instance_and_its_role(store: clusterdb.Store, talking: Talking) -> None:
    """With instances: which one, and its role; continuation lines are as wide."""
    prod = store.cluster("prod")
    prod.add_instance("w1")
    prod.add_instance("r1")
    talk = talking()
    assert talk.shell.prompt == "prod (writer w1)> "
    talk.say(".use prod --endpoint reader", "BEGIN;")
    assert (talk.shell.prompt, talk.shell.moreprompt) == ("prod (reader r1)*> ", "                -> ")
