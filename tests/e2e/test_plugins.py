# SPDX-License-Identifier: Apache-2.0
"""Plugins end to end: built out of the tree against the installed SDK, loaded by real daemons, good and bad ones."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import pytest
from conftest import AGENT_ID, BUILD, ROOT, SLOW, libconfig

OTHER_ID = "d432fbb3-d2f1-4a97-9ef7-75bd81c00002"
BAD = BUILD / "tests" / "sdk" / "bad"
BAD_LUA = ROOT / "tests" / "sdk" / "bad" / "lua"


@pytest.fixture(scope="module")
def sdk():
    """widget.so, sample.so and the scripts, made by an integrator's means alone."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ql-sdk-"))
    run = subprocess.run([ROOT / "tests/sdk/build.sh", BUILD, folder], capture_output=True, text=True, timeout=300 * SLOW)
    assert run.returncode == 0, run.stdout + run.stderr
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def use_plugins(lab, *files, **scripts):
    """A plugin folder with what every daemon needs, these files, and scripts given as text."""
    folder = lab.dir / "plugins"
    folder.mkdir(mode=0o755)
    stores = {lab.plugins / "sqlite.so", lab.plugins / f"{lab.store.kind}.so"}
    for file in [*stores, lab.plugins / "tpm-policy.so", *files]:
        shutil.copyfile(file, folder / file.name)
    for name, text in scripts.items():
        (folder / f"{name}.lua").write_text(text)
    for file in folder.iterdir():
        file.chmod(0o644)
    lab.plugins = folder


def put_file(lab, name, content):
    path = lab.dir / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def revocation(lab):
    """What the verifier wrote about the failure of an agent: event and context."""
    log = next(p for p in lab.processes if p.name == "verifier").log
    lines = [line for line in log.splitlines() if "area=revocation" in line]
    assert lines, log[-2000:]
    return lines[-1]


# ---- a claim of one's own ----


def start_widget(lab, sdk, *validators, content="one", **scripts):
    """Agent with the evidence, verifier with the validators; the widget's content may be "one" or "tell"."""
    use_plugins(lab, sdk / "widget.so", sdk / "clockwatch.lua", **scripts)
    lab.widget = put_file(lab, "the-widget", content)
    lab.policy = put_file(lab, "widget-policy.json", {"allowed": [sha256("one"), sha256("tell")]})
    lab.start_tpm()
    verifier = lab.start_verifier(plugins=["tpm-policy", "widget", *validators])
    lab.start_registrar()
    lab.start_agent(plugins=["widget"], groups={"widget": {"path": str(lab.widget)}})
    return verifier


def test_a_widget_is_attested_and_a_changed_one_fails_with_its_own_event(lab, sdk):
    start_widget(lab, sdk)
    lab.add("--policy", f"widget={lab.policy}")
    assert lab.wait_attested(2)["operational_state"] == 3
    lab.widget.write_text("another")
    failed = lab.wait_state(9)
    assert failed["last_event_id"] == "widget.not_allowed"
    assert sha256("another") in revocation(lab)
    lab.widget.write_text("one")
    assert lab.verifier("PUT", f"/v2.6/agents/{AGENT_ID}/reactivate").status == 200
    assert lab.wait_attested(2)["operational_state"] == 3


def test_evidence_that_the_agent_does_not_offer_fails_closed(lab, sdk):
    use_plugins(lab, sdk / "widget.so")
    policy = put_file(lab, "policy.json", {"allowed": [sha256("one")]})
    lab.start_tpm()
    lab.start_verifier(plugins=["tpm-policy", "widget"])
    lab.start_registrar()
    lab.start_agent()
    lab.add("--policy", f"widget={policy}")
    assert lab.wait_state(9)["last_event_id"] == "widget.missing_evidence"
    assert lab.agent_status()["attestation_count"] == 0


def test_evidence_that_can_no_longer_be_collected_fails_closed(lab, sdk):
    start_widget(lab, sdk)
    lab.add("--policy", f"widget={lab.policy}")
    lab.wait_attested(1)
    lab.widget.unlink()
    assert lab.wait_state(9)["last_event_id"] == "widget.missing_evidence"


def test_a_policy_that_the_validator_refuses_is_refused_at_upload(lab, sdk):
    start_widget(lab, sdk)
    bad = put_file(lab, "bad.json", {"allowed": ["AB"]})
    said = lab.add("--policy", f"widget={bad}", code=1)
    assert "allowed: item 1: wanted 64" in said
    said = lab.add("--policy", f"gadget={lab.policy}", code=1)
    assert "no validator gadget is loaded" in said
    assert lab.verifier("GET", f"/v2.6/agents/{AGENT_ID}").status == 404


