# SPDX-License-Identifier: Apache-2.0
"""Secure payloads: from the tenant's file to files in the secure folder and a script that ran once."""

import base64
import hmac
import io
import json
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile
import uuid
import zipfile

import pytest
from conftest import SLOW, Lab, free_port, vectors, wait_until
from test_revocation import Node, Notifier, message

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts and changes its user")
SEEDS = pathlib.Path(__file__).resolve().parents[1] / "fuzz" / "seeds" / "unpack"


def archive(*entries):
    """A ZIP of (name, contents[, mode])."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, contents, *mode in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (mode[0] if mode else 0o100600) << 16
            z.writestr(info, contents)
    return out.getvalue()


def script(text):
    return archive(("autorun.sh", "#!/bin/sh\n" + text))


def is_mounted(path):
    return any(line.split()[1:3] == [str(path), "tmpfs"] for line in open("/proc/mounts"))


class Site(Node):
    """One node, with a TPM of its own, and a tenant who sends it payloads."""

    def __init__(self, lab, folder):
        self.lab, self.dir, self.id, self.name = lab, folder, str(uuid.uuid4()), f"agent-{folder.name}"
        self.state, self.actions = lab.dir / self.name, folder / "actions"
        self.actions.mkdir(mode=0o755)
        self.processes = [lab.start_tpm(f"{self.name}-tpm")]
        self.tcti = lab.tcti
        lab.ports[self.name] = lab.ports["agent"] = free_port()

    @property
    def secure(self):
        return self.state / "secure"

    @property
    def files(self):
        return self.secure / "unzipped"

    def start(self, **options):
        rows = {"uuid": self.id, "tcti": self.tcti, **options}
        self.id = rows["uuid"]
        self.process = self.lab.start_agent(name=self.name, **rows)
        self.processes.append(self.process)
        return self.process

    def deliver(self, data, *args, command="update"):
        path = self.dir / "payload"
        path.write_bytes(data)
        return self.lab.tenant("-c", command, "-t", "127.0.0.1", "-u", self.id, "-f", str(path), *args)

    def expect(self, text, count=1):
        """Wait until the agent's log has a text so many times."""
        wait_until(lambda: self.process.log.count(text) >= count, 20,
                   f"{count} times '{text}' in the log of the agent:\n{self.process.log[-1500:]}\n")

    def still_attested(self):
        self.lab.wait_attested(1, agent_id=self.id)

    def mode(self, name):
        return stat.S_IMODE(os.lstat(self.files / name).st_mode)

    def close(self):
        self.lab.verifier("DELETE", f"/v2.6/agents/{self.id}")  # whatever it says: some are not added
        for p in reversed(self.processes):
            if p.alive():
                p.kill()
        while is_mounted(self.secure):
            subprocess.run(["umount", "--lazy", self.secure], check=True)


@pytest.fixture(scope="module")
def servers():
    """Verifier and registrar, for all tests of this file: making their keys takes longer than most tests."""
    folder = tempfile.mkdtemp(prefix="ql-e2e-")
    made = Lab(folder)
    made.start_verifier()
    made.start_registrar()
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def site(servers, request):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="node-", dir=servers.dir))
    made = Site(servers, folder)
    yield made
    if getattr(request.node, "has_failed", False):
        print((servers.dir / f"{made.name}.log").read_text(errors="replace")[-4000:])
    made.close()


# ---- delivery ----


