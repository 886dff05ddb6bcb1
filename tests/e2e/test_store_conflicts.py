# SPDX-License-Identifier: Apache-2.0
"""Others in the same database: rows that are locked, deadlocks, failures to serialize, a table that goes."""

import concurrent.futures
import contextlib

import pytest

import stores
from conftest import AGENT_ID, SLOW, Lab, wait_until

AGENT = f"/v2.6/agents/{AGENT_ID}"
ROW = f"UPDATE agents SET port = port WHERE agent_id = '{AGENT_ID}'"
STOPPED, FAILED = 10, 9


@pytest.fixture(params=["postgresql", "mysql"])
def lab(request, tmp_path):
    made = Lab(tmp_path)
    made.store = stores.store(made, request.param)
    yield made
    made.close()


@contextlib.contextmanager
def other_transaction(lab, *first):
    """A transaction that has done this and goes on; it must not be the one that gives way."""
    session = lab.store.session()
    try:
        if lab.store.kind == "postgresql":
            session.run("SET deadlock_timeout = '100s'")  # who looks for the deadlock gives way
        session.run("BEGIN")
        for sql in first:
            session.run(sql)
        yield session
    finally:
        session.close()


def somebody_waits(lab):
    sql = {"postgresql": "SELECT count(*) FROM pg_locks WHERE NOT granted",
           "mysql": "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'"}[lab.store.kind]
    return lab.store.rows(sql)[0][-1] != "0"


def stop_beside(lab, session, *then):
    """Stop the agent, which has to wait for the session; then the session goes on and ends."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(lab.verifier, "PUT", AGENT + "/stop")
        wait_until(lambda: somebody_waits(lab), 20, "a lock that is waited for")
        assert not answer.done()
        for sql in then:
            session.run(sql)
        session.run("COMMIT")
        return answer.result(60 * SLOW)


def start(lab):
    verifier, _, _ = lab.start_all(max_retries=1000)
    lab.add("--tpm_policy", '{"15": ["%s"]}' % lab.pcr(15))
    lab.wait_attested(1)
    return verifier


def stopped_and_started_again(lab, verifier, answer):
    assert answer.status == 200, (answer, verifier.log)
    status = lab.agent_status()
    assert status["operational_state"] == STOPPED
    assert lab.verifier("PUT", AGENT + "/reactivate").status == 200
    assert lab.wait_attested(status["attestation_count"] + 1)["operational_state"] == 3
    assert verifier.stop() == 0


def test_a_transaction_that_cannot_be_serialized_is_done_again(lab):
    verifier = start(lab)
    with other_transaction(lab, ROW) as session:
        answer = stop_beside(lab, session)
    if lab.store.kind == "postgresql":
        assert "could not serialize access" in lab.store.server.log()
    stopped_and_started_again(lab, verifier, answer)


def test_a_transaction_that_loses_a_deadlock_is_done_again(lab):
    verifier = start(lab)
    lab.store.write("CREATE TABLE ballast (n INT)")
    if lab.store.kind == "postgresql":
        lab.store.write("ALTER SYSTEM SET deadlock_timeout = '5s'")  # there is a deadlock by then
        lab.store.write("SELECT pg_reload_conf()")
        first = []
        count = lambda: lab.store.server.log().count("deadlock detected")  # noqa: E731
    else:
        # Who has written less is the one that InnoDB picks.
        many = ", ".join(f"({n})" for n in range(5000))
        first = [f"INSERT INTO ballast VALUES {many}"]
        count = lambda: int(lab.store.rows("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")[0][1])  # noqa: E731
    before = count()
    # The daemon takes the agent's row, then the counter's.
    first.append("UPDATE counters SET value = value + 1 WHERE name = 'changes'")
    with other_transaction(lab, *first) as session:
        answer = stop_beside(lab, session, ROW)
    assert count() > before
    stopped_and_started_again(lab, verifier, answer)


def test_without_its_table_nothing_more_is_written_and_nothing_is_lost(lab):
    verifier = start(lab)
    store = lab.store
    store.write("CREATE TABLE kept (LIKE agents INCLUDING ALL)" if store.kind == "postgresql" else
                "CREATE TABLE kept LIKE agents")
    store.write("INSERT INTO kept SELECT * FROM agents")
    store.write("DROP TABLE agents")
    answer = lab.verifier("PUT", AGENT + "/stop")
    assert answer.status in (500, 503)
    wait_until(lambda: "nothing more is written" in verifier.log and "is damaged or was changed (agents" in verifier.log,
               20, "words about the table")
    # What is found meanwhile waits in the journal.
    lab.extend(15)
    journal = lab.server / "failures.journal"
    wait_until(lambda: journal.stat().st_size > 0, 20, "the failure in the journal")
    assert verifier.alive()
    store.write("ALTER TABLE kept RENAME TO agents")
    if store.kind == "postgresql":
        store.write("ALTER TABLE agents OWNER TO ql")
    # A database that was damaged is not written to before somebody says that it may be.
    assert lab.verifier("PUT", AGENT + "/stop").status in (500, 503)
    assert verifier.stop() == 0 and journal.stat().st_size > 0
    verifier.start()
    verifier.wait_for("ready: HTTPS port")
    status = lab.agent_status()
    assert status["operational_state"] == FAILED and status["last_event_id"] == "pcr_validation.invalid_pcr_15"
    wait_until(lambda: journal.stat().st_size == 0, 20, "an empty journal")
    assert verifier.stop() == 0
