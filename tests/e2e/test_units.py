# SPDX-License-Identifier: Apache-2.0
"""The daemons under the system call filters and address families of their systemd units: what the units allow is enough, and
sandboxes inside the daemons still come about."""

import ctypes
import errno
import os
import pathlib
import socket
import subprocess

import pytest
from conftest import BUILD, SANITIZED, Lab
from test_payload import Site, archive

UNITS = BUILD / "systemd"
ALLOW, KILL, ERRNO, EQUAL = 0x7FFF0000, 0x80000000, 0x00050000, 4
# What the sanitizers' own end-of-process checks call.
EXTRA = {"ptrace", "process_vm_readv"} if SANITIZED else set()


class Compare(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("a", ctypes.c_uint64),
                ("b", ctypes.c_uint64)]


def groups():
    """Names of systemd's groups of system calls, with their members."""
    found, members = {}, None
    out = subprocess.run(["systemd-analyze", "syscall-filter"], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        if line.startswith("@"):
            members = found.setdefault(line.split()[0], set())
        elif line.startswith("    ") and not line.strip().startswith("#"):
            members.add(line.strip())
    return found


def resolve(word, known):
    if not word.startswith("@"):
        return {word}
    assert word in known, f"{word} is no group of this systemd"
    return set().union(*(resolve(m, known) for m in known[word]))


class Unit:
    """The seccomp part of a unit, with the meaning of systemd.exec(5)."""

    def __init__(self, name):
        text = (UNITS / f"quicklime-{name}.service").read_text()
        rows = [line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#")]
        known = groups()
        self.calls = resolve("@default", known)
        self.otherwise = KILL
        self.families = []
        for key, value in rows:
            if key == "SystemCallFilter":
                denies = value.startswith("~")
                for word in value.lstrip("~").split():
                    named = resolve(word, known)
                    self.calls = self.calls - named if denies else self.calls | named
            elif key == "SystemCallErrorNumber":
                self.otherwise = ERRNO | getattr(errno, value)
            elif key == "RestrictAddressFamilies":
                self.families += [getattr(socket, f) for f in value.split()]
        assert self.families and len(self.calls) > 200, name

    def apply(self):
        """In the child, before it becomes the daemon."""
        lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        lib.seccomp_init.restype = ctypes.c_void_p
        lib.seccomp_init.argtypes = [ctypes.c_uint32]
        add = lib.seccomp_rule_add_array
        add.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Compare)]
        lib.seccomp_load.argtypes = [ctypes.c_void_p]
        filters = lib.seccomp_init(self.otherwise)
        for name in sorted(self.calls | EXTRA):
            number = lib.seccomp_syscall_resolve_name(name.encode())
            if number >= 0 and name != "socket":
                assert add(filters, ALLOW, number, 0, None) == 0, name
        number = lib.seccomp_syscall_resolve_name(b"socket")
        for family in self.families:
            assert add(filters, ALLOW, number, 1, Compare(0, EQUAL, family, 0)) == 0
        assert lib.seccomp_load(filters) == 0


class UnitLab(Lab):
    """Each daemon under the filter of its unit."""

    def spawn(self, name, argv, **kw):
        program = pathlib.Path(argv[0]).name.removeprefix("quicklime-")
        if program in ("verifier", "registrar", "agent"):
            kw["preexec_fn"] = Unit(program).apply
        return super().spawn(name, argv, **kw)


@pytest.fixture
def unit_lab(tmp_path):
    made = UnitLab(tmp_path)
    yield made
    made.close()


def test_a_forbidden_call_is_refused():
    """The filter of this test bites: otherwise the others prove nothing."""
    done = subprocess.run(["chroot", "/", "true"], preexec_fn=Unit("verifier").apply, capture_output=True, check=False)
    assert done.returncode != 0 and b"not permitted" in done.stderr


def test_units_suffice_for_attestation_and_payload(unit_lab, tmp_path):
    lab = unit_lab
    verifier = lab.start_verifier()
    registrar = lab.start_registrar()
    folder = tmp_path / "node"
    folder.mkdir()
    site = Site(lab, folder)
    try:
        agent = site.start()
        site.deliver(archive(("autorun.sh", "#!/bin/sh\necho it ran\n"), ("name", "n1")), command="add")
        agent.wait_for("script autorun.sh: exit status 0")
        lab.wait_attested(3, agent_id=site.id)
        if os.uname().release >= "5.13" and not SANITIZED:
            assert "no Landlock" not in verifier.log + registrar.log + agent.log
        assert agent.stop() == 0, agent.log[-1000:]
    finally:
        site.close()
    for daemon in (registrar, verifier):
        assert daemon.stop() == 0, daemon.log[-1000:]