def test_a_payload_arrives_and_its_script_runs_once(site):
    ran = site.dir / "ran"
    agent = site.start()
    text = f'echo "$AGENT_UUID $PWD $(cat conf/name)" >>{ran}; cat; echo out; echo err >&2\n'
    data = archive(("autorun.sh", "#!/bin/sh\n" + text), ("conf/name", "n1"), ("tool", "x", 0o100755))
    out = site.deliver(data, "--verify", command="add")
    assert "Successful key derivation" in out
    agent.wait_for("script autorun.sh: exit status 0")
    assert ran.read_text() == f"{site.id} {site.files} n1\n"
    assert "autorun.sh: out" in agent.log and "autorun.sh: err" in agent.log

    key = (site.files / "derived_tci_key").read_bytes()
    assert len(key) == 32
    proof = site.call("GET", "/v2.6/keys/verify?challenge=abc").results["hmac"]
    assert proof == hmac.new(key, b"abc", "sha384").hexdigest()
    assert (site.files / "decrypted_payload").read_bytes() == data
    assert [site.mode(n) for n in ("derived_tci_key", "decrypted_payload", "conf/name", "tool", "autorun.sh", ".")] == [
        0o600, 0o600, 0o600, 0o700, 0o700, 0o700]
    assert stat.S_IMODE(site.secure.stat().st_mode) == 0o700
    assert os.readlink(site.secure / "derived_tci_key") == "unzipped/derived_tci_key"
    assert (site.secure / "decrypted_payload").read_bytes() == data
    for secret in (key, data):
        assert secret.hex() not in agent.log and base64.b64encode(secret).decode() not in agent.log

    # The same payload, encrypted anew: files again, no script; also not after a restart.
    (site.files / "conf" / "name").unlink()
    site.deliver(data)
    agent.wait_for("script autorun.sh is not run: this payload was delivered before since the machine was started")
    assert (site.files / "conf" / "name").read_text() == "n1"
    agent.stop()
    agent.start()
    agent.wait_for("ready", 40)
    site.deliver(data)
    agent.wait_for("script autorun.sh is not run")
    assert ran.read_text().count("\n") == 1

    # Another payload takes its place as a whole.
    site.deliver(script(f"echo second >>{ran}\n"))
    agent.wait_for("script autorun.sh: exit status 0")
    assert ran.read_text().endswith("second\n")
    assert not (site.files / "conf").exists() and not (site.secure / ".unzipped.new").exists()


def test_files_that_are_no_archive_are_kept_as_they_are(site):
    site.start(dec_payload_file="secret.txt", enc_keyname="the.key")
    site.deliver(b"secret\n", command="add")
    site.process.wait_for("payload is in")
    assert sorted(os.listdir(site.files)) == ["secret.txt", "the.key"]
    assert (site.files / "secret.txt").read_bytes() == b"secret\n"
    site.deliver(b"")
    site.expect("payload is in", 2)
    assert (site.secure / "secret.txt").read_bytes() == b""
    assert len((site.secure / "the.key").read_bytes()) == 32


def test_an_archive_stays_packed_when_extraction_is_off(site):
    ran = site.dir / "ran"
    site.start(extract_payload_zip=False)
    data = script(f"touch {ran}\n")
    site.deliver(data, command="add")
    site.process.wait_for("payload is in")
    assert sorted(os.listdir(site.files)) == ["decrypted_payload", "derived_tci_key"]
    assert (site.files / "decrypted_payload").read_bytes() == data
    assert not ran.exists()


def test_a_node_that_fails_never_gets_its_payload(site):
    site.start()
    path = site.dir / "payload"
    path.write_bytes(script("true\n"))
    site.lab.add("-f", str(path), "--tpm_policy", json.dumps({"15": ["ab" * 32]}), agent_id=site.id)
    site.lab.wait_state(9, agent_id=site.id)
    assert "U received; no V fits it yet" in site.process.log
    assert "bootstrap key derived" not in site.process.log
    assert not site.files.exists()
    assert site.call("GET", "/v2.6/keys/verify?challenge=abc").status == 400


# ---- hostile archives ----


