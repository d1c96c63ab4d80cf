//! The OpenAPI document, whole: whatever changes in it is seen.

use expect_test::expect_file;

use crate::console::api;

#[test]
fn the_document_is_as_its_callers_know_it() {
    let document = serde_json::to_string_pretty(&api::document()).unwrap();
    expect_file!["openapi.json"].assert_eq(&format!("{document}\n"));
}
