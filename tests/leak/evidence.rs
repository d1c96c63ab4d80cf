//! What stays behind: the gateway's own log, the write-ahead log and every evidence object, raw and read back.

use std::{fs, process::Command};

use crate::{house::House, support::files_below};

const DATASETS: &[&str] = &["sessions", "statements", "maskings", "changes"];

/// Every place where a canary lies.
pub(crate) fn faults(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    let mut look = |place: &str, bytes: &[u8]| {
        let found = house.search.find(bytes);
        if !found.is_empty() {
            faults.push(format!("{place} holds raw values: {found:?}"));
        }
        bytes.len()
    };
    let mut read = look(
        "the gateway's log",
        &fs::read(house.path("gateway.log")).unwrap(),
    );
    let mut objects = 0;
    for folder in ["log", "evidence"] {
        for file in files_below(&house.path(folder)) {
            read += look(&file.display().to_string(), &fs::read(&file).unwrap());
            objects += 1;
        }
    }
    for dataset in DATASETS {
        let output = Command::new(env!("CARGO_BIN_EXE_provost"))
            .args(["evidence", "query", "--json", "--store"])
            .arg(house.path("evidence"))
            .arg(format!("SELECT * FROM {dataset}"))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{dataset}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        read += look(dataset, &output.stdout);
    }
    eprintln!("searched {read} bytes of logs and evidence, {objects} files");
    faults
}
