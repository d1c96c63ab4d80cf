"""What tests/bench/run.py measures: a private PostgreSQL, a token issuer, and every contender in front of that server.

It must leave nothing behind: every process is stopped and the folder removed, however the run ends."""

import base64
import http.server
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROWS = 1_000_000
ACCOUNTS = 1_000_000  # pgbench scale 10
DATABASE = "bench"
PASSWORD = "bench-password"
AUDIENCE = "bench"
# Who asks: `app` sees everything, one text column of `bulk` is masked for `agent`.
GROUPS = {"app": ["apps"], "agent": ["agents"]}
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """A discovery document, one RSA key, and tokens signed with it by openssl."""

    def __init__(self, folder):
        self.key = folder / "issuer.pem"
        run("openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.key)
        modulus = bytes.fromhex(run("openssl", "rsa", "-in", self.key, "-noout", "-modulus").strip().split("=")[1])
        keys = {"keys": [{"kty": "RSA", "kid": "bench", "use": "sig", "alg": "RS256", "n": encoded(modulus), "e": "AQAB"}]}
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(keys if self.path == "/keys" else issuer.document).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.document = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": f"{self.url}/authorize",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, person):
        now = int(time.time())
        claims = {"iss": self.url, "sub": person, "aud": AUDIENCE, "iat": now, "exp": now + 86_400, "groups": GROUPS[person]}
        header = {"alg": "RS256", "typ": "at+jwt", "kid": "bench"}
        signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=signed.encode(), capture_output=True, check=True)
        return f"{signed}.{encoded(signature.stdout)}"


class Contender:
    """One way to the server: a name, a port, who logs in there, and the process whose time is counted."""

    def __init__(self, name, port, user, password, process=None, database=DATABASE, tls=False):
        self.name, self.port, self.user, self.password = name, port, user, password
        self.process, self.database, self.tls = process, database, tls

    def environment(self, user=None, password=None):
        return dict(
            os.environ, PGHOST="127.0.0.1", PGPORT=str(self.port), PGUSER=user or self.user, PGDATABASE=self.database,
            PGPASSWORD=password or self.password, PGSSLMODE="require" if self.tls else "disable", PGOPTIONS="", LC_ALL="C",
        )

    def cpu_us(self):
        """User and system time of all threads so far, in microseconds (/proc/PID/stat); None where there is no proxy."""
        if self.process is None:
            return None
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1_000_000 / TICK

    def threads_us(self):
        """The same by thread's name, from the scheduler's own count; threads that ended are not in it."""
        times = {}
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            try:
                name = (task / "comm").read_text().strip().rstrip("0123456789-")
                times[name] = times.get(name, 0) + int((task / "schedstat").read_text().split()[0]) / 1000
            except OSError:
                pass
        return times

    def resident_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])


