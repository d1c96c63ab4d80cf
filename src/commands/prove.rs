//! `provost evidence prove`: one record with its path to a signed checkpoint. It reads only.

use provost_evidence::{Location, Prover, Tables};

use super::evidence::{open, rows};
use crate::error::Error;

/// The proof of a record, given by its statement's id or its number. Of a statement that was open when it was sealed first, the proof is
/// of the row that has its end.
///
/// # Errors
/// [`Error::NoStore`], [`Error::NoStatement`], [`Error::Gateways`], [`Error::Evidence`].
pub(super) async fn prove(
    store: &Location,
    gateway: Option<&str>,
    record: &str,
) -> Result<String, Error> {
    let store = open(store)?;
    let prover = Prover::open(store.clone()).await?;
    let (gateway, log_index) = match record.parse::<u64>() {
        Ok(number) => (one(&prover, gateway)?, number),
        Err(_) => found(&Tables::open(store).await?, gateway, record).await?,
    };
    Ok(prover.prove(&gateway, log_index).await?.to_text())
}

fn one(prover: &Prover, gateway: Option<&str>) -> Result<String, Error> {
    let names: Vec<&str> = prover.gateways().collect();
    match (gateway, names.as_slice()) {
        (Some(gateway), _) => Ok(gateway.to_owned()),
        (None, [only]) => Ok((*only).to_owned()),
        (None, names) => Err(Error::Gateways {
            names: names.join(", "),
        }),
    }
}

async fn found(
    tables: &Tables,
    gateway: Option<&str>,
    record: &str,
) -> Result<(String, u64), Error> {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let of_gateway = gateway.map_or_else(String::new, |gateway| {
        format!(" AND gateway = {}", quoted(gateway))
    });
    let sql = format!(
        "SELECT gateway, log_index FROM statements WHERE statement_id = {}{of_gateway} ORDER BY log_index DESC LIMIT 1",
        quoted(record)
    );
    let answer = rows(&tables.ask(&sql).await?)?;
    let of = |row: &serde_json::Value| {
        let gateway = row.get("gateway")?.as_str()?;
        Some((gateway.to_owned(), row.get("log_index")?.as_u64()?))
    };
    answer
        .first()
        .and_then(of)
        .ok_or_else(|| Error::NoStatement {
            record: record.to_owned(),
        })
}
