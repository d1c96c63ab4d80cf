//! Limits that hold before anything is parsed: linear, safe against quoting by erring towards refusal only.
//! Never decides what a text means.

use super::Refusal;

/// Longest text that is analysed, in bytes; a longer one is refused.
pub(super) const TEXT_BYTES_MAX: usize = 1 << 20;
/// Longest text that the witness reads, in bytes; above it the authority stands alone.
pub(super) const WITNESS_BYTES_MAX: usize = 64 << 10;
/// Longest run of operator characters; PostgreSQL's lexer is quadratic in it.
pub(super) const OPERATOR_RUN_MAX: usize = 256;
/// Deepest nesting of comments.
pub(super) const COMMENT_DEPTH_MAX: usize = 64;

/// Checks the limits and the encoding.
///
/// # Errors
/// 54000 over a limit, 22021 for NUL or bytes that are not UTF-8.
pub(super) fn check(text: &[u8]) -> Result<&str, Refusal> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!(
            "statement text of {} bytes is over the limit of {TEXT_BYTES_MAX}",
            text.len()
        );
        return Err(
            Refusal::new("54000", message).hint("send large values as parameters or with COPY")
        );
    }
    if text.contains(&0) {
        return Err(Refusal::new(
            "22021",
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        Refusal::new(
            "22021",
            format!(
                "invalid byte sequence for encoding \"UTF8\" at byte {}",
                error.valid_up_to()
            ),
        )
    })?;
    runs(text.as_bytes())?;
    Ok(text)
}

/// The two runs that make PostgreSQL's lexer slow. Quoting is not followed: `/*` inside a literal counts, so
/// that no trick of quoting hides one. A literal of 257 operator characters is refused outside quotes only.
fn runs(text: &[u8]) -> Result<(), Refusal> {
    // What is this short has room for neither run.
    if text.len() <= OPERATOR_RUN_MAX.min(COMMENT_DEPTH_MAX.saturating_mul(2)) {
        return Ok(());
    }
    let mut quoted = None;
    let mut run = 0_usize;
    let mut depth = 0_usize;
    let mut previous = 0_u8;
    for &byte in text {
        if matches!(byte, b'\'' | b'"') && quoted.is_none_or(|quote| quote == byte) {
            quoted = if quoted.is_some() { None } else { Some(byte) };
        }
        run = if is_operator(byte) {
            run.saturating_add(1)
        } else {
            0
        };
        let limit = if quoted.is_some() {
            OPERATOR_RUN_MAX.saturating_mul(64)
        } else {
            OPERATOR_RUN_MAX
        };
        if run > limit {
            return Err(Refusal::new(
                "54000",
                format!("more than {OPERATOR_RUN_MAX} operator characters in a row"),
            )
            .hint("put long runs of dashes or stars into a parameter, or shorten the comment"));
        }
        if previous == b'/' && byte == b'*' {
            depth = depth.saturating_add(1);
            previous = 0;
        } else if previous == b'*' && byte == b'/' {
            depth = depth.saturating_sub(1);
            previous = 0;
        } else {
            previous = byte;
        }
        if depth > COMMENT_DEPTH_MAX {
            return Err(Refusal::new(
                "54000",
                format!("comments nest deeper than {COMMENT_DEPTH_MAX}"),
            ));
        }
    }
    Ok(())
}

/// Whether operators are made of this byte.
const fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'+' | b'-'
            | b'*'
            | b'/'
            | b'<'
            | b'>'
            | b'='
            | b'~'
            | b'!'
            | b'@'
            | b'#'
            | b'%'
            | b'^'
            | b'&'
            | b'|'
            | b'`'
            | b'?'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold() {
        assert_eq!(check(b"SELECT 1").unwrap(), "SELECT 1");
        assert_eq!(check(b"SELECT \0").unwrap_err().sqlstate, "22021");
        assert_eq!(check(b"SELECT '\xff'").unwrap_err().sqlstate, "22021");
        assert_eq!(
            check(&vec![b' '; TEXT_BYTES_MAX + 1]).unwrap_err().sqlstate,
            "54000"
        );
        assert_eq!(
            check(format!("SELECT 1 {} 1", "+".repeat(257)).as_bytes())
                .unwrap_err()
                .sqlstate,
            "54000"
        );
        assert_eq!(
            check(format!("SELECT {} 1", "/*".repeat(65)).as_bytes())
                .unwrap_err()
                .sqlstate,
            "54000"
        );
        assert!(check(format!("SELECT '{}'", "-".repeat(300)).as_bytes()).is_ok());
        assert!(
            check(format!("SELECT {} 1 {}", "/*".repeat(60), "*/".repeat(60)).as_bytes()).is_ok()
        );
    }
}
