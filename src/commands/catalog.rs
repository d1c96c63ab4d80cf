//! `provost catalog pull`: a database's catalog to a file, for work without a server. It must never write a row's value, nor
//! replace a file unasked.

use std::{fs::OpenOptions, io::Write as _, path::Path};

use provost_engine::catalog::{Catalog, RelationKind, file::to_file};
use provost_gateway::{
    catalog::pull,
    settings::{Host, Limits, Roles, Secret, ServerTls, Target, Warm},
};
use serde_json::json;
use tokio_postgres::config::Host as UrlHost;

use super::block_on;
use crate::{
    cli,
    config::{self, SecretSource},
    error::Error,
    output::{Shape, line},
};

/// Where the password is where the server is given by a URL.
const PASSWORD_VARIABLE: &str = "PGPASSWORD";
/// The port PostgreSQL listens on unless told otherwise.
const POSTGRESQL_PORT: u16 = 5432;

/// Runs the command.
///
/// # Errors
/// [`Error::Config`], [`Error::Option`], [`Error::Exists`], [`Error::Pull`], [`Error::File`]: nothing is written then.
pub(crate) fn run(command: &cli::Catalog) -> Result<(), Error> {
    let cli::Catalog::Pull(options) = command;
    if !options.force && options.out.exists() {
        return Err(Error::Exists {
            path: options.out.clone(),
        });
    }
    let target = match (&options.url, &options.config) {
        (Some(url), _) => of_url("--url", url, options.tls_roots.as_deref())?,
        (None, Some(config)) => of_config(config, options.target.as_deref())?,
        (None, None) => {
            return Err(Error::Option {
                option: "--config",
                value: String::new(),
                help: "name a configuration with --config, or a server with --url",
            });
        }
    };
    let answer = block_on(async {
        pull(target, Limits::CONNECT_TIMEOUT_MS)
            .await
            .map_err(Error::pull)
    })?;
    let (text, catalog) = to_file(&answer).map_err(|source| Error::pull(source.into()))?;
    write(&options.out, &text, options.force)?;
    tell(&options.out, &catalog, Shape::of(options.json));
    Ok(())
}

/// The target of this name in a configuration; the only one where none is named.
fn of_config(path: &Path, name: Option<&str>) -> Result<Target, Error> {
    let config = config::load(path)?;
    let names: Vec<&str> = config.targets.iter().map(|one| one.name.as_str()).collect();
    let found = match (name, config.targets.as_slice()) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(name), targets) => targets.iter().find(|one| one.name == name),
    };
    let Some(found) = found else {
        return Err(Error::Targets {
            names: names.join(", "),
        });
    };
    Ok(config::resolve_target(&config, found, path)?)
}

/// The server of a URL, as psql takes it. Its password is in the environment: command lines are seen by everybody.
///
/// # Errors
/// [`Error::Option`] of `option`, [`Error::Pem`].
pub(super) fn of_url(
    option: &'static str,
    url: &str,
    roots: Option<&Path>,
) -> Result<Target, Error> {
    let wrong = |help| Error::Option {
        option,
        // What can't be read may hold a password.
        value: "...".to_owned(),
        help,
    };
    let parsed: tokio_postgres::Config = url.parse().map_err(|_| {
        wrong("write it as postgresql://USER@HOST:PORT/DATABASE, or postgresql:///DATABASE?host=/SOCKET/FOLDER&user=USER")
    })?;
    if parsed.get_password().is_some() {
        return Err(wrong(
            "take the password out and set PGPASSWORD: a command line is seen by everybody",
        ));
    }
    let [host] = parsed.get_hosts() else {
        return Err(wrong("name exactly one host"));
    };
    let user = parsed.get_user().ok_or_else(|| wrong("name a user"))?;
    let (host, is_local) = match host {
        UrlHost::Tcp(name) => (
            Host::Tcp(name.as_str().into()),
            matches!(&**name, "localhost" | "::1") || name.starts_with("127."),
        ),
        UrlHost::Unix(folder) => (Host::Unix(folder.clone()), true),
    };
    let tls = match (roots, is_local) {
        (Some(roots), _) => ServerTls::VerifyFull {
            roots: config::read_file(roots).map_err(|source| Error::Pem {
                path: roots.to_owned(),
                source,
            })?,
        },
        (None, true) => ServerTls::Off,
        (None, false) => {
            return Err(wrong(
                "give --tls-roots, a PEM file with the server's certificate authority: a password must not travel unencrypted",
            ));
        }
    };
    let password = match std::env::var_os(PASSWORD_VARIABLE) {
        Some(_) => Some(
            SecretSource::Environment(PASSWORD_VARIABLE.to_owned())
                .read()
                .map_err(|_| {
                    wrong("PGPASSWORD is set and can't be used: it is empty or no text")
                })?,
        ),
        None => None::<Secret>,
    };
    let database = parsed.get_dbname().unwrap_or(user);
    Ok(Target {
        roles: Roles::default(),
        warm: Warm::OFF,
        replication: false,
        name: database.into(),
        host,
        port: parsed
            .get_ports()
            .first()
            .copied()
            .unwrap_or(POSTGRESQL_PORT),
        database: database.into(),
        user: user.into(),
        password: password.map(Into::into),
        tls,
    })
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Error> {
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AlreadyExists => Error::Exists {
            path: path.to_owned(),
        },
        _ => Error::File {
            action: "write",
            path: path.to_owned(),
            source,
        },
    };
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

/// Says what the file holds, the server's own left out.
fn tell(path: &Path, catalog: &Catalog, shape: Shape) {
    let users = || catalog.relations().filter(|one| !one.is_system());
    let is_view = |kind| matches!(kind, RelationKind::View | RelationKind::MaterialisedView);
    let views = users().filter(|one| is_view(one.kind)).count();
    let (relations, functions) = (users().count(), catalog.functions().count());
    let version = format!("{:016x}", catalog.version().0);
    match shape {
        Shape::Text => line(&format!(
            "{}: database {} of PostgreSQL {}: {relations} relations ({views} of them views), {functions} functions; version {version}",
            path.display(),
            catalog.database(),
            catalog.server_version_num() / 10_000,
        )),
        Shape::Json => line(
            &json!({
                "file": path,
                "database": &**catalog.database(),
                "server_version_num": catalog.server_version_num(),
                "relations": relations,
                "views": views,
                "functions": functions,
                "version": version,
            })
            .to_string(),
        ),
    }
}

impl Error {
    fn pull(source: provost_gateway::catalog::Error) -> Self {
        Self::Pull(Box::new(source))
    }
}