WITNESS = """
-- Counts on its own and compares with what the widget's validator counted; says it when the widget says "tell".
return {
  kind = "validator", name = "witness", after = { "widget" },
  prepare = function() return {} end,
  needs = function() return { evidence = { { name = "widget", bound = "nonce" } } } end,
  validate = function(attest, _, state)
    local count = (state and state.count or 0) + 1
    if attest.evidence.widget == "tell" then
      ql.fail({ event = "witness.told", recoverable = true,
                context = { seen = attest.facts["widget.widget"] and attest.facts["widget.widget"].seen or -1,
                            count = count } })
    end
    return { count = count }
  end,
}
"""


def test_a_script_sees_facts_and_state_goes_on_over_quotes_and_a_restart(lab, sdk):
    verifier = start_widget(lab, sdk, "clockwatch", "witness", witness=WITNESS)
    empty = put_file(lab, "empty.json", {})
    resets = put_file(lab, "resets.json", {"max_resets": 2})
    lab.add("--policy", f"widget={lab.policy}", "--policy", f"witness={empty}", "--policy", f"clockwatch={resets}")
    before = lab.wait_attested(3)["attestation_count"]
    assert verifier.stop() == 0
    verifier.start()
    verifier.wait_for("ready")
    after = lab.wait_attested(2)["attestation_count"]
    assert after >= before + 2
    lab.widget.write_text("tell")
    failed = lab.wait_state(9)
    assert failed["last_event_id"] == "witness.told"
    told = revocation(lab)
    seen, count = (int(re.search(rf'{name}\W+(-?\d+)', told).group(1)) for name in ("seen", "count"))
    assert seen == count == failed["attestation_count"] + 1 > after


NEEDS_PCR = """
return {
  kind = "validator", name = "pinned",
  prepare = function(policy) return ql.json.decode(policy) end,
  needs = function(object) return { pcrs = { object.pcr } } end,
  validate = function(attest, object)
    local value = attest.pcr[object.pcr]
    if not value then
      ql.fail({ event = "pinned.not_quoted" })
    elseif ql.hex(value) ~= object.value then
      ql.fail({ event = "pinned.changed", context = { is = ql.hex(value) } })
    end
  end,
}
"""


def test_the_pcrs_that_a_policy_needs_are_asked_for(lab):
    use_plugins(lab, pinned=NEEDS_PCR)
    lab.start_tpm()
    lab.start_verifier(plugins=["tpm-policy", "pinned"])
    lab.start_registrar()
    lab.start_agent()
    policy = put_file(lab, "pinned.json", {"pcr": 15, "value": lab.pcr(15)})
    lab.add("--policy", f"pinned={policy}")
    status = lab.wait_attested(2)
    assert json.loads(status["tpm_policy"]) == {"mask": "0x0"}, "what was uploaded stays as it was"
    lab.extend(15)
    assert lab.wait_state(9)["last_event_id"] == "pinned.changed"
    assert lab.pcr(15) in revocation(lab)


ASKS = """
return {
  kind = "validator", name = "asks",
  prepare = function(policy) return ql.json.decode(policy) end,
  needs = function(object) return { evidence = { { name = "echo", bound = "nonce", parameters = object.ask } } } end,
  validate = function(attest, object)
    if attest.evidence.echo ~= object.want then
      ql.fail({ event = "asks.other", context = { got = attest.evidence.echo } })
    end
  end,
}
"""


def test_the_parameters_of_a_need_reach_the_collector(lab):
    use_plugins(lab, BUILD / "tests/agent-plugins/probe.so", asks=ASKS, asks2=ASKS.replace('"asks', '"asks2'))
    lab.start_tpm()
    lab.start_verifier(plugins=["tpm-policy", "asks", "asks2"])
    lab.start_registrar()
    lab.start_agent(plugins=["probe"])
    policy = put_file(lab, "asks.json", {"ask": {"lines": [1, 2]}, "want": '{"lines":[1,2]}'})
    lab.add("--policy", f"asks={policy}")
    lab.wait_attested(2)
    code, result = record(lab, None, "asks.lua")
    assert code == 0, result
    other = put_file(lab, "other.json", {"ask": "all", "want": "some"})
    said = lab.tenant("-c", "update", "-t", "127.0.0.1", "-u", AGENT_ID, "--policy", f"asks={policy}", "--policy",
                      f"asks2={other}", code=1)
    assert "wants evidence echo with other parameters than another policy" in said
    lab.add("--policy", f"asks2={other}")
    assert lab.wait_state(9)["last_event_id"] == "asks2.other"
    assert '"all' in revocation(lab).replace("\\", "")


