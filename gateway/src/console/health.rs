//! What the evidence says of gateways: their starts and stops, what is sealed, what happened lately. Questions alone.

/// The last row of each gateway, and what happened to them lately.
pub(super) const GATEWAYS: &str = "SELECT gateway, max(at) AS last_change_at, \
    max(CASE WHEN what = 'start' THEN at END) AS last_start_at, max(CASE WHEN what = 'stop' THEN at END) AS last_stop_at \
    FROM changes GROUP BY gateway ORDER BY gateway";
pub(super) const CHANGES: &str =
    "SELECT at, gateway, actor, what, before, after FROM changes ORDER BY at DESC LIMIT 30";
/// The newest statement of which the store has a row, by gateway.
pub(super) const SEALED: &str = "SELECT gateway, max(coalesce(ended_at, decided_at)) AS newest_statement_at, count(*) AS statements FROM statements \
    GROUP BY gateway ORDER BY gateway";