def test_hostile_archives_are_refused_whole_and_the_agent_serves_on(site):
    agent = site.start()
    site.deliver(archive(("kept", "1")), command="add")
    agent.wait_for("payload is in")
    outside = site.dir / "out"
    first = archive(("ok", "1"))
    cases = {"in the place of the key": archive(("derived_tci_key", "mine")),
             "more than the secure folder holds": archive(*((f"f{i}", os.urandom(1000) * 300) for i in range(5))),
             "many entries": archive(*((f"{i}", "") for i in range(1025))),
             "a name that climbs out": archive(("ok", "1"), (f"../../{outside.name}", "x")),
             "an absolute name": archive((str(outside), "x")),
             "a link and a file through it": archive(("l", str(site.dir), 0o120777), ("l/out", "x")),
             "cut short": first[:-10], "damaged": first[:30] + b"\xff" * 10 + first[40:]}
    for name in ("device", "twice", "file_as_folder", "deep", "bomb", "bzip2", "encrypted", "wrong_crc", "long_name"):
        cases[name] = (SEEDS / f"{name}.zip").read_bytes()
    for number, (name, data) in enumerate(cases.items(), 1):
        site.deliver(data)
        wait_until(lambda n=number: agent.log.count("payload refused, nothing was changed") == n, 20, name)
        assert (site.files / "kept").read_text() == "1", name
        assert not outside.exists(), name
    assert agent.log.count("archive refused: ") == len(cases)
    assert "archive refused: unpacks to more than 1048576 bytes" in agent.log
    assert sorted(os.listdir(site.secure)) == ["decrypted_payload", "derived_tci_key", "unzipped"]
    site.still_attested()
    site.deliver(archive(("good", "2")))
    site.expect("payload is in", 2)
    assert (site.files / "good").read_text() == "2"


@pytest.mark.parametrize("fault,words", [("kill -SEGV $$", "killed by signal 11"), ("exit 1", "exit status 1"),
                                         ("head -c 200000 /dev/zero; exit 3", "exit status 3"),
                                         (None, "No such file or directory")])
def test_a_fault_of_the_unpacking_program_is_no_fault_of_the_agent(site, fault, words):
    program = site.dir / "unpack"
    if fault:
        program.write_text(f"#!/bin/sh\n{fault}\n")
        program.chmod(0o755)
    agent = site.start(unpack_path=str(program))
    site.deliver(script("true\n"), command="add")
    agent.wait_for("payload refused, nothing was changed")
    assert words in agent.log and os.listdir(site.secure) == []
    site.deliver(b"no archive")
    agent.wait_for("payload is in")
    site.still_attested()


# ---- keys ----


