"""The gateway side by side with what it must be as fast as, in interleaved rounds on one machine: see run.sh.

It reports and never fails for a figure: what other programs do on the machine meets every contender alike, so ratios and differences
to the relay say more than any number by itself."""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import threading
import time

import house
import wire

# `-S` with the same text each time (:aid is bound), and one whose text is new each time (:aid is written into it).
SCRIPTS = {
    "select": "\\set aid random(1, %d)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n" % house.ACCOUNTS,
    "constant": "SELECT abalance FROM pgbench_accounts WHERE aid = 4711;\n",
    "one": "SELECT 1;\n",
}
# Mode of pgbench and script of each kind of statement.
STATEMENTS = {"simple": ("simple", "constant"), "extended": ("extended", "select"), "prepared": ("prepared", "select"), "new text": ("simple", "select")}
PROXIES = ["direct", "pgbouncer", "relay", "null", "gateway"]
SETTLE_SECONDS = 2.5  # the last records of a run are sealed within: they are part of what it cost


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


class Bench:
    def __init__(self, options, place):
        self.options, self.house, self.results = options, place, {}
        for name, text in SCRIPTS.items():
            (place.folder / f"{name}.sql").write_text(text)

    def rounds(self, section, names, cases, measure):
        """Every case of every contender, in turn, `rounds` times; the medians by case and contender."""
        seen = {}
        for _ in range(self.options.rounds):
            for case in cases:
                for name in names:
                    contender = self.house.contenders[name]
                    seen.setdefault((case, name), []).append(measure(contender, case))
        rows = []
        for (case, name), runs in seen.items():
            keys = dict.fromkeys(key for run in runs for key in run)
            figures = {key: median([run.get(key) for run in runs]) for key in keys}
            rows.append({"case": case, "contender": name, **figures})
        self.results[section] = rows
        return rows

    def pgbench(self, contender, mode, script, clients, seconds, *more):
        """Transactions a second, and what each cost the proxy."""
        command = ["pgbench", "-n", "-M", mode, "-c", str(clients), "-j", "2", "-T", str(seconds), "-f", self.house.folder / f"{script}.sql", *more]
        before, threads = contender.cpu_us(), contender.process and contender.threads_us()
        output = house.run(*command, env=contender.environment())
        at_end = contender.cpu_us()
        if contender.name.startswith("gateway"):
            time.sleep(SETTLE_SECONDS)
        count = int(re.search(r"actually processed: (\d+)", output)[1])
        if count == 0:
            raise SystemExit(f"{contender.name} completed nothing:\n{output}")
        figures = {"tps": float(re.search(r"tps = ([\d.]+) \(", output)[1]), "latency_us": 1000 * float(re.search(r"latency average = ([\d.]+)", output)[1])}
        if contender.process is not None:
            figures["cpu_us"] = (contender.cpu_us() - before) / count
            figures["written_us"] = (at_end - before) / count
            for name, used in contender.threads_us().items():
                figures[f"thread {name}"] = (used - threads.get(name, 0)) / count
        figures["transactions"] = count
        return figures

    def statements(self, section, kinds, names):
        cases = [f"{kind}, {clients} clients" for kind in kinds for clients in self.options.clients]

        def measure(contender, case):
            kind, _, clients = case.rpartition(", ")
            mode, script = STATEMENTS[kind]
            return self.pgbench(contender, mode, script, int(clients.split()[0]), self.options.seconds)

        rows = self.rounds(section, names, cases, measure)
        self.table(section, rows, ["tps", "cpu_us"], {"tps": "relay", "cpu_us": "relay"})

    def cached(self):
        self.statements("cached", ["simple", "extended", "prepared"], PROXIES)

    def text(self):
        self.statements("text", ["new text"], PROXIES)

    def tls(self):
        """Without and with TLS towards clients, who ask at one rate: where all do as much as they can, encryption costs the clients' side
        more than the proxies', and a proxy that waits more often costs more for each transaction by that alone. Clients and server leave
        the proxies a core: what they do would make the proxies' caches cold, and encrypting clients more so."""
        names = ["relay", "relay-tls", "null", "null-tls", "gateway", "gateway-tls"]
        cases = [f"{clients} clients, {rate} tps" for clients in self.options.clients for rate in self.options.rates]

        def measure(contender, case):
            clients, _, rate, _ = case.replace(",", "").split()
            return self.pgbench(contender, "prepared", "select", int(clients), self.options.seconds, "--rate", rate)

        everywhere = os.sched_getaffinity(0)
        *others, own = sorted(everywhere)
        if others:
            self.house.place(set(others), {own})
        rows = self.rounds("tls", names, cases, measure)
        self.house.place(everywhere, everywhere)
        self.table("tls", rows, ["tps", "cpu_us"], {"cpu_us": "relay"})

    def bulk(self):
        """A million rows through one session: as text, in binary, and by COPY; then with one text column masked."""
        agent = self.house.tokens["agent"]
        copies = {"copy text": "text", "copy csv": "csv", "copy binary": "binary"}
        cases = ["select text", "select binary", *copies]

        def measure(contender, case):
            what, _, masked = case.partition(", ")
            user, password = ("agent", agent) if masked and contender.name in ("gateway", "null") else (contender.user, contender.password)
            if contender.name == "direct":
                user, password = "plain", ""
            client = wire.Client(contender.port, user, password, contender.database)
            before, began = contender.cpu_us(), time.monotonic()
            try:
                if what in copies:
                    size = client.query(f"COPY public.bulk TO STDOUT (FORMAT {copies[what]})")
                else:
                    size = client.query("SELECT * FROM public.bulk") if what == "select text" else client.binary("SELECT * FROM public.bulk")
            except wire.Refused as refused:
                print(f"{contender.name}, {case}: {str(refused)[:300]}", file=sys.stderr)
                return {}
            finally:
                client.close()
            spent = time.monotonic() - began
            if not masked:
                sizes[what] = size
            figures = {"mb_s": sizes[what] / spent / 1e6, "seconds": spent}
            if contender.process is not None:
                figures["cpu_ms"] = (contender.cpu_us() - before) / 1000
            return figures

        sizes = {}
        cases = [case + suffix for suffix in ("", ", one column masked") for case in cases]
        # A masked row has another size: what counts is how fast the server's rows are taken.
        rows = self.rounds("bulk", PROXIES, cases, measure)
        self.table("bulk", rows, ["mb_s", "cpu_ms"], {"mb_s": "relay", "cpu_ms": "relay"})

    def start(self):
        """Sessions of one `SELECT 1` each, one after the other, with libpq."""
        rows = self.rounds("start", PROXIES, ["connect and SELECT 1"], lambda contender, _: self.pgbench(contender, "simple", "one", 1, self.options.seconds, "-C"))
        self.table("start", rows, ["latency_us", "cpu_us"], {"latency_us": "direct"})

    def calls(self):
        """System calls for each transaction, counted by strace, under which everything is slower."""
        cases = [f"{kind}, {clients} clients" for kind in STATEMENTS for clients in self.options.clients]

        def measure(contender, case):
            kind, _, clients = case.rpartition(", ")
            mode, script = STATEMENTS[kind]
            log = self.house.folder / "calls"
            counter = ["strace", "-f", "-c", "-U", "calls,name", "-p", str(contender.process.pid), "-o", str(log)]
            counting = subprocess.Popen(counter, stderr=subprocess.DEVNULL)
            time.sleep(1)
            if counting.poll() is not None:
                raise SystemExit("strace can't count")
            figures = self.pgbench(contender, mode, script, int(clients.split()[0]), self.options.seconds)
            counting.send_signal(2)
            counting.wait()
            count = int(re.search(r"^ *(\d+) total", log.read_text(), re.M)[1])
            return {"calls": count / figures["transactions"]}

        rows = self.rounds("calls", ["relay", "pgbouncer", "null", "gateway"], cases, measure)
        self.table("calls", rows, ["calls"], {})

    def idle(self):
        """Resident memory of sessions that ran a statement each and wait."""
        count, rows = self.options.idle, []
        for name in ("relay", "null", "gateway"):
            contender = self.house.contenders[name]
            before, sessions, failed = contender.resident_kib(), [], []

            def begin(share):
                try:
                    for _ in range(share):
                        client = wire.Client(contender.port, contender.user, contender.password, contender.database)
                        client.buffer = bytearray(4096)
                        client.query("SELECT abalance FROM pgbench_accounts WHERE aid = 4711")
                        sessions.append(client)
                except (OSError, wire.Refused) as error:
                    failed.append(str(error))

            workers = [threading.Thread(target=begin, args=(count // 4,)) for _ in range(4)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            time.sleep(SETTLE_SECONDS)
            during = contender.resident_kib()
            rows.append({"case": f"{len(sessions)} idle sessions", "contender": name, "resident_mb": during / 1024, "more_mb": (during - before) / 1024})
            for client in sessions:
                client.close()
            if failed:
                print(f"{name}: {failed[0]}", file=sys.stderr)
            time.sleep(SETTLE_SECONDS)
        self.results["idle"] = rows
        self.table("idle", rows, ["resident_mb", "more_mb"], {})

    def table(self, section, rows, keys, references):
        base = {(row["case"], row["contender"]): row for row in rows}
        print(f"\n## {section}\n")
        heads = ["case", "contender"]
        for key in keys:
            heads.append(key)
            if key in references:
                heads += [f"/ {references[key]}"] + ([f"- {references[key]}"] if key == "cpu_us" else [])
        print("| " + " | ".join(heads) + " |")
        print("|---|---|" + "---:|" * (len(heads) - 2))
        for row in rows:
            cells = [row["case"], row["contender"]]
            for key in keys:
                value = row.get(key)
                cells.append("" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.1f}")
                if key in references:
                    other = base.get((row["case"], references[key]), {}).get(key)
                    known = value is not None and other
                    cells.append(f"{value / other:.2f}" if known else "")
                    if key == "cpu_us":
                        cells.append(f"{value - other:+.1f}" if known else "")
            print("| " + " | ".join(cells) + " |")
        sys.stdout.flush()


def main():
    sections = ["cached", "text", "tls", "bulk", "start", "calls", "idle"]
    parser = argparse.ArgumentParser(description="measures the gateway beside direct, pgbouncer and a relay")
    parser.add_argument("--only", action="append", choices=sections, help="this section (may be given more than once)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each run of pgbench")
    parser.add_argument("--clients", type=lambda text: [int(part) for part in text.split(",")], default=[1, 8, 32])
    parser.add_argument("--rates", type=lambda text: [int(part) for part in text.split(",")], default=[8000], help="transactions a second of the part `tls`")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--idle", type=int, default=5000, help="idle sessions: each has a server process")
    parser.add_argument("--json", type=pathlib.Path, default=pathlib.Path("target/bench.json"))
    parser.add_argument("--programs", type=pathlib.Path, required=True)
    options = parser.parse_args()
    chosen = [section for section in sections if section in (options.only or sections)]
    connections = options.idle + 50 if "idle" in chosen else 100
    with house.House(options.programs.resolve(), options.threads, connections) as place:
        bench = Bench(options, place)
        load = os.getloadavg()[0]
        print(f"{os.cpu_count()} cores, load {load:.1f} before, {options.rounds} rounds of {options.seconds} s, {options.threads} threads, {place.psql('SHOW server_version').strip()}")
        for section in chosen:
            getattr(bench, section)()
    record = {"cores": os.cpu_count(), "load_before": load, "rounds": options.rounds, "seconds": options.seconds, "sections": bench.results}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(record, indent=1) + "\n")


main()
