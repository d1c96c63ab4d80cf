//! `provost bundle`: makes keys, builds, signs, checks and shows bundles. It must never overwrite or print a private key.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use provost_dsl::{
    bundle::{
        self, BUNDLE_BYTES_MAX, Contents, Line, Manifest, Options, SigningKey, TrustedKey,
        VerifiedBundle,
    },
    rego::RegoLimits,
};
use serde_json::{Value, json};

use crate::{
    cli,
    error::{Error, Exit},
    output::{self, Shape, Tone, line, table, toned},
};

/// The private key's file.
const PRIVATE_KEY: &str = "bundle-signing.pem";
/// The public key's file.
const PUBLIC_KEY: &str = "bundle-signing.pub";
/// The largest key file read, in bytes.
const KEY_BYTES_MAX: u64 = 64 * 1024;

/// Runs the command.
///
/// # Errors
/// [`Error`]; [`Error::Told`] when what is wrong went to standard output as JSON.
pub(crate) fn run(command: &cli::Bundle) -> Result<(), Error> {
    match command {
        cli::Bundle::Keygen { out } => keygen(out),
        cli::Bundle::Build(command) => build(command),
        cli::Bundle::Sign { file, key, out } => sign(file, key, out.as_deref().unwrap_or(file)),
        cli::Bundle::Verify {
            file,
            trust,
            minimum_sequence,
            json,
        } => verify(file, trust, *minimum_sequence, Shape::of(*json)),
        cli::Bundle::Inspect { file, json } => inspect(file, Shape::of(*json)),
    }
}

fn keygen(folder: &Path) -> Result<(), Error> {
    let (private, public) = (folder.join(PRIVATE_KEY), folder.join(PUBLIC_KEY));
    let key = SigningKey::generate().map_err(key_error(&private))?;
    let private_pem = key.to_pem().map_err(key_error(&private))?;
    let public_pem = key.public_pem().map_err(key_error(&public))?;
    let id = key.id().map_err(key_error(&public))?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(file_error("create", folder))?;
    // The public half first: should only one of the two be there, it is not a secret that nobody knows of.
    create(&public, &public_pem, 0o644)?;
    if let Err(error) = create(&private, &private_pem, 0o600) {
        // It belongs to no key that anybody has.
        let _ = fs::remove_file(&public);
        return Err(error);
    }
    line(&format!("key {id}"));
    line(&format!(
        "private  {}   keep it secret; it signs bundles",
        private.display()
    ));
    line(&format!(
        "public   {}   for `trusted_keys` of gateways",
        public.display()
    ));
    Ok(())
}

fn build(command: &cli::BundleBuild) -> Result<(), Error> {
    let options = Options {
        sequence: command.sequence,
        revision: command.revision.clone(),
        built_at: command.built_at,
        expires_at: command.expires,
        observe: command.observe,
    };
    let built = bundle::build(&command.folder, &options).map_err(|source| match source {
        bundle::Error::Policy(source) => Error::Policy {
            folder: command.folder.clone(),
            source,
        },
        source => bundle_error(&command.folder)(source),
    })?;
    output::diagnostics(&built.compiled.warnings);
    replace(&command.out, &built.bytes)?;
    line(&format!(
        "{}: bundle sequence {} ({} rules in {} files, the built-in pack included; not signed yet)",
        command.out.display(),
        command.sequence,
        built.compiled.rules,
        built.compiled.files
    ));
    line(&format!("digest {}", built.digest.0));
    Ok(())
}

fn sign(file: &Path, key: &Path, out: &Path) -> Result<(), Error> {
    let signing = SigningKey::from_pem(&key_text(key)?).map_err(key_error(key))?;
    let signed = bundle::sign(&bundle_bytes(file)?, &signing).map_err(bundle_error(file))?;
    replace(out, &signed)?;
    let id = signing.id().map_err(key_error(key))?;
    line(&format!("{}: signed by key {id}", out.display()));
    Ok(())
}

fn verify(file: &Path, trust: &[PathBuf], minimum: u64, shape: Shape) -> Result<(), Error> {
    let trusted = trust
        .iter()
        .map(|path| TrustedKey::from_pem(&key_text(path)?).map_err(key_error(path)))
        .collect::<Result<Vec<_>, _>>()?;
    match (checked(&bundle_bytes(file)?, &trusted, minimum), shape) {
        (Ok(verified), Shape::Text) => {
            let key = verified.key();
            line(&format!(
                "{}: {}, signed by key {key}",
                file.display(),
                toned(Tone::Good, "verified")
            ));
            line(&told(verified.contents()));
            Ok(())
        }
        (Ok(verified), Shape::Json) => {
            let mut value = as_json(verified.contents());
            set(&mut value, "verified", true.into());
            set(&mut value, "key", verified.key().as_str().into());
            line(&value.to_string());
            Ok(())
        }
        (Err(source), Shape::Text) => Err(bundle_error(file)(source)),
        (Err(source), Shape::Json) => {
            let exit = match source {
                bundle::Error::Policy(_) => Exit::InvalidPolicy,
                _ => Exit::Failed,
            };
            line(&json!({ "verified": false, "reason": source.to_string() }).to_string());
            Err(Error::Told(exit))
        }
    }
}

