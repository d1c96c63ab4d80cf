//! Transforms from the words of the policy language. Whatever is not written exactly so is an error.

use std::{str::FromStr, sync::Arc};

use super::{DateUnit, Granularity, GranularityError, Transform};

/// Why a text is no [`Transform`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransformError {
    /// No transform begins so.
    #[error(
        "no transform: `{text}`; there are `redact`, `null`, `last N`, `first N`, `keep domain`, `constant \"T\"`, `hash`, `tokenize`, `round to N` and `truncate date UNIT`"
    )]
    Unknown {
        /// What was written.
        text: String,
    },
    /// `last` and `first` take a number of characters.
    #[error("`{text}`: not a number of characters between 1 and 65535")]
    Count {
        /// What was written.
        text: String,
    },
    /// `round to` takes a decimal.
    #[error("`{text}`: {source}")]
    Granularity {
        /// What was written.
        text: String,
        /// What is wrong with the number.
        source: GranularityError,
    },
    /// `truncate date` takes a unit.
    #[error("`{text}`: not a unit; there are year, quarter, month, week, day and hour")]
    Unit {
        /// What was written.
        text: String,
    },
    /// `constant` takes a text in double quotes.
    #[error("`{text}`: write the constant in double quotes")]
    Constant {
        /// What was written.
        text: String,
    },
}

/// In the policy language's words, as [`Transform`]'s `Display` writes them; one space between words.
impl FromStr for Transform {
    type Err = TransformError;

    fn from_str(text: &str) -> Result<Self, TransformError> {
        let written = || text.to_owned();
        let count = |number: &str| match number.parse::<u16>() {
            Ok(count) if count > 0 && number.bytes().all(|byte| byte.is_ascii_digit()) => Ok(count),
            Ok(_) | Err(_) => Err(TransformError::Count { text: written() }),
        };
        match text {
            "redact" => return Ok(Self::Redact),
            "null" => return Ok(Self::Null),
            "keep domain" => return Ok(Self::KeepDomain),
            "hash" => return Ok(Self::Hash),
            "tokenize" => return Ok(Self::Tokenize),
            _ => {}
        }
        if let Some(number) = text.strip_prefix("last ") {
            return count(number).map(Self::Last);
        }
        if let Some(number) = text.strip_prefix("first ") {
            return count(number).map(Self::First);
        }
        if let Some(number) = text.strip_prefix("round to ") {
            return number
                .parse::<Granularity>()
                .map(Self::RoundTo)
                .map_err(|source| TransformError::Granularity {
                    text: written(),
                    source,
                });
        }
        if let Some(unit) = text.strip_prefix("truncate date ") {
            return DateUnit::from_name(unit)
                .map(Self::TruncateDate)
                .ok_or_else(|| TransformError::Unit { text: written() });
        }
        if let Some(constant) = text.strip_prefix("constant ") {
            return serde_json::from_str::<Arc<str>>(constant)
                .map(Self::Constant)
                .map_err(|_| TransformError::Constant { text: written() });
        }
        Err(TransformError::Unknown { text: written() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match text.parse::<Transform>() {
            Ok(transform) => transform.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn every_transform_reads_as_it_is_written() {
        for text in [
            "redact",
            "null",
            "keep domain",
            "hash",
            "tokenize",
            "last 4",
            "first 65535",
            "round to 1000",
            "round to 0.25",
            "truncate date quarter",
            r#"constant "a \"b\"""#,
        ] {
            check(text, text);
        }
    }

    #[test]
    fn nothing_else_is_a_transform() {
        for (text, expected) in [
            (
                "last 0",
                "`last 0`: not a number of characters between 1 and 65535",
            ),
            (
                "last +4",
                "`last +4`: not a number of characters between 1 and 65535",
            ),
            (
                "first 65536",
                "`first 65536`: not a number of characters between 1 and 65535",
            ),
            (
                "round to 0",
                "`round to 0`: rounding to zero means nothing: write a number above zero",
            ),
            (
                "truncate date moon",
                "`truncate date moon`: not a unit; there are year, quarter, month, week, day and hour",
            ),
            (
                "constant x",
                "`constant x`: write the constant in double quotes",
            ),
        ] {
            check(text, expected);
        }
        for text in ["", "Redact", " redact", "keep  domain", "last", "constant"] {
            assert!(
                matches!(
                    text.parse::<Transform>(),
                    Err(TransformError::Unknown { .. })
                ),
                "{text:?}"
            );
        }
    }
}
