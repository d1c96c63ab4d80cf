//! The demo's certificate: self-signed, for `localhost` and 127.0.0.1, made new at every start.

/// A certificate and its key, PEM.
pub(crate) struct Certificate {
    /// The certificate.
    pub(crate) certificate: String,
    /// Its private key, PKCS#8.
    pub(crate) key: String,
}

/// Makes one.
///
/// # Errors
/// [`rcgen::Error`], which only broken randomness causes.
pub(crate) fn certificate() -> Result<Certificate, rcgen::Error> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names)?;
    Ok(Certificate {
        certificate: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
    })
}
