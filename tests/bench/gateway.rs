//! The gateway over a log that keeps nothing: what everything but evidence costs. For `tests/bench/run.sh`.
//!
//! `bench-gateway LISTEN SOCKET-FOLDER PORT DATABASE PASSWORD-FILE POLICIES ISSUER AUDIENCE THREADS [CERTIFICATE KEY]`. It must never
//! serve anything but a benchmark: what it decides is enforced, and recorded nowhere.

use std::{env, error::Error, fs, path::Path, sync::Arc};

use provost_evidence::{
    DurableFolder, Leases, Log, SigningKey,
    approvals::{ApprovalId, Docket},
    record::Micros,
};
use provost_gateway::{
    identity::{Issuer, IssuerSettings},
    policy::PolicyHandle,
    record::EvidenceKey,
    serve::{Gateway, Parts},
    settings::{ClientTls, Host, Roles, Secret, ServerTls, Settings, Target, Warm},
};
use tokio::signal::unix::{SignalKind, signal};

/// More than any benchmark opens.
const CONNECTIONS_MAX: usize = 100_000;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [
        listen,
        folder,
        port,
        database,
        password,
        policies,
        issuer,
        audience,
        threads,
        encrypted @ ..,
    ] = arguments.as_slice()
    else {
        return Err("nine arguments or eleven: see tests/bench/run.py".into());
    };
    let tls = match encrypted {
        [certificate, key] => ClientTls::Required {
            certificate_chain: fs::read(certificate)?,
            key: Secret::new(fs::read(key)?),
        },
        _ => ClientTls::Off,
    };
    let target = Target {
        name: database.as_str().into(),
        host: Host::Unix(folder.into()),
        port: port.parse()?,
        database: database.as_str().into(),
        user: "postgres".into(),
        roles: Roles::default(),
        warm: Warm::default(),
        replication: false,
        password: Some(Secret::new(fs::read(password)?).into()),
        tls: ServerTls::Off,
    };
    let mut settings = Settings::new(listen.parse()?, tls, vec![target]);
    settings.limits.connections_max = CONNECTIONS_MAX;
    settings.limits.connections_per_principal_max = CONNECTIONS_MAX;
    settings.threads = Some(threads.parse()?);
    let policy = provost_dsl::load(Path::new(policies)).map_err(|error| format!("{error:?}"))?;
    let store = tempfile::tempdir()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let store = DurableFolder::open(store.path())?;
        let parts = Parts {
            policy: Arc::new(PolicyHandle::new(Arc::new(policy.policy))),
            log: Log::null("bench"),
            leases: Leases::new(Arc::clone(&store), "bench"),
            approvals: Docket::new(
                store,
                ("bench", SigningKey::generate()?),
                Vec::new(),
                ApprovalId::first_of(Micros(0)),
            ),
            key: EvidenceKey::new(Secret::new([7_u8; 32]))?,
            issuer: Issuer::discover(IssuerSettings::new(issuer.clone(), vec![audience.clone()]))
                .await?,
        };
        let mut stop = signal(SignalKind::terminate())?;
        let gateway = Gateway::bind(settings, parts).await?;
        gateway
            .run(async {
                stop.recv().await;
            })
            .await?;
        Ok(())
    })
}