# ---- recordings ----


def record(lab, sdk, *plugins, agent_id=AGENT_ID, more=()):
    """Record an attestation and judge it offline: exit code and result object."""
    folder = lab.dir / "recordings"
    before = set(folder.glob("*.json")) if folder.exists() else set()
    said = lab.tenant("-c", "record", "-u", agent_id, "-t", "127.0.0.1", str(folder))
    new = set(folder.glob("*.json")) - before
    assert len(new) == 1 and str(*new) in said and folder.stat().st_mode & 0o077 == 0
    argv = [lab.bin / "quicklime-verify", "--plugin-dir", lab.plugins, *more]
    for plugin in plugins:
        argv += ["--plugin", lab.plugins / plugin]
    run = subprocess.run([*argv, *new], capture_output=True, text=True, timeout=60 * SLOW)
    assert run.returncode in (0, 1), run.stderr
    return run.returncode, json.loads(run.stdout)


def test_a_recorded_attestation_is_judged_offline_as_the_verifier_judges_it(lab, sdk):
    start_widget(lab, sdk, "clockwatch")
    resets = put_file(lab, "resets.json", {"max_resets": 2})
    lab.add("--policy", f"widget={lab.policy}", "--policy", f"clockwatch={resets}", "--tpm_policy",
            json.dumps({"15": [lab.pcr(15)]}))
    lab.wait_attested(1)
    plugins = ["widget.so", "clockwatch.lua"]
    code, result = record(lab, sdk, *plugins)
    assert code == 0 and result["valid"] is True, result
    assert result["claims"]["agent_id"] == AGENT_ID and result["claims"]["mask"] == "0x8000"
    count = lab.agent_status()["attestation_count"]
    assert lab.wait_attested(2)["attestation_count"] > count, "recording did not disturb polling"
    # Neither does a plugin carry anything from one recording to the next, nor need more than a quarter of the limits.
    assert record(lab, sdk, *plugins)[0] == 0
    argv = [lab.bin / "quicklime-verify", "--plugin-dir", lab.plugins, "--plugin", lab.plugins / "widget.so", "--plugin",
            lab.plugins / "clockwatch.lua"]
    for how in (["--pairs", lab.dir / "recordings"], ["--limits", next((lab.dir / "recordings").glob("*.json"))]):
        run = subprocess.run([*argv, *how], capture_output=True, text=True, timeout=60 * SLOW)
        assert run.returncode == 0, run.stdout + run.stderr
    lab.widget.write_text("another")
    failed = lab.wait_state(9)
    code, result = record(lab, sdk, *plugins)
    assert code == 1 and [f["type"] for f in result["failures"]] == [failed["last_event_id"]] == ["widget.not_allowed"]
    # Without the plugin nobody can judge it, so it is not valid either.
    code, result = record(lab, sdk)
    assert code == 1 and result["failures"][0]["type"] in ("widget.error", "clockwatch.error")


def test_a_recording_without_the_evidence_fails_as_the_agent_does(lab, sdk):
    use_plugins(lab, sdk / "widget.so")
    policy = put_file(lab, "policy.json", {"allowed": [sha256("one")]})
    lab.start_tpm()
    lab.start_verifier(plugins=["tpm-policy", "widget"])
    lab.start_registrar()
    lab.start_agent()
    said = lab.tenant("-c", "record", "-u", AGENT_ID, "-t", "127.0.0.1", str(lab.dir / "r"), code=1)
    assert "the verifier answered 404" in said
    lab.add("--policy", f"widget={policy}")
    failed = lab.wait_state(9)
    code, result = record(lab, sdk, "widget.so")
    assert code == 1 and [f["type"] for f in result["failures"]] == [failed["last_event_id"]] == ["widget.missing_evidence"]
    usage = subprocess.run([*lab.argv("tenant", lab.server), "-c", "cvlist", "folder"], capture_output=True, text=True,
                           timeout=60 * SLOW)
    assert usage.returncode == 2 and "unrecognized arguments: folder" in usage.stderr


# ---- the author's guide ----