def test_vectors_open_in_any_order_and_replays_change_nothing(site):
    known = vectors("agent/bootstrap.json")
    case = {c["name"]: c for c in known["cases"]}
    site.state.mkdir()
    (site.state / "nk.pem").write_text(case["text_file"]["nk_private_pem"])
    (site.state / "nk.pem").chmod(0o600)
    agent = site.start(uuid=case["text_file"]["agent_id"], payload_key="nk.pem")

    def post(name, half, **changes):
        answer = site.call("POST", f"/v2.6/keys/{half}key", json.dumps({**case[name][f"{half}key_request"], **changes}))
        assert answer.status == 200, answer.body

    def holds(name, count):
        site.expect("payload is in", count)
        return (site.files / "decrypted_payload").read_bytes() == base64.b64decode(case[name]["payload_plain_b64"])

    post("text_file", "v")
    post("aes128", "u")
    assert not site.files.exists()
    post("text_file", "u")  # V first
    assert holds("text_file", 1)
    assert (site.files / "derived_tci_key").read_bytes() == base64.b64decode(case["text_file"]["k_b64"])
    post("aes128", "v")  # its U went when the other pair was found
    assert agent.log.count("bootstrap key derived") == 1
    post("aes128", "u")
    assert holds("aes128", 2)
    assert len((site.files / "derived_tci_key").read_bytes()) == 16
    post("empty", "u")
    post("empty", "v")
    assert holds("empty", 3)

    # A replay of an earlier delivery; of the last one; and one whose bytes were changed.
    post("text_file", "u")
    post("text_file", "v")
    agent.wait_for("payload dropped: these very bytes were delivered before, and another payload since")
    assert holds("empty", 3)
    bad = bytearray(base64.b64decode(case["text_file"]["ukey_request"]["payload"]))
    for number, at in enumerate((0, 16, -1), 1):
        bad[at] ^= 1
        post("text_file", "u", payload=base64.b64encode(bad).decode())
        post("text_file", "v")
        site.expect("it cannot be decrypted by its key", number)
        bad[at] ^= 1
    post("text_file", "u", payload=base64.b64encode(bad[:31]).decode())
    post("text_file", "v")
    agent.wait_for("shorter than IV and tag")
    assert holds("empty", 3)

    # An archive with a script: replayed, the script does not run again, not even after a restart.
    for _ in range(2):
        post("zip_with_autorun", "v")
        post("zip_with_autorun", "u")
    site.expect("payload is in", 5)
    agent.wait_for("script autorun.sh is not run")
    assert agent.log.count("script autorun.sh runs") == 1
    assert (site.files / "ran").exists() is False  # the second time put the files there anew
    agent.stop()
    agent.start()
    agent.wait_for("ready", 40)
    post("zip_with_autorun", "u")
    post("zip_with_autorun", "v")
    agent.wait_for("script autorun.sh is not run")
    assert "script autorun.sh runs" not in agent.log

    for row in known["negative"]:
        body = dict(case["text_file"]["ukey_request"])
        if "http" in row and "encrypted_key" in row:
            body["encrypted_key"] = row["encrypted_key"]
        elif "http" in row:
            body["auth_tag"] = row["auth_tag"]
        else:
            continue
        answer = site.call("POST", "/v2.6/keys/ukey", json.dumps(body))
        assert answer.status == row["http"], row["name"]
    post("text_file", "v")  # no fitting U among them
    assert agent.log.count("bootstrap key derived") == 1


# ---- scripts ----


def test_scripts_that_misbehave_are_bounded_and_told(site):
    agent = site.start(payload_script_timeout=1)
    site.deliver(script("exit 7\n"), command="add")
    agent.wait_for("script autorun.sh: exit status 7")
    site.deliver(script("head -c 3000000 /dev/zero | tr '\\0' x\n"))
    agent.wait_for("wrote more than")
    agent.wait_for("script autorun.sh: exit status 0")
    assert len(agent.log) < 400_000
    site.deliver(script("sleep 1000 & echo $! >pid; sleep 1000\n"))
    agent.wait_for("script autorun.sh: killed at its time limit")
    child = int((site.files / "pid").read_text())
    wait_until(lambda: not pathlib.Path(f"/proc/{child}").exists() or
               "zombie" in pathlib.Path(f"/proc/{child}/status").read_text(), 10, "end of the script's child")
    site.deliver(script("kill -SEGV $$\n"))
    agent.wait_for("script autorun.sh: killed by signal 11")
    site.deliver(archive(("autorun.sh", "echo no first line >told\n")))  # without #!: the shell's
    wait_until(lambda: (site.files / "told").exists(), 10, "script without #!")
    site.still_attested()


def test_a_payload_that_comes_while_a_script_runs_waits(site):
    gate, ran = site.dir / "gate", site.dir / "ran"
    os.mkfifo(gate)
    agent = site.start()
    site.deliver(script(f"cat {gate}; cat name >>{ran}\n"), command="add")
    agent.wait_for("script autorun.sh runs")
    site.deliver(archive(("name", "second")))
    agent.wait_for("waits for the end of the one before")
    site.deliver(archive(("name", "third")))
    agent.wait_for("in place of another that waited")
    site.still_attested()
    assert not (site.files / "name").exists()
    gate.write_text("go\n")
    site.expect("payload is in", 2)
    assert (site.files / "name").read_text() == "third"
    assert "exit status 1" in agent.log  # it had no `name` of its own


