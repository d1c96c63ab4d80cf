//! The SQL by which a running PostgreSQL takes a certificate. It writes the files itself, so that they are its own, whoever runs the test.

use std::fmt::Write as _;

/// Takes this certificate and key (PEM), and turns TLS on; true of new connections soon after.
pub(crate) fn taken(certificate: &str, key: &str) -> String {
    let hex = |text: &str| {
        text.bytes().fold(String::new(), |mut digits, byte| {
            write!(digits, "{byte:02x}").unwrap();
            digits
        })
    };
    format!(
        r"SELECT lo_from_bytea(1, '\x{}'), lo_from_bytea(2, '\x{}');
          SELECT lo_export(1, 'server.crt'), lo_export(2, 'server.key');
          SELECT lo_unlink(1), lo_unlink(2);
          COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; chmod 600 server.key';
          ALTER SYSTEM SET ssl = on;
          SELECT pg_reload_conf();",
        hex(certificate),
        hex(key)
    )
}
