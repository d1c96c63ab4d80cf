//! OCSF: each statement as an event of class 6005, Datastore Activity, one JSON object a line. It must never hold more than a batch of
//! rows at a time.

use std::io::Write as _;

use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::error::DataFusionError;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::query::Tables;
use crate::report::files::Folder;

/// The version of the schema that events follow.
const OCSF_VERSION: &str = "1.6.0";
/// Category 6 (application activity), class 6005 (datastore activity).
const CATEGORY: u64 = 6;
const CLASS: u64 = 6005;

/// Writes the events of a query.
pub(super) async fn write(
    tables: &Tables,
    sql: &str,
    folder: &Folder,
    name: &str,
) -> Result<(), Error> {
    let mut rows = tables.stream(sql).await?;
    let mut file = folder.open(name)?;
    while let Some(batch) = rows.next().await? {
        let mut lines = LineDelimitedWriter::new(Vec::new());
        let written = lines.write(&batch).and_then(|()| lines.finish());
        written.map_err(unwritten)?;
        for row in serde_json::Deserializer::from_slice(&lines.into_inner()).into_iter() {
            let row: Map<String, Value> = row.map_err(|source| Error::Encode { source })?;
            writeln!(file, "{}", event(&row)).map_err(Error::file("write", folder.path(name)))?;
        }
    }
    file.flush()
        .map_err(Error::file("write", folder.path(name)))
}

fn unwritten(source: ArrowError) -> Error {
    Error::Query {
        source: Box::new(DataFusionError::ArrowError(Box::new(source), None)),
    }
}

/// One event. What the row doesn't have is left out.
///
/// # Source
/// OCSF 1.6, class `datastore_activity` with the profile `security_control`.
fn event(row: &Map<String, Value>) -> Value {
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    let activity = activity(text("kind"));
    let decided = text("decided_at").and_then(milliseconds);
    let (action, disposition) = action(row);
    let (status, severity) = match text("outcome") {
        Some("completed") => (1, 1),
        Some("denied") => (2, 3),
        Some("failed" | "cut" | "skipped") => (2, 2),
        _ => (0, 2),
    };
    let mut event = json!({
        "category_uid": CATEGORY,
        "class_uid": CLASS,
        "activity_id": activity,
        "type_uid": CLASS * 100 + activity,
        "severity_id": severity,
        "time": decided.unwrap_or_default(),
        "action_id": action,
        "disposition_id": disposition,
        "status_id": status,
        "metadata": {
            "version": OCSF_VERSION,
            "product": { "name": "Provost", "vendor_name": "Provost" },
            "profiles": ["security_control"],
            "uid": format!("{}/{}", text("gateway").unwrap_or_default(), row.get("log_index").unwrap_or(&Value::Null)),
            "log_name": "statements",
        },
        "actor": actor(row),
        "src_endpoint": endpoint(text("client_addr"), text("session_id")),
        "database": { "name": text("target").unwrap_or("unknown"), "type_id": 1 },
        "type_id": 1,
        "unmapped": unmapped(row),
    });
    let Some(fields) = event.as_object_mut() else {
        return event;
    };
    if let Some(decided_at) = text("decided_at") {
        put(fields, "metadata", |metadata| {
            metadata.insert("original_time".to_owned(), json!(decided_at));
        });
    }
    if activity == 99 {
        fields.insert(
            "activity_name".to_owned(),
            json!(text("kind").unwrap_or("unread")),
        );
    }
    if let Some(query) = query(row) {
        fields.insert("query_info".to_owned(), query);
    }
    if let Some(bundle) = text("bundle_digest") {
        fields.insert(
            "policy".to_owned(),
            json!({ "name": "bundle", "uid": bundle }),
        );
    }
    let optional = [
        ("status_code", text("sqlstate").map(Value::from)),
        ("status_detail", text("reason").map(Value::from)),
        (
            "end_time",
            text("ended_at").and_then(milliseconds).map(Value::from),
        ),
        ("start_time", decided.map(Value::from)),
        (
            "duration",
            row.get("duration_us")
                .and_then(Value::as_u64)
                .map(|us| json!(us / 1000)),
        ),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    }
    event
}