@pytest.mark.parametrize("options,words", [
    ({"payload_script": "../autorun.sh"}, "payload_script"), ({"enc_keyname": "a/b"}, "enc_keyname"),
    ({"enc_keyname": ""}, "enc_keyname"), ({"dec_payload_file": "unzipped"}, "dec_payload_file"),
    ({"dec_payload_file": "autorun.sh"}, "the same name"), ({"secure_size": "1m,mode=0777"}, "secure_size")])
def test_bad_options_stop_the_start(lab, options, words):
    lab.tcti = "device:/nonexistent"
    agent = lab.start_agent(wait=False, **options)
    assert agent.popen.wait(timeout=20 * SLOW) == 1
    assert words in agent.log


# ---- revocation ----


def test_certificate_and_actions_of_a_payload_serve_a_revocation(site):
    runs, notifier = site.dir / "runs", Notifier(site.dir)
    agent = site.start(revocation_actions_dir=str(site.actions))
    site.notifier = notifier
    site.send()
    agent.wait_for("no revocation certificate is loaded")
    site.deliver(archive(("RevocationNotifier-cert.crt", notifier.cert.read_text()), ("action_list", "own, other"),
                         ("own", f"#!/bin/sh\necho own >>{runs}\n"),
                         ("other.lua", "return { run = function(event) ql.log('lua for ' .. event.agent_id) end }\n")),
                 command="add")
    agent.wait_for("payload is in")
    assert site.mode("own") == 0o700
    site.send(message())
    site.done()
    assert runs.read_text() == "own\n"


# ---- the mount ----


def test_who_may_not_mount_is_refused_with_what_to_do(lab):
    prefix = [] if os.geteuid() != 0 else ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    if prefix and not shutil.which("setpriv"):
        pytest.skip("no setpriv")
    lab.tcti = "device:/nonexistent"
    agent = lab.start_agent(wait=False, enable_insecure_storage=False)
    agent.popen.wait(timeout=20 * SLOW)
    subprocess.run(["umount", "--lazy", lab.dir / "agent" / "secure"], capture_output=True)
    run = subprocess.run(prefix + [str(a) for a in agent.argv], capture_output=True, text=True, timeout=30 * SLOW)
    assert run.returncode == 1
    assert "a tmpfs cannot be mounted there" in run.stderr and "enable_insecure_storage" in run.stderr


@AS_ROOT
def test_root_mounts_a_tmpfs_and_unmounts_it_at_the_end(site):
    agent = site.start(enable_insecure_storage=False, secure_size="512k")
    assert is_mounted(site.secure)
    assert "plain folder" not in agent.log
    fs = os.statvfs(site.secure)
    assert fs.f_blocks * fs.f_frsize == 512 * 1024
    site.deliver(archive(("kept", "1")), command="add")
    agent.wait_for("payload is in")
    site.deliver(os.urandom(600_000))  # more than there is room for
    agent.wait_for("payload refused, nothing was changed: ")
    assert "No space left" in agent.log
    assert (site.files / "kept").read_text() == "1" and ".unzipped.new" not in os.listdir(site.secure)
    assert agent.stop() == 0
    assert not is_mounted(site.secure) and os.listdir(site.secure) == []

    # After a crash it is still mounted, and is used as it is.
    agent.start()
    agent.wait_for("ready", 40)
    (site.secure / "left").write_text("x")
    agent.kill()
    assert is_mounted(site.secure)
    agent.start()
    agent.wait_for("ready", 40)
    assert (site.secure / "left").read_text() == "x"
    assert sum(1 for line in open("/proc/mounts") if str(site.secure) in line) == 1
    assert agent.stop() == 0
    assert is_mounted(site.secure)  # not this one's own


@pytest.fixture
def dropped(site):
    """An agent that becomes nobody, with its folders in `kept`."""
    site.lab.dir.chmod(0o711)
    for path in (site.lab.server, site.lab.ca, site.dir, site.lab.dir / f"{site.name}-tpm"):
        path.chmod(path.stat().st_mode | 0o011)
    (site.lab.ca / "cacert.crt").chmod(0o644)
    site.state = site.dir / "kept"
    start = site.start
    site.start = lambda **options: start(enable_insecure_storage=False, run_as="nobody:nogroup",
                                         keylime_dir=str(site.state), **options)
    return site


