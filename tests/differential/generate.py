#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes IMA measurement lists with runtime policies from a seed, one JSON object a line (see README.md)."""
import argparse
import base64
import hashlib
import json
import random
import struct
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
DIRS = ["/usr/bin/", "/usr/lib/x86_64-linux-gnu/", "/etc/", "/tmp/", "/var/lib/ab/", "/opt/é/"]
WORDS = ["cat", "ls", "lib.so.6", "a+b", "x(1)", "[y]", "with space", "ünï", "z.sh", "$cash", "back\\slash"]
EXCLUDES = ["/tmp/.*", r"/etc/z\.sh$", "/usr/bin/(cat|ls)", "^/var/lib/.*", "(?i:/ETC/LS)", r"/opt/\w+/.*", "/usr/lib/[^/]+/a",
            "boot_aggregate", r"/.*\$cash", "/tmp/x{1,2}", r"\S+/(?P<n>z)\.sh", "(?!/usr).*cat"]
BAD_EXCLUDES = ["(", "[a", "*x", "a{2}{3}", r"\p{L}", "(?P<n>a)(?P<n>b)", "(?:ab)*+x", "x(?i)y"]
KEYRINGS = [".ima", ".builtin_trusted_keys", ".evm"]
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def der_of(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_id(key):
    form = (serialization.Encoding.DER, serialization.PublicFormat.PKCS1) if key is RSA else \
        (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return hashlib.sha1(key.public_key().public_bytes(*form)).digest()[-4:]


def file_signature(key, digest):
    how = (padding.PKCS1v15(), Prehashed(hashes.SHA256())) if key is RSA else (ec.ECDSA(Prehashed(hashes.SHA256())),)
    raw = key.sign(digest, *how)
    return b"\x03\x02\x04" + key_id(key) + struct.pack(">H", len(raw)) + raw


def field(data):
    return struct.pack("<I", len(data)) + data


class Case:
    """One list, the policy that judges it and the value of PCR 10 that it is compared with."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        rng = self.rng
        self.lines, self.values, self.tags = [], [], set()
        self.bank = rng.choice(["sha1", "sha256", "sha256", "sha384", "sha512"])
        self.log_alg = rng.choice(["sha1"] * 6 + ["sha256"])
        self.keys = [ec.derive_private_key(rng.randrange(1, ORDER), ec.SECP256R1()) for _ in range(2)]
        if rng.random() < 0.3:
            self.keys[rng.randrange(2)] = RSA
            self.tags.add("rsa")
        self.policy = {"meta": {"version": 1, "generator": 0}, "release": 0, "digests": {}, "excludes": [], "keyrings": {},
                       "ima": {"ignored_keyrings": [], "log_hash_alg": self.log_alg, "dm_policy": None}, "ima-buf": {},
                       "verification-keys": ""}

    def add(self, template, text, data, violation=False, wrong_hash=False):
        head = hashlib.new(self.log_alg, data).digest()
        value = hashlib.new(self.bank, data).digest()
        if violation:
            head, value = bytes(len(head)), b"\xff" * len(value)
            self.tags.add("violation")
        elif wrong_hash:
            head = bytes([head[0] ^ 1]) + head[1:]
            self.tags.add("template-hash")
        self.lines.append(f"10 {head.hex()} {template} {text}")
        self.values.append(value)

    def allow(self, table, name, digest):
        """Most entries are allowed by the policy; some are not there, or with another digest."""
        kind = self.rng.random()
        if kind < 0.9:
            self.policy[table].setdefault(name, []).append(digest.hex())
        elif kind < 0.95:
            self.policy[table].setdefault(name, []).append(bytes(len(digest)).hex())

    def file_entry(self, path=None):
        rng = self.rng
        path = path or rng.choice(DIRS) + rng.choice(WORDS) + rng.choice(["", str(rng.randrange(9))])
        template = rng.choice(["ima-ng", "ima-ng", "ima-sig", "ima-sig", "ima"])
        alg = "sha1" if template == "ima" else rng.choice(["sha256", "sha256", "sha1", "sha512"])
        digest = hashlib.new(alg, f"{path} {rng.randrange(2)}".encode()).digest()
        broken = rng.random()
        violation, wrong = broken < 0.02, 0.02 <= broken < 0.03
        if violation:
            digest = bytes(len(digest))
        self.tags.add(template)
        if template == "ima":
            self.add(template, f"{digest.hex()} {path}", digest + path.encode().ljust(256, b"\0"), violation, wrong)
        else:
            data = field(f"{alg}:".encode() + b"\0" + digest) + field(path.encode() + b"\0")
            text = f"{alg}:{digest.hex()} {path}"
            if template == "ima-sig":
                signature = b""
                if alg == "sha256" and rng.random() < 0.5:
                    signature = file_signature(rng.choice(self.keys), digest)
                    self.tags.add("signature")
                    if rng.random() < 0.1:
                        signature = signature[:-1] + bytes([signature[-1] ^ 1])
                data += field(signature)
                text += f" {signature.hex()}"
            self.add(template, text, data, violation, wrong)
        if not violation:
            self.allow("digests", path, digest)

    def buffer_entry(self):
        rng = self.rng
        key = rng.random() < 0.6
        name = rng.choice(KEYRINGS) if key else rng.choice(["kexec-cmdline", "selinux-state", "odd name"])
        content = der_of(rng.choice(self.keys)) if key else f"quiet {rng.randrange(9)}".encode()
        digest = hashlib.sha256(content).digest()
        if rng.random() < 0.03:
            digest = hashlib.sha256(b"other").digest()
            self.tags.add("buffer-digest")
        self.tags.add("key" if key else "ima-buf")
        data = field(b"sha256:\0" + digest) + field(name.encode() + b"\0") + field(content)
        self.add("ima-buf", f"sha256:{digest.hex()} {name} {content.hex()}", data)
        self.allow("keyrings" if key else "ima-buf", name, digest)

    def bad_line(self):
        rng = self.rng
        good = rng.choice(self.lines)
        self.tags.add("bad-line")
        line = rng.choice([
            lambda: good[:rng.randrange(1, max(2, len(good) - 1))],
            lambda: good.replace(" ", "", 1),
            lambda: good.replace("10 ", "11 ", 1),
            lambda: good.replace("ima-", "ima_", 1),
            lambda: good.replace("sha256:", "sha3:", 1),
            lambda: good[:3] + "zz" + good[5:],
            lambda: "10",
            lambda: good[:5] + "\t" + good[5:],
            lambda: good.upper(),
            lambda: good + " 00"])()
        if "\t" in line or (" ima-buf " in line and line.endswith(" 00")):
            self.tags.add("space-in-hex")
        self.lines.append(line)

    def make(self):
        rng = self.rng
        digest = hashlib.sha256(b"boot").digest()
        if rng.random() < 0.97:
            self.add("ima-ng", f"sha256:{digest.hex()} boot_aggregate",
                     field(b"sha256:\0" + digest) + field(b"boot_aggregate\0"))
            known = rng.random()
            if known < 0.96:
                self.policy["digests"]["boot_aggregate"] = [digest.hex()]
            else:
                self.tags.add("boot-aggregate")
                if known < 0.98:
                    self.policy["digests"]["boot_aggregate"] = [bytes(32).hex()]
        has_devices = rng.random() < 0.2
        if has_devices:
            devices = Devices(self)
        for _ in range(rng.randrange(1, 25)):
            if has_devices and rng.random() < 0.4:
                devices.entry()
            else:
                (self.buffer_entry if rng.random() < 0.15 else self.file_entry)()
        if rng.random() < 0.15:
            self.bad_line()
        self.policy["excludes"] = rng.sample(EXCLUDES, rng.choice([0, 0, 1, 2, 4]))
        if rng.random() < 0.03:
            self.policy["excludes"].append(rng.choice(BAD_EXCLUDES))
            self.tags.add("bad-exclude")
        if rng.random() < 0.2:
            self.policy["ima"]["ignored_keyrings"] = [rng.choice(KEYRINGS + ["*"])]
        if rng.random() < 0.5:
            given = self.keys[:rng.choice([1, 2])]
            self.policy["verification-keys"] = json.dumps({
                "meta": {"version": 1}, "keyids": [int.from_bytes(key_id(k), "big") for k in given],
                "pubkeys": [base64.b64encode(der_of(k)).decode() for k in given]})
        elif rng.random() < 0.02:
            self.policy["verification-keys"] = rng.choice(["[]", "null", "{}", "no keys"])
            self.tags.add("keyring-text")
        pcr = bytes(hashlib.new(self.bank).digest_size)
        ahead = rng.choice([0] * 6 + [1, 2])
        for value in self.values[:len(self.values) - ahead] or self.values:
            pcr = hashlib.new(self.bank, pcr + value).digest()
        if rng.random() < 0.03:
            pcr = bytes(len(pcr))[:-1] + b"\x07"
            self.tags.add("pcr")
        return {"bank": self.bank, "pcr10": pcr.hex(), "policy": self.policy,
                "violations": rng.choice(["tolerate", "tolerate", "fail"]),
                "log": "\n".join(self.lines) + "\n",
                "tags": sorted(self.tags)}


class Devices:
    """Entries of the device mapper, and a policy for them that most of them follow."""

    def __init__(self, case):
        self.case, self.rng = case, case.rng
        self.by = self.rng.choice(["name", "uuid"])
        self.loaded = {}  # name: [uuid, digest of the table]
        case.tags.add("dm")
        case.policy["ima"]["dm_policy"] = {"version": 1, "match_on": self.by, "rules": {
            kind: self.rule(kind) for kind in self.rng.sample(["linear", "verity"], self.rng.choice([1, 2, 2]))}}

    def rule(self, kind):
        rng = self.rng
        own = {"linear": {"device_name": "7:0", "start": "512"},
               "verity": {"root_digest": "ab" * 32, "verity_algorithm": "sha256", "ignore_zero_blocks": False}}[kind]
        return {"required": False, "device_resume_required": rng.random() < 0.5, "allow_clear": rng.random() < 0.5,
                "device_rename": {"valid_name": rng.choice([None, f"{kind}-[0-9]+", f"{kind}-new"]), "valid_uuid": None},
                "device_remove": {"allow_removal": rng.random() < 0.5},
                "table_load": {"allow_multiple_loads": rng.random() < 0.5, "name": f"{kind}-[0-9]+", "uuid": f"U-{kind}-.*",
                               "major": 253, "minor": rng.choice([None, 0]), "minor_count": 1, "num_targets": 1,
                               "targets": [{"target_index": 0, "target_begin": rng.choice([0, None]),
                                            "target_len": rng.choice([None, 1953, "[0-9]+"]), "target_name": kind,
                                            "target_version": "1\\.[0-9]\\.0", **own}]}}

    def meta(self, name, uuid):
        return f"name={name},uuid={uuid},major=253,minor=0,minor_count=1,num_targets=1"

    def add(self, event, text):
        case, content = self.case, text.encode()
        digest = hashlib.sha256(content).digest()
        data = field(b"sha256:\0" + digest) + field(event.encode() + b"\0") + field(content)
        case.add("ima-buf", f"sha256:{digest.hex()} {event} {content.hex()}", data)
        return digest.hex()

    def load(self, _name):
        rng = self.rng
        kind = rng.choice(["linear", "verity"])
        name = f"{kind}-{rng.randrange(3)}"
        uuid = f"U-{name}"
        if rng.random() < 0.04:
            name, uuid = "other", "V"
        number = rng.choice([0] * 20 + [1])
        own = {"linear": f"device_name=7:{number},start=512",
               "verity": "hash_failed=V,verity_version=1,data_device_name=253:1,hash_device_name=253:0,verity_algorithm=sha256,"
                         f"root_digest={'ab' * 31}{'ab' if number == 0 else 'cd'},salt=00,ignore_zero_blocks=n,"
                         "check_at_most_once=n"}[kind]
        digest = self.add("dm_table_load", f"dm_version=4.45.0;{self.meta(name, uuid)};target_index=0,target_begin=0,"
                          f"target_len=1953,target_name={kind},target_version=1.{rng.randrange(9)}.0,{own};")
        self.loaded[name] = [uuid, digest]

    def resume(self, name):
        uuid, digest = self.loaded[name]
        if self.rng.random() < 0.03:
            digest = hashlib.sha256(b"other").hexdigest()
        self.add("dm_device_resume", f"dm_version=4.45.0;{self.meta(name, uuid)};active_table_hash=sha256:{digest};"
                 "current_device_capacity=1953;")

    def remove(self, name):
        uuid, digest = self.loaded[name]
        self.add("dm_device_remove", f"dm_version=4.45.0;device_active_metadata={self.meta(name, uuid)};"
                 f"active_table_hash=sha256:{digest},remove_all=n;current_device_capacity=1953;")
        if self.rng.random() < 0.8:
            del self.loaded[name]

    def clear(self, name):
        uuid, digest = self.loaded[name]
        self.add("dm_table_clear", f"dm_version=4.45.0;{self.meta(name, uuid)};inactive_table_hash=sha256:{digest};"
                 "current_device_capacity=1953;")

    def rename(self, name):
        uuid, digest = self.loaded[name]
        new = name.split("-")[0] + self.rng.choice(["-7", "-new", "-bad"])
        self.add("dm_device_rename", f"dm_version=4.45.0;{self.meta(name, uuid)};new_name={new},new_uuid={uuid};"
                 "current_device_capacity=1953;")
        if self.by == "name":
            self.loaded[new] = self.loaded.pop(name)

    def entry(self):
        rng = self.rng
        if not self.loaded or rng.random() < 0.4:
            self.load(None)
        else:
            rng.choice([self.resume, self.resume, self.resume, self.remove, self.clear, self.rename])(rng.choice(list(self.loaded)))


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=1, help="seed of the first case")
    options.add_argument("--cases", type=int, default=2000)
    asked = options.parse_args()
    for seed in range(asked.seed, asked.seed + asked.cases):
        json.dump({"id": f"seed-{seed}", **Case(seed).make()}, sys.stdout, ensure_ascii=True)
        print()


if __name__ == "__main__":
    main()
