//! The API keeps what its OpenAPI document says: schemathesis reads the one and tries the other.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use super::support::{House, Who, request};
use provost_evidence::approvals::ApprovalId;

/// The id that the document gives as its example, so that some requests meet something.
const EXAMPLE: &str = "019a5d2f8c00-3f1b7a9e4c52";

/// Where `tests/run.sh` installs it.
fn schemathesis() -> PathBuf {
    let target = std::env::var("CARGO_TARGET_DIR")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../target").to_owned());
    let program = Path::new(&target).join("python/bin/schemathesis");
    assert!(
        program.exists(),
        "{} is missing: run `sh tests/run.sh` once, it makes it",
        program.display()
    );
    program
}

#[tokio::test]
async fn the_api_is_as_its_document_says() {
    let house = House::new().await;
    let mut example = request(1);
    example.id = ApprovalId::parse(EXAMPLE).unwrap();
    house.ask(example).await;
    for number in 2..5 {
        house.ask(request(number)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(schemathesis())
        .args(["--no-color", "run", "--checks", "all"])
        .args([
            "--max-examples",
            "40",
            "--seed",
            "7",
            "--generation-database",
            "none",
        ])
        .args([
            "--header",
            &format!("Authorization: Bearer {}", house.token(Who::Dora)),
        ])
        .arg(format!("{}/api/v1/openapi.json", house.url))
        .current_dir(folder.path())
        .env("NO_PROXY", "*")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // It asked each operation but that which gave it the document, and did not merely read that.
    assert!(told.contains("Tested: 5"), "{told}");
}