WALK = """set -euo pipefail
expect() { # TEXT COMMAND...: until the command shows the text
    local want=$1 i out=
    shift
    for i in $(seq 300); do
        out=$("$@" 2>&1) || true
        case $out in *"$want"*) return 0 ;; esac
        sleep 0.2
    done
    printf '%s never showed %s:\\n%s\\n' "$*" "$want" "$out"
    return 1
}
"""


def guide_commands():
    """What docs/plugins.md tells a newcomer to type, in order; "# shows TEXT" becomes an expectation."""
    text = (ROOT / "docs" / "plugins.md").read_text()
    section = text[text.index("## From nothing"):text.index("### Checking")]
    blocks = re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S)
    assert len(blocks) >= 8 and section.count("```") == 2 * len(blocks)
    commands = "".join(blocks)
    assert len(re.findall("# shows ", commands)) >= 8
    return re.sub(r"^(.*?\S)\s+# shows (.*)$", lambda m: f"expect '{m[2]}' {m[1]}", commands, flags=re.M)


def install(prefix):
    """All of this build below a prefix, found without the source tree."""
    subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], check=True, capture_output=True)
    env = dict(os.environ, CMAKE_PREFIX_PATH=str(prefix), PKG_CONFIG_PATH=str(next(prefix.rglob("quicklime.pc")).parent))
    plugins = subprocess.run(["pkg-config", "--variable=plugindir", "quicklime"], env=env, check=True, capture_output=True,
                             text=True).stdout.strip()
    return env, pathlib.Path(plugins).resolve()


def add_command(folder, name, text):
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def restart_when_told(lab, run, daemons):
    """Serve the walk's systemctl until it ends."""
    end = time.monotonic() + 280 * SLOW
    while run.poll() is None:
        assert time.monotonic() < end, "the walk does not end"
        for name, process in daemons.items():
            told = lab.dir / f"restart-quicklime-{name}"
            if told.exists():
                assert process.stop() == 0
                process.start()
                process.wait_for("ready", 40)
                told.unlink()
        time.sleep(0.05)


def test_the_guide_leads_a_newcomer_from_nothing_to_failing_and_passing_agents(lab):
    prefix, wrap, home = (lab.dir / name for name in ("prefix", "wrap", "home"))
    for folder in (prefix, wrap, home, lab.dir / "installed", lab.dir / "etc" / "quicklime"):
        folder.mkdir(parents=True)
    env, lab.plugins = install(prefix)
    for name in ("quicklime-verifier", "quicklime-registrar", "quicklime-agent", "quicklime-tenant", "quicklime-worker",
                 "quicklime-actionrunner"):
        for program in prefix.rglob(name):
            (lab.dir / "installed" / name).symlink_to(program)
    lab.bin = lab.dir / "installed"
    # Another prefix than the one configured, another place for /etc, no root and no systemd: that is all that differs.
    (lab.dir / "etc/quicklime/verifier.conf.d").symlink_to(lab.dir / "verifier.conf.d")
    (lab.dir / "etc/quicklime/agent.conf.d").symlink_to(lab.dir / "agent.d/agent.conf.d")
    (lab.dir / "verifier.conf.d").mkdir()
    (lab.dir / "agent.d/agent.conf.d").mkdir(parents=True)
    add_command(wrap, "sudo", 'exec "$@"')
    add_command(wrap, "systemctl", f'file={lab.dir}/$1-$2; touch "$file"; while [ -e "$file" ]; do sleep 0.1; done')
    add_command(wrap, "quicklime-tenant", f'exec {lab.bin}/quicklime-tenant --config-dir {lab.dir} --state-dir {lab.server} "$@"')
    add_command(wrap, "quicklime-verify", f'exec {prefix}/bin/quicklime-verify --plugin-dir {lab.plugins} "$@"')
    verifier, _, agent = lab.start_all()
    assert AGENT_ID in lab.tenant("-c", "reglist")
    script = WALK + guide_commands().replace("/etc/", f"{lab.dir}/etc/").replace("10.0.0.7", "127.0.0.1")
    env.update(PATH=f"{wrap}:{prefix}/bin:{env['PATH']}", UUID=AGENT_ID, HOME=str(home))
    with open(lab.dir / "walk.log", "wb") as log:
        run = subprocess.Popen(["bash", "-c", "umask 022\n" + script], cwd=home, env=env, stdout=log, stderr=log,
                               stdin=subprocess.DEVNULL)
        try:
            restart_when_told(lab, run, {"verifier": verifier, "agent": agent})
        finally:
            run.kill()
            run.wait()
    assert run.returncode == 0, (lab.dir / "walk.log").read_text()[-3000:]
    assert lab.wait_attested(2)["operational_state"] == 3


