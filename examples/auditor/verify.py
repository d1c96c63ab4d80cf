#!/usr/bin/env python3
"""Verifies a store of evidence, or single proofs, from public keys alone; written from docs/evidence-format.md, without Provost's code.

  python verify.py --public-key gateway.pub --store evidence
  python verify.py --public-key gateway.pub --proof item.tlog-proof

Needs pyarrow and cryptography. Exit code 0: everything holds; 1: what doesn't is said. A whole store rolled back to an older state can't
be seen from a public key: compare the roots that are printed with one that you kept elsewhere."""
import argparse, base64, hashlib, hmac, json, pathlib, sys
import pyarrow as pa, pyarrow.parquet as pq
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

# name:type, ? may be null; t text, l texts, i integer, b boolean, z time; {n} from schema version n on.
COLUMNS = {
    "statements": "statement_id:t session_id:t? seq:i? phase:t? decided_at:z? principal:t? on_behalf_of:t? target:t? sql:t? sql_digest:t? "
    "fingerprint:t? kind:t? relations:l? columns:l? verdict:t? rules:l? reason:t? controls:l? bundle_digest:t? facts_digest:t? "
    "parameters_digest:t? ended_at:z? outcome:t rows:i? bytes:i? duration_us:i? sqlstate:t? ends_log_index:i? {2} observed_verdict:t? "
    "observed_rules:l? probes:l? result_digest:t? {4} approval_id:t?",
    "approvals": "{4} at:z event:t approval_id:t actor:t actor_groups:l reason:t? requester:t on_behalf_of:t? target:t session_id:t statement_id:t? "
    "sql:t? sql_digest:t parameters_digest:t? binding_digest:t bundle_digest:t rules:l controls:l needs:l requested_at:z expires_at:z",
    "maskings": "statement_log_index:i statement_id:t session_id:t decided_at:z principal:t target:t output_index:i output_column:t "
    "source_columns:l class:t transform:t values_masked:i? rule:t controls:l {2} key_id:t?",
    "sessions": "at:z event:t session_id:t principal:t? principal_kind:t? on_behalf_of:t? groups:l issuer:t? client_addr:t? application:t? "
    "tls:b target:t? database:t? authentication:t? reason:t? sqlstate:t? {3} role:t?",
    "changes": "at:z actor:t what:t before:t? after:t? digest:t?",
    "recordings": "{5} at:z event:t statement_id:t session_id:t result:t? result_sha256:t? part:i? parts:i? rows:i? bytes:i? result_digest:t? "
    "is_whole:b? input:t? input_key_id:t? catalog_digest:t? not_replayable:t?",
}
# What `provost evidence verify` checks, and this doesn't.
UNCHECKED = {"holds/": "legal holds: signatures, and that nothing was deleted that they cover",
             "compacted/": "copies of rows in larger objects, no evidence of their own"}
STAMPS = "time stamps of checkpoints; docs/evidence.md has the openssl command that checks one"
TYPES = {"t": "string", "l": "list<element: string not null>", "i": "int64", "b": "bool", "z": "timestamp[us, tz=UTC]"}
# What `decision` of a statement's record is the digest of, from version 5 on.
DECISION = ("sql sql_digest fingerprint kind relations columns verdict rules reason controls bundle_digest facts_digest observed_verdict "
            "observed_rules probes approval_id").split()
dumps = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
sha256 = lambda data: hashlib.sha256(data).digest()
node = lambda left, right: sha256(b"\1" + left + right)


def need(holds, *words):
    if not holds:
        raise ValueError(" ".join(map(str, words)))


class Key:
    def __init__(self, path):
        self.text = pathlib.Path(path).read_text().strip()
        self.name, key_hash, encoded = self.text.split("+", 2)
        key = base64.b64decode(encoded, validate=True)
        self.id, self.gateway = sha256(self.name.encode() + b"\n" + key)[:4], self.name.removeprefix("provost/")
        need(key[:1] == b"\1" and self.id.hex() == key_hash, path, "is no public key of ours")
        self.key = Ed25519PublicKey.from_public_bytes(key[1:])

    def checkpoint(self, note):
        """Tree size, root, number and SHA-256 of the seal, of a checkpoint whose signature is ours."""
        text, _, line = note.decode().rpartition("\n\n")
        start, signed = f"— {self.name} ", base64.b64decode(line.strip().rpartition(" ")[2], validate=True)
        need(line == f"{start}{base64.b64encode(signed).decode()}\n" and signed[:4] == self.id, "not signed by", self.name)
        self.key.verify(signed[4:], text.encode() + b"\n")
        origin, size, root, seal = text.split("\n")
        word, number, digest = seal.split(" ")
        need(origin == self.name and word == "seal" and str(int(size)) == size and str(int(number)) == number, "malformed checkpoint")
        return int(size), base64.b64decode(root, validate=True), int(number), digest


