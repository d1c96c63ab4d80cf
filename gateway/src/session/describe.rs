//! The cross-check of the server's description of a result against what analysis said of it (ruling 4).
//!
//! Must never let a disagreement pass: then analysis read another schema than the server ran on.

use crate::{
    judge::{Enforcement, ExpectedColumn, Refused},
    protocol::backend::Field,
};
use provost_engine::facts::Kind;

/// Whether the description agrees with the analysis.
pub(super) fn agrees(fields: &[Field], enforcement: &Enforcement) -> bool {
    let Some(columns) = &enforcement.columns else {
        return is_shapeless(enforcement.kind) && enforcement.masks.is_empty();
    };
    let masks_fit = enforcement
        .masks
        .iter()
        .all(|mask| mask.output < fields.len());
    let columns_agree = columns
        .iter()
        .zip(fields)
        .all(|(column, field)| column_agrees(column, *field));
    fields.len() == columns.len() && masks_fit && columns_agree
}

/// Kinds whose rows policy does not speak of: they hold settings and plans.
pub(super) const fn is_shapeless(kind: Kind) -> bool {
    matches!(kind, Kind::Show | Kind::Explain)
}

fn column_agrees(column: &ExpectedColumn, field: Field) -> bool {
    match column.origin {
        Some(origin) => field.origin == origin,
        None => field.origin == (0, 0) || column.sources.contains(&field.origin),
    }
}

/// What the client is told when they disagree.
pub(super) fn disagreement() -> Refused {
    Refused {
        sqlstate: "42501",
        message: "the server's description of the result disagrees with the analysis of the statement".to_owned(),
        detail: Some(
            "the rows are withheld, since which of their columns are masked is not certain; if the statement changed data, the change was made"
                .to_owned(),
        ),
        hint: Some("the schema may have just changed: retry".to_owned()),
        position: None,
    }
}

#[cfg(test)]
mod tests {
    use provost_engine::{
        facts::SessionEffect,
        verdict::{Limits, OutputMask, Recording, Transform},
    };

    use super::*;
    use crate::judge::Touch;

    const fn field(relation: u32, attribute: i16) -> Field {
        Field {
            origin: (relation, attribute),
            type_oid: 25,
            format: 0,
        }
    }

    fn column(origin: Option<(u32, i16)>, sources: &[(u32, i16)]) -> ExpectedColumn {
        ExpectedColumn {
            origin,
            sources: sources.to_vec(),
        }
    }

    fn enforcement(
        kind: Kind,
        columns: Option<Vec<ExpectedColumn>>,
        masked: Option<usize>,
    ) -> Enforcement {
        Enforcement {
            kind,
            session_effect: SessionEffect::None,
            mask_bound: true,
            columns,
            masks: masked
                .map(|output| OutputMask {
                    output,
                    transform: Transform::Null,
                    rules: Vec::new(),
                    class: "pii".into(),
                    sources: Vec::new(),
                    controls: Vec::new(),
                })
                .into_iter()
                .collect(),
            limits: Limits::default(),
            recording: Recording::default(),
            touch: Touch::Nothing,
            copy: None,
            binding: None,
            cursors: Vec::new(),
            sets_role: false,
            may_set: false,
        }
    }

    #[test]
    fn agreement() {
        let one = || Some(vec![column(Some((7, 1)), &[])]);
        let any = || Some(vec![column(None, &[(7, 1), (8, 2)])]);
        let cases = [
            (Kind::Select, one(), vec![field(7, 1)], true),
            (Kind::Select, one(), vec![field(7, 2)], false),
            (Kind::Select, one(), vec![field(8, 1)], false),
            (Kind::Select, one(), vec![field(0, 0)], false),
            (Kind::Select, one(), vec![field(7, 1), field(7, 1)], false),
            (Kind::Select, one(), vec![], false),
            (Kind::Select, any(), vec![field(0, 0)], true),
            (Kind::Select, any(), vec![field(8, 2)], true),
            (Kind::Select, any(), vec![field(8, 1)], false),
            (Kind::Select, Some(vec![]), vec![], true),
            (Kind::Select, None, vec![field(0, 0)], false),
            (Kind::Insert, None, vec![], false),
            (Kind::Show, None, vec![field(0, 0)], true),
            (Kind::Explain, None, vec![field(0, 0)], true),
        ];
        for (kind, columns, fields, expected) in cases {
            let enforcement = enforcement(kind, columns, None);
            assert_eq!(
                agrees(&fields, &enforcement),
                expected,
                "{enforcement:?} {fields:?}"
            );
        }
    }

    #[test]
    fn a_mask_past_the_columns_disagrees() {
        let columns = || Some(vec![column(None, &[])]);
        assert!(agrees(
            &[field(0, 0)],
            &enforcement(Kind::Select, columns(), Some(0))
        ));
        assert!(!agrees(
            &[field(0, 0)],
            &enforcement(Kind::Select, columns(), Some(1))
        ));
        assert!(!agrees(
            &[field(0, 0)],
            &enforcement(Kind::Show, None, Some(0))
        ));
    }
}