# ---- configuration of plugins ----


def refused(lab, program, *more, state=None):
    """Run a daemon that must refuse to start; what it says."""
    run = subprocess.run([str(a) for a in lab.argv(program, state or lab.dir / "state", *more)], capture_output=True,
                         text=True, timeout=60 * SLOW)
    assert run.returncode == 1, f"exit {run.returncode}\n{run.stdout}\n{run.stderr}"
    return run.stdout + run.stderr


def write_config(lab, program, plugins, groups=None):
    rows = {"plugin_dir": str(lab.plugins), "plugins": plugins}
    if program == "registrar":
        rows.pop("plugins")
    if program != "agent":
        rows["worker_path"] = str(lab.bin / "quicklime-worker")
    groups = groups or {}
    lab.write_config(program, rows)
    text = "".join(f"{name} = {{\n" + "".join(f"  {k} = {libconfig(v)};\n" for k, v in rows.items()) + "};\n"
                   for name, rows in groups.items())
    with open(lab.dir / f"{program}.conf", "a") as file:
        file.write(text)


@pytest.mark.parametrize("how", [["--check-config"], []])
@pytest.mark.parametrize("program", ["verifier", "agent"])
def test_an_option_that_a_plugin_does_not_have_is_refused_with_file_and_line(lab, sdk, program, how):
    use_plugins(lab, sdk / "sample.so")
    write_config(lab, program, ["sample"], {"sample": {"path": "/etc/os-release", "nosuch": 1}})
    said = refused(lab, program, *how)
    lines = (lab.dir / f"{program}.conf").read_text().splitlines()
    where = next(i for i, line in enumerate(lines, 1) if "nosuch" in line)
    assert f"{program}.conf:{where}: unknown option nosuch in group sample" in said


@pytest.mark.parametrize("how", [["--check-config"], []])
@pytest.mark.parametrize("program", ["verifier", "agent", "registrar"])
def test_options_of_a_plugin_that_is_not_loaded_are_refused_with_file_and_line(lab, sdk, program, how):
    use_plugins(lab, sdk / "sample.so")
    write_config(lab, program, [], {"sample": {"path": "/etc/os-release"}})
    said = refused(lab, program, *how)
    lines = (lab.dir / f"{program}.conf").read_text().splitlines()
    assert f"{program}.conf:{lines.index('sample = {') + 1}: unknown group sample" in said


def test_options_of_a_plugin_are_shown_and_reach_the_worker_that_runs_it(lab):
    use_plugins(lab, BAD / "options.so")
    write_config(lab, "verifier", ["options"], {"options": {"fail": True, "count": 12, "ratio": 2.25, "word": "red",
                                                            "list": ["x, y", "z"], "key": "hush"}})
    shown = subprocess.run([str(a) for a in lab.argv("verifier", lab.dir / "state", "--show-config")],
                           capture_output=True, text=True, timeout=60 * SLOW)
    assert shown.returncode == 0, shown.stderr
    assert 'options.list = ["x, y", "z"]  # ' in shown.stdout
    assert 'options.key = "***"' in shown.stdout and "hush" not in shown.stdout
    # The plugin's init answers with its options; it runs in the worker alone.
    said = refused(lab, "verifier")
    assert "count=12 ratio=2.25 word=red first=x, y second=z" in said


# ---- plugins that are wrong ----


@pytest.mark.parametrize("name, words", [
    ("wrong-magic", ["wrong-magic.so: magic: wanted 0x514c504c, found 0x"]),
    ("other-major", ["other-major.so: ABI major: wanted 1, found 2"]),
    ("newer-minor", ["newer-minor.so: ABI minor: wanted at most 0, found 1"]),
    ("no-symbol", ["no-symbol.so: symbol: wanted ql_plugin, found none"]),
    ("unresolved", ["unresolved.so: cannot be mapped:", "quicklime_internal_function"]),
    ("no-validate", ["no-validate.so: validator no-validate: function 4", "found none"]),
    ("nowhere", ["plugin nowhere: neither nowhere.so nor nowhere.lua is in"]),
    ("broken", ["broken.lua", "2:"]),
    ("listless", ["listless.lua"]),
    ("spins", ["spins.lua", "instruction limit"]),
])
def test_a_plugin_that_cannot_be_loaded_keeps_its_daemon_from_starting(lab, name, words):
    files = [BAD / f"{name}.so"] if (BAD / f"{name}.so").exists() else []
    use_plugins(lab, *files, broken="return {\n kind = ", listless="return 7\n", spins="while true do end\n")
    for program, how in [("verifier", ["--check-config"]), ("verifier", []), ("agent", ["--check-config"]), ("agent", [])]:
        write_config(lab, program, [name])
        said = refused(lab, program, *how)
        for word in words:
            assert word in said, f"{program} {how}: {said}"