class House:
    def __init__(self, programs, threads, connections):
        self.programs, self.threads, self.connections = programs, threads, connections
        self.processes, self.contenders = [], {}
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="provost-bench-"))
        self.folder.chmod(0o711)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def __enter__(self):
        try:
            self.start_server()
            self.issuer = Issuer(self.folder)
            self.tokens = {person: self.issuer.token(person) for person in GROUPS}
            self.write_files()
            self.start_contenders()
        except BaseException:
            self.__exit__()
            raise
        return self

    def place(self, cores, of_proxies):
        """Where clients and server run from now on, and where proxies do."""
        os.sched_setaffinity(0, cores)
        # Of connections that come.
        os.sched_setaffinity(self.server.pid, cores)
        for contender in self.contenders.values():
            if contender.process is not None:
                for task in pathlib.Path(f"/proc/{contender.process.pid}/task").iterdir():
                    os.sched_setaffinity(int(task.name), of_proxies)

    def __exit__(self, *_):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGINT if process is self.server else signal.SIGTERM)
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, *command, **options):
        log = open(self.folder / f"{name}.log", "ab")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
        self.processes.append(process)
        return process

    def wait_for(self, name, process, port):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{name} does not listen:\n{(self.folder / f'{name}.log').read_text()}")

    # The server refuses to run as root, and so does pgbouncer.
    def unprivileged(self):
        return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}

    def own(self, path):
        if os.getuid() == 0:
            shutil.chown(path, "postgres", "postgres")
        return path

    def start_server(self):
        versions = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
        initdb = os.environ.get("PROVOST_BENCH_INITDB") or (versions[-1] if versions else shutil.which("initdb"))
        binaries = pathlib.Path(initdb).parent
        self.sockets = self.folder / "server"
        self.sockets.mkdir(mode=0o755)
        data = self.own(self.sockets) / "data"
        secret = self.own(self.folder / "secret") if (self.folder / "secret").write_text(PASSWORD) else None
        secret.chmod(0o644)
        run(initdb, "-D", data, "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C", "-N", **self.unprivileged())
        # `plain` logs in without a word, so that every contender can, whatever it knows of passwords.
        (data / "pg_hba.conf").write_text("local all plain trust\nhost all plain 127.0.0.1/32 trust\nlocal all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n")
        self.port = free_port()
        settings = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.sockets, "fsync": "off", "autovacuum": "off",
            "shared_buffers": "512MB", "max_connections": self.connections + 100, "ssl": "off", "jit": "off", "max_wal_size": "4GB", "log_min_messages": "fatal",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.server = self.start("server", binaries / "postgres", "-D", data, *options, **self.unprivileged())
        self.wait_for("server", self.server, self.port)
        self.contenders["direct"] = Contender("direct", self.port, "postgres", PASSWORD)
        self.psql("CREATE ROLE plain LOGIN SUPERUSER", database="postgres")
        self.psql(f"CREATE DATABASE {DATABASE}", database="postgres")
        self.psql(
            f"CREATE TABLE bulk AS SELECT n AS id, n % 1000 AS amount, md5(n::text) AS note, md5((-n)::text) AS town FROM generate_series(1, {ROWS}) AS n"
        )
        environment = self.contenders["direct"].environment()
        run("pgbench", "-i", "-q", "-s", str(ACCOUNTS // 100_000), env=environment)
        self.psql("VACUUM FREEZE ANALYZE")

    def psql(self, sql, database=DATABASE):
        environment = dict(self.contenders["direct"].environment(), PGDATABASE=database)
        return run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, env=environment)

    def write_files(self):
        folder = self.folder
        (folder / "policies").mkdir()
        lines = [
            'group apps = "apps"', 'group agents = "agents"', "class notes = public.bulk.note",
            "rule apps-do-all allow any on *.* for apps", "rule agents-read allow read, copy-to on public.* for agents",
            "rule mask-notes mask notes for agents with redact",
        ]
        # 997 more, of every kind, about other schemas and groups, and about the table that is asked for.
        for number in range(997):
            schema, table, group = f"s{number % 25}", f"t{number % 40}", f"group{number % 20}"
            if number < 20:
                lines.append(f'group {group} = "{group}"')
            lines.append([
                f"rule r{number} allow read, insert on {schema}.{table} for {group}",
                f"rule r{number} deny delete, truncate on public.pgbench_{table} for {group} when not bounded",
                f"rule r{number} limit rows {1000 + number} on {schema}.* for {group}",
                f"rule r{number} allow update on public.pgbench_accounts for {group} when filtered",
            ][number % 4])
        (folder / "policies/bench.pol").write_text("\n".join(lines) + "\n")
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", folder / "signing.pem")
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2", "-keyout", folder / "key.pem", "-out", folder / "certificate.pem")
        (folder / "digest-key").write_text("0123456789abcdef0123456789abcdef")

    def gateway_config(self, name, port, tls):
        folder = self.folder
        encryption = f'mode = "required"\ncertificate = "{folder}/certificate.pem"\nkey = "file:{folder}/key.pem"' if tls else 'mode = "off"'
        path = folder / f"{name}.toml"
        path.write_text(f"""
[gateway]
listen = "127.0.0.1:{port}"
threads = {self.threads}
[gateway.tls]
{encryption}
[gateway.limits]
connections_max = {self.connections + 50}
connections_per_principal_max = {self.connections + 50}
[policy]
folder = "{folder}/policies"
unsigned = true
[issuer]
url = "{self.issuer.url}"
audiences = ["{AUDIENCE}"]
[evidence]
gateway = "{name}"
folder = "{folder}/{name}-log"
store = "{folder}/{name}-evidence"
signing_key = "file:{folder}/signing.pem"
digest_key = "file:{folder}/digest-key"
seal_interval_ms = 1000
[[target]]
name = "{DATABASE}"
host = "{self.sockets}"
port = {self.port}
database = "{DATABASE}"
user = "postgres"
password = "file:{folder}/secret"
tls = "off"
""")
        return path

    def start_contenders(self):
        socket_path = self.sockets / f".s.PGSQL.{self.port}"
        relay = [self.programs / "examples/bench-relay", "127.0.0.1:{port}", socket_path, str(self.threads)]
        encrypted = [self.folder / "certificate.pem", self.folder / "key.pem"]
        self.add("relay", "plain", "", relay)
        self.add("relay-tls", "plain", "", relay + encrypted, tls=True)
        self.start_pgbouncer()
        token = self.tokens["app"]
        null = [self.programs / "examples/bench-gateway", "127.0.0.1:{port}", self.sockets, str(self.port), DATABASE, self.folder / "secret", self.folder / "policies", self.issuer.url, AUDIENCE, str(self.threads)]
        self.add("null", "app", token, null)
        self.add("null-tls", "app", token, null + encrypted, tls=True)
        for name, tls in (("gateway", False), ("gateway-tls", True)):
            port = free_port()
            self.add(name, "app", token, [self.programs / "provost", "serve", "--config", self.gateway_config(name, port, tls)], port, tls)

    def add(self, name, person, password, command, port=None, tls=False, **options):
        port = port or free_port()
        command = [str(part).replace("{port}", str(port)) for part in command]
        process = self.start(name, *command, env=dict(os.environ, NO_COLOR="1", PROVOST_LOG="warn"), **options)
        self.wait_for(name, process, port)
        self.contenders[name] = Contender(name, port, person, password, process, tls=tls)

    def start_pgbouncer(self):
        program = shutil.which("pgbouncer", path="/usr/sbin:" + os.environ["PATH"])
        port = free_port()
        config = self.folder / "pgbouncer.ini"
        (self.folder / "users").write_text('"plain" ""\n')
        config.write_text(f"""
[databases]
{DATABASE} = host={self.sockets} port={self.port} dbname={DATABASE} user=plain
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {self.folder}/users
pool_mode = session
server_reset_query =
default_pool_size = 100
max_client_conn = {self.connections + 50}
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
""")
        self.add("pgbouncer", "plain", "", [program, config], port, **self.unprivileged())
