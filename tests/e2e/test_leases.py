# SPDX-License-Identifier: Apache-2.0
"""Several verifiers share agents by lease: simulated agents tell who was asked when."""

import json
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import pytest

import stores
from conftest import ROOT, SLOW

sys.path.insert(0, str(ROOT / "tests" / "faults"))
from sharing import GET_QUOTE, INVALID_QUOTE, Group, Trouble, agent_id, wait_for  # noqa: E402

STOPPED = 10


@pytest.fixture
def groups():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ql-lease-"))
    made = []

    def make(**options):
        group = Group(folder, **{"url": stores.shared_url(), **options})
        made.append(group)
        return group
    yield make
    for group in made:
        group.close()
    shutil.rmtree(folder, ignore_errors=True)


def status_of(verifier, method, path, body=None):
    """HTTP status and results of a call that may be refused."""
    try:
        return 200, verifier.call(method, path, body)
    except Trouble as e:
        return int(str(e).split(": ")[1].split()[0]), None


def others(group, name):
    """A verifier that is not the one of this name, which ends in its port."""
    port = int(name.split(":")[1].split("#")[0])
    return next(v for v in group.running() if v.port != port)


def holder(group, name):
    port = int(name.split(":")[1].split("#")[0])
    return next(v for v in group.running() if v.port == port)


def test_agents_of_a_killed_verifier_are_polled_by_the_others(groups):
    group = groups(agents=24)
    group.enrol()
    group.start(uuid="north")  # has no part in it
    group.await_shares(3)
    group.await_rounds(2)
    begin = time.monotonic_ns()

    group.verifiers[2].program.kill()
    gaps = group.await_rounds(1, 20 * SLOW)
    # Others wait for the lease to end, then notice within a second, load and begin within an interval.
    assert max(gaps) < (group.lease + group.interval) * SLOW + 1, sorted(gaps)[-5:]
    group.await_shares(2)

    group.start()
    group.await_shares(3)
    group.await_rounds(2)
    stopped = group.running()[0]
    assert stopped.program.stop() == 0
    gaps = group.await_rounds(2, 10 * SLOW)
    assert max(gaps) < group.lease * SLOW, "one that stops gives its agents back at once"
    group.await_shares(2)

    assert group.crowded(begin, time.monotonic_ns()) == []
    assert all(r["operational_state"] == GET_QUOTE for r in group.running()[0].agents().values())


def test_any_verifier_takes_orders_for_any_agent(groups):
    group = groups(count=2, agents=16)
    group.enrol()
    group.await_shares(2)
    group.await_rounds(2)
    name = group.holders()[0]
    other, path = others(group, name), f"/v2.6/agents/{agent_id(0)}"

    seen = other.call("GET", path)
    assert seen["operational_state"] == GET_QUOTE and seen["polled_by"] == name
    wait_for(lambda: other.call("GET", path)["attestation_count"] >= seen["attestation_count"] + 2, 10, "fresh results")

    other.call("PUT", path + "/stop")
    assert other.call("GET", path)["operational_state"] == STOPPED
    time.sleep(1.2 * SLOW)  # the second within which the other reads of it
    before = group.fleet.quotes()[0]
    time.sleep(3 * group.interval)
    assert group.fleet.quotes()[0] == before, "a stopped agent is asked nothing"
    other.call("PUT", path + "/reactivate")
    group.await_rounds(2, agents=[0])
    assert other.call("GET", path)["polled_by"] == name

    # Judged by a policy that was replaced elsewhere: the values that it asks for are not those of the agent.
    wrong = {"mb_policy": None, "tpm_policy": json.dumps({"15": ["ff" * 32], "mask": "0x8000"})}
    other.call("DELETE", path)
    wait_for(lambda: status_of(holder(group, name), "GET", path)[0] == 404, 5, "it is gone")
    other.add(agent_id(0), group.fleet.agents[0], group.fleet.facts, **wrong)
    wait_for(lambda: other.call("GET", path)["operational_state"] == INVALID_QUOTE, 10, "it fails")
    assert other.call("GET", path)["polled_by"] == name, "where it belongs follows from its id"
    # Whoever is to be told has been told, by the one verifier that does this.
    wait_for(lambda: all(group.fleet.revocations()), 15, "all are told")
    assert max(group.fleet.revocations()) == 1

    other.call("PUT", path + "/reactivate")
    wait_for(lambda: max(group.fleet.revocations()) == 2, 15, "it fails again, and all are told")
    group.await_rounds(2, agents=range(1, 16))


def test_a_frozen_verifier_stores_nothing_more_and_comes_back(groups):
    group = groups(count=2, agents=16)
    group.enrol()
    group.await_shares(2)
    group.await_rounds(2)
    frozen = group.running()[1]
    names = {n: name for n, name in group.holders().items() if f":{frozen.port}#" in name}

    frozen.program.popen.send_signal(signal.SIGSTOP)
    try:
        group.await_rounds(3, 20 * SLOW)
        group.await_shares(1)
        assert group.crowded(time.monotonic_ns() - 2 * 10 ** 9, time.monotonic_ns()) == []
        began = time.monotonic_ns()
    finally:
        frozen.program.popen.send_signal(signal.SIGCONT)
    frozen.program.wait_for(lambda: "was taken over" in frozen.program.log, 10, "it learns of it")
    group.await_shares(2)
    assert not set(group.holders().values()) & set(names.values()), "it has come back as somebody else"
    group.await_rounds(2)
    assert group.crowded(began, time.monotonic_ns()) == []


def test_a_verifier_that_delivered_notifications_is_replaced(groups):
    group = groups(agents=20, bad=20)
    liars = [n for n, a in enumerate(group.fleet.agents) if a["liar"]]
    group.enrol()
    wait_for(lambda: sum(r["operational_state"] == INVALID_QUOTE for r in group.running()[1].agents().values())
             == len(liars), 30, "every liar fails")
    wait_for(lambda: min(group.fleet.revocations()) >= len(liars), 15, "all are told of each")
    leader = next(v for v in group.running() if "this one delivers notifications" in v.program.log)
    leader.program.kill()

    through = group.running()[0]
    before = group.fleet.revocations()
    through.call("PUT", f"/v2.6/agents/{agent_id(liars[0])}/reactivate")
    wait_for(lambda: all(b > a for a, b in zip(before, group.fleet.revocations())), 25, "all are told by another")
    assert any("this one delivers notifications" in v.program.log for v in group.running())


def test_rows_of_another_uuid_are_shown_and_never_touched(groups):
    group = groups(count=1, agents=4)
    group.enrol()
    group.await_shares(1)
    foreign = group.start(uuid="north")
    path = f"/v2.6/agents/{agent_id(0)}"

    assert foreign.call("GET", path)["verifier_id"] == "default"
    assert status_of(foreign, "DELETE", path)[0] == 404
    assert status_of(foreign, "PUT", path + "/stop")[0] == 400
    assert len(foreign.call("GET", "/v2.6/agents/")["uuids"]) == 4


@pytest.mark.parametrize("change,words", [({"leases": False}, "shares the agents of uuid"),
                                          ({"store_key_file": "other.key"}, "store_key_file is not that of")])
def test_a_verifier_that_does_not_fit_the_others_is_refused(groups, change, words):
    group = groups(count=1, agents=1)
    with pytest.raises(Trouble, match=words):
        group.start(**change)
    group.start(leases=False, uuid="alone")