def test_a_plugin_that_others_may_write_is_not_loaded(lab, sdk):
    use_plugins(lab, sdk / "sample.so", sdk / "clockwatch.lua")
    for name, file in [("sample", "sample.so"), ("clockwatch", "clockwatch.lua")]:
        (lab.plugins / file).chmod(0o666)
        for program in ("verifier", "agent"):
            write_config(lab, program, [name])
            said = refused(lab, program, "--check-config")
            assert f"{file}: mode: wanted" in said and "0666" in said, said


def test_an_init_that_fails_or_a_validator_that_nobody_is_after_stops_the_start(lab):
    use_plugins(lab, BAD / "init-fails.so", BAD / "after-nobody.so", BAD / "crash-in-init.so")
    for name, words in [("init-fails", "init-fails.so: init"), ("after-nobody", "after-nobody"),
                        ("crash-in-init", "worker did not start: it ended while it loaded plugin crash-in-init")]:
        write_config(lab, "verifier", [name])
        assert words in refused(lab, "verifier")


def start_two(lab, plugins, **verifier_options):
    """Two agents with a TPM each; the second is attested under a policy of PCRs."""
    lab.start_tpm()
    lab.start_verifier(plugins=["tpm-policy", *plugins], **verifier_options)
    lab.start_registrar()
    lab.start_agent()
    lab.start_tpm("tpm2")
    pcr = lab.pcr(15)
    lab.start_agent(name="agent2", uuid=OTHER_ID)
    lab.add("--tpm_policy", json.dumps({"15": [pcr]}), agent_id=OTHER_ID)
    lab.wait_attested(1, OTHER_ID)


def fails_alone(lab, name):
    """The first agent fails under this validator's policy; the second is attested on. Returns the first's record."""
    policy = put_file(lab, "any.json", {})
    lab.add("--policy", f"{name}={policy}")
    failed = lab.wait_state(9, seconds=60)
    assert failed["attestation_count"] == 0
    context = revocation(lab)
    assert lab.wait_attested(2, OTHER_ID)["operational_state"] == 3
    lab.tenant("-c", "delete", "-u", AGENT_ID)
    return failed["last_event_id"], context


def test_a_validator_that_crashes_or_never_ends_fails_its_agent_and_no_other(lab):
    names = ["crash-in-validate", "endless"] + (["memory-hog"] if SLOW == 1 else [])
    use_plugins(lab, *(BAD / f"{name}.so" for name in names))
    start_two(lab, names, worker_cpu_ms=1500, worker_memory_max="192M")
    limits = {"crash-in-validate": "crash", "endless": "cpu", "memory-hog": "memory"}
    for name in names:
        event, context = fails_alone(lab, name)
        assert event == "qoute_validation.worker_limit"
        assert name in context and limits[name] in context, context


def test_a_script_at_its_limits_fails_its_agent_and_no_other(lab):
    names = ["endless", "memory-table", "regex-bomb"]
    use_plugins(lab, *(BAD_LUA / f"{name}.lua" for name in names))
    start_two(lab, names)
    words = {"endless": "instruction limit", "memory-table": "memory limit", "regex-bomb": "pattern took more than"}
    for name in names:
        event, context = fails_alone(lab, name)
        assert event == f"{name}.error"
        assert words[name] in context, context


CRASHES = """
return { kind = "validator", name = "picky", prepare = function(policy) return policy.no.such.thing end,
         needs = function() return {} end, validate = function() end }
"""


def test_a_policy_that_kills_its_compiler_is_refused_at_upload_and_others_go_on(lab):
    use_plugins(lab, BAD / "crash-in-prepare.so", picky=CRASHES)
    start_two(lab, ["crash-in-prepare", "picky"])
    policy = put_file(lab, "any.json", {})
    for name, word in [("crash-in-prepare", "overran the limits of its check (crash-in-prepare: crash)"), ("picky", "picky.lua: prepare:")]:
        said = lab.add("--policy", f"{name}={policy}", code=1)
        assert word in said, said
        assert lab.verifier("GET", f"/v2.6/agents/{AGENT_ID}").status == 404
        assert lab.wait_attested(2, OTHER_ID)["operational_state"] == 3