fn put(fields: &mut Map<String, Value>, name: &str, change: impl FnOnce(&mut Map<String, Value>)) {
    if let Some(object) = fields.get_mut(name).and_then(Value::as_object_mut) {
        change(object);
    }
}

/// Read 1, update 2, connect 3, query 4, write 5, create 6, delete 7, other 99.
fn activity(kind: Option<&str>) -> u64 {
    match kind {
        Some("select" | "copy-to") => 1,
        Some("update" | "merge") => 2,
        Some("insert" | "copy-from") => 5,
        Some("delete" | "truncate") => 7,
        _ => 99,
    }
}

/// Action (allowed 1, denied 2, observed 3, modified 4) and disposition (allowed 1, blocked 2, approved 8, delayed 14).
fn action(row: &Map<String, Value>) -> (u64, u64) {
    let masked = row.get("masked_columns").and_then(Value::as_u64);
    let is_masked = masked.unwrap_or_default() > 0;
    let outcome = row.get("outcome").and_then(Value::as_str);
    let ran = matches!(outcome, Some("completed" | "failed" | "cut"));
    match row.get("verdict").and_then(Value::as_str) {
        Some("allow" | "break-glass") if is_masked => (4, 1),
        Some("allow" | "break-glass") => (1, 1),
        // It ran by an approval (approved 8), or did not.
        Some("hold") if ran => (if is_masked { 4 } else { 1 }, 8),
        Some("hold") => (2, 14),
        _ => (2, 2),
    }
}

fn actor(row: &Map<String, Value>) -> Value {
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    let mut actor = Map::new();
    let principal = text("principal").unwrap_or("unknown");
    actor.insert(
        "user".to_owned(),
        json!({ "name": principal, "uid": principal }),
    );
    if let Some(session) = text("session_id") {
        actor.insert("session".to_owned(), json!({ "uid": session }));
    }
    if let Some(application) = text("application") {
        actor.insert("app_name".to_owned(), json!(application));
    }
    Value::Object(actor)
}

/// The client's address, with its port where it is recorded; where no address is known, the session stands for it.
fn endpoint(address: Option<&str>, session: Option<&str>) -> Value {
    let Some(address) = address else {
        return json!({ "uid": session.unwrap_or("unknown") });
    };
    if let Ok(socket) = address.parse::<std::net::SocketAddr>() {
        return json!({ "ip": socket.ip().to_string(), "port": socket.port() });
    }
    match address.parse::<std::net::IpAddr>() {
        Ok(ip) => json!({ "ip": ip.to_string() }),
        Err(_) => json!({ "name": address }),
    }
}

fn query(row: &Map<String, Value>) -> Option<Value> {
    let sql = row.get("sql")?.as_str()?;
    let mut query = json!({ "query_string": sql, "uid": row.get("statement_id")? });
    if let (Some(bytes), Some(fields)) = (
        row.get("bytes").and_then(Value::as_u64),
        query.as_object_mut(),
    ) {
        fields.insert("bytes".to_owned(), json!(bytes));
    }
    Some(query)
}

/// What OCSF has no name for.
fn unmapped(row: &Map<String, Value>) -> Value {
    const NAMES: &[&str] = &[
        "statement_id",
        "seq",
        "on_behalf_of",
        "principal_kind",
        "kind",
        "relations",
        "columns",
        "verdict",
        "rules",
        "controls",
        "outcome",
        "rows",
        "masked_columns",
        "fingerprint",
        "sql_digest",
        "database_name",
    ];
    let named = NAMES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), row.get(*name)?.clone())));
    Value::Object(named.collect())
}

/// Milliseconds since 1970 of a time that the query gave.
fn milliseconds(time: &str) -> Option<i64> {
    let at: jiff::Timestamp = time.parse().ok()?;
    Some(at.as_millisecond())
}