/// What a gateway checks that has seen no bundle before.
fn checked(
    bytes: &[u8],
    trusted: &[TrustedKey],
    minimum: u64,
) -> Result<VerifiedBundle, bundle::Error> {
    let verified = bundle::verify(bytes, trusted)?;
    let line = Line {
        minimum,
        highest: None,
    };
    line.check(&verified.place()?)?;
    verified.check_time(Timestamp::now())?;
    verified.compile(RegoLimits::default())?;
    Ok(verified)
}

fn inspect(file: &Path, shape: Shape) -> Result<(), Error> {
    let contents = Contents::read(&bundle_bytes(file)?).map_err(bundle_error(file))?;
    match shape {
        Shape::Text => {
            line(&format!(
                "{}: {}",
                file.display(),
                toned(Tone::Dim, "not verified")
            ));
            line(&told(&contents));
        }
        Shape::Json => line(&as_json(&contents).to_string()),
    }
    Ok(())
}

/// What a bundle says of itself, for a person.
fn told(contents: &Contents) -> String {
    let manifest = contents.manifest();
    let mut rows = vec![("digest", contents.digest().0.to_string())];
    match manifest.terms() {
        Ok(terms) => {
            rows.push(("sequence", terms.sequence.to_string()));
            rows.extend(terms.built_at.map(|at| ("built", at.to_string())));
            let expires = terms.expires_at.map(|at| at.to_string());
            rows.push(("expires", expires.unwrap_or_else(|| "never".to_owned())));
            if terms.observe {
                rows.push((
                    "observe",
                    "decides and records, does not enforce".to_owned(),
                ));
            }
            rows.push(("language", terms.language.to_string()));
            rows.extend(terms.time_zones.clone().map(|zones| ("time zones", zones)));
            if !terms.features.is_empty() {
                rows.push(("needs", terms.features.join(", ")));
            }
        }
        Err(error) => rows.push(("sequence", format!("none: {error}"))),
    }
    if !manifest.revision.is_empty() {
        rows.push(("revision", manifest.revision.clone()));
    }
    let signature = match contents.claim() {
        Ok(Some(claim)) => format!("{} by key {}", claim.algorithm, claim.key),
        Ok(None) => "none".to_owned(),
        Err(error) => error.to_string(),
    };
    rows.push(("signature", signature));
    let mut lines: Vec<String> = rows
        .into_iter()
        .map(|(name, value)| format!("  {name:<10}  {}", printable(&value)))
        .collect();
    let files: Vec<Vec<String>> = contents
        .files()
        .map(|(name, size, hash)| vec![name.to_string(), size.to_string(), hash])
        .collect();
    let headings = ["file", "bytes", "sha-256"].map(str::to_owned);
    lines.push(String::new());
    lines.extend(
        table(&headings, &files)
            .lines()
            .map(|row| format!("  {row}")),
    );
    lines.join("\n")
}

fn as_json(contents: &Contents) -> Value {
    let manifest: &Manifest = contents.manifest();
    let files: Vec<Value> = contents
        .files()
        .map(|(name, size, hash)| json!({ "name": name.as_str(), "bytes": size, "sha256": hash }))
        .collect();
    let signature = match contents.claim() {
        Ok(claim) => json!(claim.map(|claim| json!({
            "algorithm": claim.algorithm,
            "key": claim.key,
        }))),
        Err(error) => json!({ "unreadable": error.to_string() }),
    };
    json!({
        "verified": false,
        "digest": contents.digest().0.as_ref(),
        "manifest": manifest,
        "signature": signature,
        "files": files,
    })
}

fn set(value: &mut Value, key: &str, to: Value) {
    if let Some(object) = value.as_object_mut() {
        object.insert(key.to_owned(), to);
    }
}

/// On one line: what is not verified must not move the cursor.
fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect()
}

fn bundle_error(path: &Path) -> impl Fn(bundle::Error) -> Error + use<'_> {
    move |source| Error::Bundle {
        location: path.display().to_string(),
        source: Box::new(source),
    }
}

fn key_error(path: &Path) -> impl Fn(bundle::Error) -> Error + use<'_> {
    move |source| Error::Key {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

fn file_error<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Error + use<'a> {
    move |source| Error::File {
        action,
        path: path.to_owned(),
        source,
    }
}

/// A file that was not there before.
fn create(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(file_error("create", path))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(file_error("write", path))
}

/// The whole file or the one before: a gateway may be reading it.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut new = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
        .map_err(file_error("write", path))?;
    new.write_all(bytes)
        .and_then(|()| new.as_file().sync_all())
        .and_then(|()| {
            use std::os::unix::fs::PermissionsExt as _;
            // A bundle is no secret, and gateways run as other users.
            new.as_file()
                .set_permissions(fs::Permissions::from_mode(0o644))
        })
        .map_err(file_error("write", path))?;
    new.persist(path)
        .map(|_| ())
        .map_err(|error| file_error("write", path)(error.error))
}

fn bundle_bytes(path: &Path) -> Result<Vec<u8>, Error> {
    // One byte more than the limit tells that there is more, and is refused as such.
    read(path, BUNDLE_BYTES_MAX as u64 + 1)
}

fn key_text(path: &Path) -> Result<String, Error> {
    let bytes = read(path, KEY_BYTES_MAX)?;
    // What is no text is no PEM either: the reader says so.
    Ok(String::from_utf8(bytes).unwrap_or_default())
}

fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(bytes_max).read_to_end(&mut bytes))
        .map_err(file_error("read", path))?;
    Ok(bytes)
}
