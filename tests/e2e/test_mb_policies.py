# SPDX-License-Identifier: Apache-2.0
"""Stored measured boot policies: the verifier's routes and the tenant's commands for them."""

import json
import re
import shutil
import tempfile

import pytest
from conftest import AGENT_ID, Lab, vectors

PLUGINS = ["tpm-policy", "mboot"]


@pytest.fixture(scope="module")
def verifier():
    folder = tempfile.mkdtemp(prefix="ql-e2e-")
    lab = Lab(folder)
    try:
        lab.start_verifier(plugins=PLUGINS)
        (lab.dir / "mb.json").write_text("{}")
        yield lab
        assert lab.processes[0].alive(), lab.processes[0].log[-3000:]
    finally:
        lab.close()
        shutil.rmtree(folder, ignore_errors=True)


def body_of(agent_id=AGENT_ID, **changes):
    """An addition that would be accepted; the agent is never there."""
    case = next(c for c in vectors("server/verifier_agents_flow.json") if c["note"] == "add ok")
    return {**case["request"]["body"], "runtime_policy": "", "tpm_policy": '{"mask": "0x0"}', "cloudagent_port": 9, **changes}


# ---- routes ----

def test_the_routes_answer_as_recorded(verifier):
    for case in vectors("server/verifier_policies.json"):
        request, wanted = case["request"], case["response"]
        if "/mbpolicies" not in request["path"]:
            continue
        if case["note"] in ("not validated", "204", "update"):  # what is no policy is not stored; see below
            continue
        answer = verifier.verifier(request["method"], request["path"], request.get("body"))
        assert answer.status == wanted["code"], case["note"]
        assert answer.json == wanted["json"], case["note"]
    assert verifier.verifier("GET", "/v2.6/mbpolicies/mbnull").results == {"name": "mbnull", "mb_policy": None}
    for name in ("mb1", "mbnull"):
        answer = verifier.verifier("DELETE", f"/v2.6/mbpolicies/{name}")
        assert (answer.status, answer.body) == (204, b"")


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6"])
def test_every_version_has_the_routes(verifier, version):
    path = f"/v{version}/mbpolicies"
    assert verifier.verifier("POST", f"{path}/v", {"mb_policy": "{}"}).status == 201
    assert verifier.verifier("PUT", f"{path}/v", {"mb_policy": "[]"}).status == 201
    assert verifier.verifier("GET", f"{path}/v").results == {"name": "v", "mb_policy": "[]"}
    assert verifier.verifier("GET", path).results == {"mbpolicy names": ["v"]}
    assert verifier.verifier("DELETE", f"{path}/v").status == 204


def test_what_is_no_policy_is_not_stored(verifier):
    for policy in ("not json", "null", "{"):
        answer = verifier.verifier("POST", "/v2.6/mbpolicies/junk", {"mb_policy": policy})
        assert answer.status == 400 and "Measured boot policy is malformatted" in answer.json["status"], policy
    for policy in (7, {}, [], True):
        assert verifier.verifier("POST", "/v2.6/mbpolicies/junk", {"mb_policy": policy}).status == 400
    assert verifier.verifier("POST", "/v2.6/mbpolicies/junk", {}).status == 400
    assert verifier.verifier("GET", "/v2.6/mbpolicies/junk").status == 404


def test_a_policy_in_use_stays(verifier):
    assert verifier.verifier("POST", "/v2.6/mbpolicies/used", {"mb_policy": "{}"}).status == 201
    assert verifier.verifier("POST", f"/v2.6/agents/{AGENT_ID}", body_of(mb_policy=None, mb_policy_name="used")).status == 200
    answer = verifier.verifier("DELETE", "/v2.6/mbpolicies/used")
    assert (answer.status, answer.json["status"]) == (
        409, f"Can't delete mb_policy as it's currently in use by agent {AGENT_ID}")
    assert verifier.verifier("PUT", "/v2.6/mbpolicies/used", {"mb_policy": "[]"}).status == 201
    assert verifier.verifier("DELETE", f"/v2.6/agents/{AGENT_ID}").status in (200, 202)
    assert verifier.verifier("DELETE", "/v2.6/mbpolicies/used").status == 204
    answer = verifier.verifier("POST", f"/v2.6/agents/{AGENT_ID}", body_of(mb_policy=None, mb_policy_name="used"))
    assert (answer.status, answer.json["status"]) == (404, "Could not find mb_policy with name used!")


# ---- the tenant ----

def records(text):
    """What was printed, without times and without what both programs say at each start."""
    lines = [re.sub(r"^(<time>|[0-9-]+ [0-9:.]+) - ", "", line) for line in text.splitlines()]
    return [line for line in lines if line.startswith(("keylime.cli", "{", "showmb", "listmb", "keylime.tenant - ERROR"))]


def test_the_tenants_commands_print_as_recorded(verifier):
    seen = 0
    for case in vectors("server/tenant_cli.json"):
        argv = [str(verifier.dir / a) if a == "mb.json" else a for a in case.get("argv", [])]
        if len(argv) < 2 or not argv[1].endswith("mbpolicy"):
            continue
        wanted = records(case["stdout"].replace("'mb1', 'mbnull', ", ""))  # stored by another test
        assert records(verifier.tenant(*argv, code=case["exit"])) == wanted, case["note"]
        seen += 1
    assert seen == 8


def test_commands_without_what_they_need_are_refused(verifier):
    assert "mb_policy_name is required to delete" in verifier.tenant("-c", "deletembpolicy", code=1)
    assert "mb_policy_name is required to show" in verifier.tenant("-c", "showmbpolicy", code=1)
    assert "mb_policy_name is required to show" in verifier.tenant("-c", "showmbpolicy", "--mb-policy-name", "", code=1)
    for command in ("addmbpolicy", "updatembpolicy"):
        assert "--mb-policy is required" in verifier.tenant("-c", command, "--mb-policy-name", "x", code=2)
        assert "not there" in verifier.tenant("-c", command, "--mb-policy", "not there", "--mb-policy-name", "x", code=1)
    (verifier.dir / "junk").write_text("{junk")
    assert "junk" in verifier.tenant("-c", "addmbpolicy", "--mb-policy", str(verifier.dir / "junk"), "--mb-policy-name", "x", code=1)


def test_the_older_name_prefixes_and_the_configured_file_are_taken(verifier):
    file = str(verifier.dir / "mb.json")
    for number, args in enumerate([("--mb_refstate", file, "--mb-policy-name", "o0"), ("--mb_ref", file, "--mb-policy-n", "o1"),
                                   ("--mb-policy=default", "--mb-policy-name=o2")]):
        verifier.tenant("-c", "addmbpolicy", *args, mb_refstate=file)
        assert verifier.verifier("DELETE", f"/v2.6/mbpolicies/o{number}").status == 204
    out = verifier.tenant("-c", "addmbpolicy", "--mb-policy", "default", "--mb-policy-name", "o3", code=1)
    assert "mb_refstate names no file" in out
    assert "ambiguous option: --mb-p could match" in verifier.tenant("-c", "addmbpolicy", "--mb-p", file, code=2)
    assert json.loads(verifier.verifier("GET", "/v2.6/mbpolicies/").body)["results"] == {"mbpolicy names": []}
