//! Names and values of queries and forms, read strictly: a name that is not expected, or comes twice, is refused.

use axum::{
    body::Bytes,
    extract::rejection::BytesRejection,
    http::{HeaderMap, StatusCode, header},
};
use url::form_urlencoded;

use super::Problem;

/// The values of `names`, in their order; what is absent is empty.
///
/// # Errors
/// 400 for another name, and for one that comes twice.
pub(super) fn values<const N: usize>(
    text: &[u8],
    names: [&'static str; N],
) -> Result<[String; N], Problem> {
    let wrong = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let mut found: [Option<String>; N] = [const { None }; N];
    for (name, value) in form_urlencoded::parse(text) {
        let place = names.iter().position(|known| *known == name);
        let slot = place.and_then(|place| found.get_mut(place));
        let slot = slot.ok_or_else(|| {
            wrong(format!(
                "there are other names here than `{}`",
                names.join("`, `")
            ))
        })?;
        if slot.replace(value.into_owned()).is_some() {
            return Err(wrong(format!("`{name}` stands here twice")));
        }
    }
    Ok(found.map(Option::unwrap_or_default))
}

/// The values of a form that was sent.
///
/// # Errors
/// 415 where it is no form, 413 where it is too large, and as [`values`].
pub(super) fn sent<const N: usize>(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    names: [&'static str; N],
) -> Result<[String; N], Problem> {
    let is_form = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == b"application/x-www-form-urlencoded");
    if !is_form {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send a form",
        ));
    }
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
        _ => Problem::new(StatusCode::BAD_REQUEST, "the form did not come whole"),
    })?;
    values(&body, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_strictly() {
        let check = |text: &str, expected: Option<[&str; 2]>| {
            let found = values(text.as_bytes(), ["a", "b"]).ok();
            let found = found
                .as_ref()
                .map(|[one, other]| [one.as_str(), other.as_str()]);
            assert_eq!(found, expected, "{text}");
        };
        check("", Some(["", ""]));
        check("b=2&a=%31", Some(["1", "2"]));
        check("a=1&a=1", None);
        check("a=&a=", None);
        check("a=1&c=", None);
        check("A=1", None);
    }
}
