//! Numbers of rows in what a server answers: a plan, a command tag. Pure.

/// The rows of `UPDATE 3`, `INSERT 0 3`.
pub(super) fn changed_rows(tag: &str) -> Option<u64> {
    let is_change = ["INSERT ", "UPDATE ", "DELETE ", "MERGE "]
        .iter()
        .any(|command| tag.starts_with(command));
    let count = tag.rsplit(' ').next().filter(|_| is_change)?;
    count.parse().ok()
}

/// The rows that a plan gives, or changes.
///
/// # Source
/// PostgreSQL manual, "EXPLAIN": the plan is an array of one object; a ModifyTable itself gives the rows of RETURNING, what is beneath it
/// those that it changes.
pub(super) fn planned_rows(json: &[u8], is_change: bool) -> Option<u64> {
    let plans: serde_json::Value = serde_json::from_slice(json).ok()?;
    let plan = plans.get(0)?.get("Plan")?;
    let is_modify = plan.get("Node Type")? == "ModifyTable";
    match (is_change, is_modify) {
        (false, false) => plan_rows(plan),
        (true, true) => {
            let beneath = plan.get("Plans")?.as_array()?.iter();
            let changed = beneath.filter(|one| {
                let relationship = one.get("Parent Relationship");
                relationship.is_some_and(|name| name == "Outer" || name == "Member")
            });
            changed.map(plan_rows).try_fold(0_u64, |sum, rows| {
                let rows = rows?;
                Some(sum.saturating_add(rows))
            })
        }
        (true, false) | (false, true) => None,
    }
}

fn plan_rows(plan: &serde_json::Value) -> Option<u64> {
    let rows = plan.get("Plan Rows")?;
    // More than 64 bits hold, a planner may well expect.
    let beyond = || rows.is_f64().then_some(u64::MAX);
    rows.as_u64().or_else(beyond)
}

#[cfg(test)]
mod tests {
    use super::{changed_rows, planned_rows};

    #[test]
    fn tags_are_read() {
        for (tag, expected) in [
            ("UPDATE 3", Some(3)),
            ("INSERT 0 12", Some(12)),
            ("DELETE 0", Some(0)),
            ("MERGE 7", Some(7)),
            ("EXPLAIN", None),
            ("SELECT 4", None),
            ("UPDATE", None),
            ("UPDATE x", None),
            ("", None),
        ] {
            assert_eq!(changed_rows(tag), expected, "{tag}");
        }
    }

    fn check(plan: &str, is_change: bool, expected: Option<u64>) {
        let json = format!(r#"[{{"Plan": {plan}}}]"#);
        let found = planned_rows(json.as_bytes(), is_change);
        assert_eq!(found, expected, "{plan}");
    }

    #[test]
    fn plans_are_read() {
        check(
            r#"{"Node Type": "Seq Scan", "Plan Rows": 9}"#,
            false,
            Some(9),
        );
        check(r#"{"Node Type": "Seq Scan", "Plan Rows": 9}"#, true, None);
        check(
            r#"{"Node Type": "Seq Scan", "Plan Rows": 100000000000000000000000}"#,
            false,
            Some(u64::MAX),
        );
        let modify = r#"{"Node Type": "ModifyTable", "Plan Rows": 0, "Plans": [
            {"Parent Relationship": "InitPlan", "Node Type": "Result", "Plan Rows": 5},
            {"Parent Relationship": "Outer", "Node Type": "Seq Scan", "Plan Rows": 40},
            {"Parent Relationship": "Member", "Node Type": "Seq Scan", "Plan Rows": 2}]}"#;
        check(modify, true, Some(42));
        check(modify, false, None);
        check(
            r#"{"Node Type": "ModifyTable", "Plan Rows": 0}"#,
            true,
            None,
        );
        check(
            r#"{"Node Type": "Seq Scan", "Plan Rows": "many"}"#,
            false,
            None,
        );
        assert_eq!(planned_rows(b"[]", false), None);
        assert_eq!(planned_rows(b"QUERY PLAN", false), None);
    }
}
