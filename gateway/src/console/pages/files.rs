//! What pages load: our stylesheet and script, and the two scripts of others, each under its own digest.
//!
//! It must never serve anything that was not compiled in.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};

use crate::console::Problem;

/// The scripts, in the order in which they run.
pub(super) const SCRIPTS: [&str; 3] = ["htmx.min.js", "htmx-sse.min.js", "times.js"];
/// Names, media types and texts.
const FILES: [(&str, &str, &str); 4] = [
    (
        "style.css",
        "text/css; charset=utf-8",
        include_str!("style.css"),
    ),
    (
        "times.js",
        "text/javascript; charset=utf-8",
        include_str!("times.js"),
    ),
    (
        "htmx.min.js",
        "text/javascript; charset=utf-8",
        include_str!("vendor/htmx.min.js"),
    ),
    (
        "htmx-sse.min.js",
        "text/javascript; charset=utf-8",
        include_str!("vendor/htmx-sse.min.js"),
    ),
];
/// Hex digits of a digest in a path.
const DIGITS: usize = 16;

/// The same files' paths: a file that changes has another, so browsers may keep it for ever.
static PATHS: LazyLock<[String; 4]> = LazyLock::new(|| {
    FILES.map(|(name, _, text)| {
        let digest = blake3::hash(text.as_bytes()).to_hex();
        let digits: String = digest.chars().take(DIGITS).collect();
        format!("/files/{digits}/{name}")
    })
});

/// Where a file is.
pub(super) fn path(name: &str) -> &'static str {
    let place = FILES.iter().position(|(found, ..)| *found == name);
    let path = place.and_then(|place| PATHS.get(place));
    path.map_or("", String::as_str)
}

/// Serves one.
pub(super) async fn serve(Path((digest, name)): Path<(String, String)>) -> Response {
    let asked = format!("/files/{digest}/{name}");
    let found = FILES
        .iter()
        .zip(PATHS.iter())
        .find(|(_, path)| **path == asked);
    let Some(((_, media_type, text), _)) = found else {
        return Problem::new(StatusCode::NOT_FOUND, "there is no such file").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, *media_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, *text).into_response()
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_scripts_of_others_are_those_that_their_list_names() {
        let list = include_str!("vendor/README.md");
        for (name, _, text) in FILES.iter().filter(|(name, ..)| name.starts_with("htmx")) {
            let digest: String = Sha256::digest(text)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let line = list
                .lines()
                .find(|line| line.starts_with(&format!("| `{name}` |")));
            assert!(
                line.is_some_and(|line| line.contains(&digest)),
                "{name} is {digest}"
            );
        }
    }

    #[test]
    fn every_file_has_a_path_of_its_own() {
        for name in SCRIPTS.into_iter().chain(["style.css"]) {
            assert!(path(name).ends_with(name), "{name}");
        }
        assert_eq!(path("other.js"), "");
    }
}