def children(pid):
    """Names of the processes that a process started."""
    out = subprocess.run(["ps", "-o", "comm=", "--ppid", str(pid)], capture_output=True, text=True)
    return [line.strip()[:15] for line in out.stdout.splitlines()]


@AS_ROOT
def test_the_mount_is_taken_down_when_an_agent_without_root_ends(dropped):
    site = dropped
    agent = site.start()
    assert is_mounted(site.secure) and children(agent.pid) == ["quicklime-paylo"]
    site.deliver(archive(("autorun.sh", "#!/bin/sh\nid -un >who\n"), ("kept", "1")), command="add")
    agent.wait_for("script autorun.sh: exit status 0")
    assert (site.files / "who").read_text() == "nobody\n"
    assert agent.stop() == 0
    assert not is_mounted(site.secure)

    # A crash too, and the next one does not start before that is done.
    agent.start()
    agent.wait_for("ready", 40)
    agent.kill()
    wait_until(lambda: not is_mounted(site.secure), 10, "unmounting after a crash")


@AS_ROOT
def test_a_script_runs_as_the_user_that_payload_run_as_names(dropped):
    site = dropped
    agent = site.start(payload_run_as="games:games", payload_script_timeout=2)
    text = ('#!/bin/sh\necho "$(id -un) $(id -Gn) $AGENT_UUID $(cat conf/secret) $(grep CapEff /proc/self/status | cut -f2)"\n'
            'ls derived_tci_key decrypted_payload\necho x 2>&1 >conf/new || echo cannot write\nexit 5\n')
    site.deliver(archive(("autorun.sh", text), ("conf/secret", "s1")), command="add")
    agent.wait_for("script autorun.sh: exit status 5")
    assert f"autorun.sh: games games {site.id} s1 0000000000000000" in agent.log
    assert "autorun.sh: derived_tci_key" in agent.log and "autorun.sh: cannot write" in agent.log
    assert stat.S_IMODE(site.files.stat().st_mode) & 0o777 == 0o750 and site.mode("conf/secret") == 0o640

    # Time limit, a file without #!, and a folder in which something else stands.
    site.deliver(script("sleep 1000 & sleep 1000\n"))
    agent.wait_for("script autorun.sh: killed at its time limit")
    site.deliver(archive(("autorun.sh", "echo for the shell\n")))
    agent.wait_for("autorun.sh: for the shell")
    assert agent.stop() == 0
    assert not is_mounted(site.secure)


@AS_ROOT
def test_a_script_may_run_as_root_and_ends_with_the_agent(dropped):
    site = dropped
    agent = site.start(payload_run_as="root:root")
    site.deliver(script("id -un; exec sleep 1000\n"), command="add")
    agent.wait_for("autorun.sh: root")
    keeper = int(subprocess.run(["pgrep", "-P", str(agent.pid), "quicklime-paylo"], capture_output=True,
                                text=True).stdout)
    assert children(keeper) == ["sleep"]
    child = int(subprocess.run(["pgrep", "-P", str(keeper)], capture_output=True, text=True).stdout)
    agent.kill()
    wait_until(lambda: not pathlib.Path(f"/proc/{child}").exists() and not is_mounted(site.secure), 10,
               "end of the script and of the mount")


@AS_ROOT
@pytest.mark.parametrize("user,words", [("no-such-user:games", "there is no user"), ("games", "is not user:group")])
def test_a_user_of_scripts_that_is_not_there_stops_the_start(lab, user, words):
    lab.tcti = "device:/nonexistent"
    agent = lab.start_agent(wait=False, payload_run_as=user)
    assert agent.popen.wait(timeout=20 * SLOW) == 1
    assert "payload_run_as" in agent.log and words in agent.log