def tile_path(level, number, width):
    groups = [f"{number // 1000**place % 1000:03}" for place in range(10) if place == 0 or number >= 1000**place]
    return f"tile/{level}/" + "/".join(["x" + group for group in groups[:0:-1]] + groups[:1]) + (f".p/{width}" if width < 256 else "")


class Tree:
    def __init__(self):
        self.levels = [[]]

    def push(self, leaf):
        self.levels[0].append(leaf)
        for level, hashes in enumerate(self.levels):
            if len(hashes) % 2:
                return
            if level + 1 == len(self.levels):
                self.levels.append([])
            self.levels[level + 1].append(node(hashes[-2], hashes[-1]))

    def root(self):
        root = None
        for hashes in self.levels:  # the last hash of a level with an odd number of them is a perfect subtree of its own
            if len(hashes) % 2:
                root = hashes[-1] if root is None else node(hashes[-1], root)
        return root or sha256(b"")

    def tiles(self, before):
        """Path and bytes of each tile that the seal published which found `before` leaves."""
        for level in range((len(self.levels) + 7) // 8):
            hashes, seen = self.levels[8 * level], before >> (8 * level)
            for number in range(seen // 256, (len(hashes) + 255) // 256):
                tile = hashes[number * 256 : number * 256 + 256]
                yield tile_path(level, number, len(tile)), b"".join(tile)


def leaves(manifest, data):
    version, dataset = manifest["schema_version"], manifest["dataset"]
    declared, since = [("gateway", "t"), ("log_index", "i"), ("schema_version", "i")], 1
    for word in COLUMNS[dataset].split():
        since = int(word[1]) if word[0] == "{" else since
        declared += [tuple(word.split(":"))] if word[0] != "{" and since <= version else []
    table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
    need([(field.name, str(field.type), field.nullable) for field in table.schema] ==
         [(name, TYPES[kind[0]], kind.endswith("?")) for name, kind in declared], "columns are not those of the version")
    table = pa.table([column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in table.columns], table.column_names)
    secret = bytes.fromhex(manifest["secret"])
    for index, row in enumerate(table.to_pylist(), manifest["first_log_index"]):
        need((row["log_index"], row["gateway"], row["schema_version"]) == (index, manifest["gateway"], version), "row", index, "has another place")
        if dataset == "statements" and version >= 5:
            row["decision"] = sha256(dumps({name: row.pop(name) for name in DECISION}).encode()).hex()
        text = dumps({"dataset": dataset, **row})
        nonce = hmac.digest(secret, b"provost nonce v1" + index.to_bytes(8, "big"), "sha256")[:16]
        yield sha256(b"\0" + nonce + text.encode()), row


def verify_store(store, key, covered):
    ledger, previous, next_sequence, tree, count = f"ledger/{key.gateway}", None, 0, Tree(), 0
    gone, announced = [], {}  # objects that are not there; what rows of `changes` say will be deleted

    def read(path, digest=None):
        covered.add(path)
        data = (store / path).read_bytes()
        need(digest is None or sha256(data).hex() == digest, path, "has another SHA-256 than what pins it")
        return data

    need(read(f"{ledger}/key.pub").decode() == key.text + "\n", "key.pub is another key")
    for number in range(len(list((store / ledger / "checkpoints").iterdir()))):
        note = read(f"{ledger}/checkpoints/{number:020}")
        size, root, seal_number, digest = key.checkpoint(note)
        seal = json.loads(read(f"{ledger}/seals/{number:020}.json", digest))
        before = len(tree.levels[0])
        need((seal["format"], seal["gateway"], seal["seal"], seal["previous"], seal["first_log_index"], seal["tree_size"], seal["first_sequence"]) ==
             ("provost-seal-v1", key.gateway, number, previous, before, size, next_sequence) and seal_number == number, "seal", number, "does not continue")
        for pinned in seal["manifests"]:
            manifest = json.loads(read(pinned["key"], pinned["sha256"]))
            first, last = manifest["first_log_index"], manifest["last_log_index"]
            need(first == len(tree.levels[0]) and last == first + manifest["rows"] - 1, pinned["key"], "does not continue")
            date = manifest["key"].split("date=")[-1][:10]
            name = f"{manifest['dataset']}/date={date}/{key.gateway}-{seal['epoch']}-{first}-{last}.parquet"
            need(manifest["key"] == name and pinned["key"] == f"{ledger}/manifests/{name}.json", name, "is not the object's name")
            if not (store / name).exists():  # its hashes must give the root, and a later row must say that it went
                gone.append(manifest)
                for number_ in range(first // 256, last // 256 + 1):
                    tile = read(f"{ledger}/{tile_path(0, number_, min(size - 256 * number_, 256))}")
                    for place in range(max(first - 256 * number_, 0), min(last - 256 * number_, 255) + 1):
                        tree.push(tile[32 * place : 32 * place + 32])
                continue
            data = read(name, manifest["sha256"])
            need(len(data) == manifest["bytes"], name, "has another size")
            for leaf, row in leaves(manifest, data):
                tree.push(leaf)
                if manifest["dataset"] == "changes" and row["what"] == "evidence-deleted":
                    announced[row["before"], row["digest"], row["after"].rpartition(", ")[0]] = row["log_index"]
                if row.get("result"):  # a part of a recorded result
                    read(row["result"], row["result_sha256"])
                if row.get("catalog_digest"):
                    read(f"catalogs/{row['catalog_digest']}.json", row["catalog_digest"])
            need(len(tree.levels[0]) == last + 1, name, "has another number of rows")
        need((len(tree.levels[0]), tree.root()) == (size, root), "the rows do not give the signed root of seal", number)
        for path, data in tree.tiles(before):
            need(read(f"{ledger}/{path}") == data, path, "does not match the rows")
        previous, next_sequence, count = digest, seal["next_sequence"], number + 1
    need(count and read(f"{ledger}/checkpoint") == note, "checkpoint is not a copy of the last one")
    for manifest in gone:
        first, last, rows = manifest["first_log_index"], manifest["last_log_index"], manifest["rows"]
        said = announced.get((manifest["key"], manifest["sha256"], f"{rows} rows, log_index {first} to {last}"), -1)
        need(said > last, manifest["key"], "is missing, and no later row says that it was deleted")
    deleted = f", {sum(manifest['rows'] for manifest in gone)} of them deleted under retention" if gone else ""
    print(f"{key.gateway}: {size} rows in {count} seals hold{deleted}, root {base64.b64encode(root).decode()}, unanchored")


def verify_proof(path, keys):
    head, _, note = pathlib.Path(path).read_bytes().partition(b"\n\n")
    version, extra, index, *hashes = head.decode().split("\n")
    need(version == "c2sp.org/tlog-proof@v1" and extra.startswith("extra ") and index.startswith("index "), "not a proof with its record")
    record, index = base64.b64decode(extra[6:], validate=True), int(index[6:])
    key = next((key for key in keys if note.startswith(key.name.encode() + b"\n")), None)
    need(key, "no public key was given for it")
    size, root = key.checkpoint(note)[:2]
    need(index < size, "the index is not in the tree")
    own, _, decision = record[16:].partition(b"\n")
    found, place, last = sha256(b"\0" + record[:16] + own), index, size - 1
    for sibling in (base64.b64decode(line, validate=True) for line in hashes):  # RFC 9162, section 2.1.3.2
        need(last > 0, "the path is too long")
        if place % 2 or place == last:
            found = node(sibling, found)
            while place % 2 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node(found, sibling)
        place, last = place >> 1, last >> 1
    need(last == 0 and found == root, "the record is not in the signed tree")
    row = json.loads(own)
    if decision:
        need(row.pop("decision") == sha256(decision).hex(), "the decision is not the record's")
        row |= json.loads(decision)
    need((row["gateway"], row["log_index"]) == (key.gateway, index), "the record says another place")
    print(json.dumps(row, ensure_ascii=False))


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--public-key", action="append", required=True)
    options.add_argument("--store", type=pathlib.Path)
    options.add_argument("--proof", action="append", default=[])
    given = options.parse_args()
    try:
        keys, covered = [Key(path) for path in given.public_key], set()
        unchecked = UNCHECKED | {f"ledger/{key.gateway}/stamps/": STAMPS for key in keys}
        for key in keys if given.store else []:
            verify_store(given.store, key, covered)
        files = [path.relative_to(given.store).as_posix() for path in given.store.rglob("*") if path.is_file()] if given.store else []
        uncovered = sorted(path for path in files if path not in covered and not path.startswith(("leases/", "held/", *unchecked)))
        need(not uncovered, "covered by no checkpoint:", ", ".join(uncovered))
        for prefix in unchecked:
            if any(path.startswith(prefix) for path in files):
                print(f"not checked here: {prefix} ({unchecked[prefix]})")
        for path in given.proof:
            verify_proof(path, keys)
    except (ValueError, KeyError, TypeError, OSError, InvalidSignature, pa.ArrowException) as error:
        sys.exit(f"does not hold: {type(error).__name__}: {error}")


main()
