"""Verifies a signed bundle from docs/bundles.md alone: verify.py BUNDLE PUBLIC_KEY prints the digest, or fails.

Shares no code with Provost. It checks what OPA documents for its own bundles: one JWT in `.signatures.json`, the exact set
of files, SHA-256 over bytes or, for `.manifest` and `data.json`, over JSON with sorted names and no white space.
"""

import base64
import hashlib
import json
import sys
import tarfile

from cryptography.hazmat.primitives.serialization import load_pem_public_key


def decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def hashed(name, content):
    if name.rsplit("/", 1)[-1] in (".manifest", "data.json"):
        content = json.dumps(json.loads(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return hashlib.sha256(content).hexdigest()


def main(bundle, public_key):
    with tarfile.open(bundle, "r:gz") as archive:
        members = archive.getmembers()
        assert all(member.isfile() for member in members)
        files = {member.name: archive.extractfile(member).read() for member in members}
    assert len(files) == len(members)
    for member in members:
        assert (member.mtime, member.uid, member.gid, member.mode) == (0, 0, 0, 0o644), member.name
    signatures = json.loads(files.pop(".signatures.json"))
    [token] = signatures["signatures"]
    header, payload, signature = token.split(".")
    key = load_pem_public_key(open(public_key, "rb").read())
    assert json.loads(decode(header))["alg"] == "EdDSA"
    key.verify(decode(signature), f"{header}.{payload}".encode())
    listed = {file["name"]: file for file in json.loads(decode(payload))["files"]}
    assert listed.keys() == files.keys(), (listed.keys(), files.keys())
    for name, content in files.items():
        assert listed[name]["algorithm"] == "SHA-256", name
        assert listed[name]["hash"] == hashed(name, content), name
    lines = "".join(f"{hashed(name, files[name])}  {name}\n" for name in sorted(files, key=str.encode))
    print(hashlib.sha256(lines.encode()).hexdigest())


if __name__ == "__main__":
    main(*sys.argv[1:])
