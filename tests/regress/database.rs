//! The database that PostgreSQL's regression files run in, as `pg_regress` makes it.

use crate::postgres::Cluster;

/// Its name.
pub(crate) const DATABASE: &str = "regression";

/// Makes it.
pub(crate) fn make_database(cluster: &Cluster) {
    let mut sql = format!("CREATE DATABASE {DATABASE} TEMPLATE = template0;\n");
    for setting in [
        "lc_messages TO 'C'",
        "lc_monetary TO 'C'",
        "lc_numeric TO 'C'",
        "lc_time TO 'C'",
        "bytea_output TO 'hex'",
        "timezone_abbreviations TO 'Default'",
    ] {
        sql += &format!("ALTER DATABASE {DATABASE} SET {setting};\n");
    }
    cluster.execute("postgres", &sql).unwrap();
}
