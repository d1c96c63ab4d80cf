//! A ledger's documents: keys, checkpoints, seals and manifests, each against what pins it and against the one before.
//! Must never trust one whose digest or signature it hasn't checked.

use crate::dataset::{Dataset, SCHEMA_VERSION, SCHEMA_VERSION_MIN};
use crate::error::Error;
use crate::ledger;
use crate::ledger::checkpoint::{self, Statement};
use crate::ledger::documents::{MANIFEST_FORMAT, Manifest, Pinned, SEAL_FORMAT, Seal, encode};
use crate::seal::build::{manifest_key, object_key, public_key_key};
use crate::verify::Fault;

use super::Walk;

impl Walk<'_> {
    pub(super) async fn check_public_key(&mut self) -> Result<(), Error> {
        let key = public_key_key(self.public.gateway());
        if let Some(bytes) = self.read(&key).await?
            && bytes != self.public.file().as_bytes()
        {
            self.problem(key, None, Fault::OtherKey);
        }
        Ok(())
    }

    pub(super) async fn check_latest(&mut self) -> Result<(), Error> {
        let key = checkpoint::latest_key(self.public.gateway());
        let Some(bytes) = self.read(&key).await? else {
            return Ok(());
        };
        let mut newest = self.checkpoints.iter().rev();
        let is_last = newest
            .next()
            .is_some_and(|last| last.as_ref() == Some(&bytes));
        let is_before = newest
            .next()
            .is_some_and(|before| before.as_ref() == Some(&bytes));
        let is_copy = is_last || (self.is_seal_pending && is_before);
        if !is_copy {
            self.problem(key, None, Fault::Copy);
        }
        Ok(())
    }

    pub(super) async fn check_checkpoint(
        &mut self,
        number: u64,
    ) -> Result<Option<Statement>, Error> {
        let key = checkpoint::key(self.public.gateway(), number);
        let bytes = self.read(&key).await?;
        self.checkpoints.push(bytes.clone());
        let Some(bytes) = bytes else { return Ok(None) };
        match checkpoint::open(&bytes, self.public) {
            Ok(statement) if statement.seal == number => Ok(Some(statement)),
            Ok(_) => {
                self.problem(key, None, Fault::Field { field: "seal" });
                Ok(None)
            }
            Err(fault) => {
                self.problem(key, None, fault);
                Ok(None)
            }
        }
    }

    /// The seal document: pinned by the checkpoint, and continuing the seal before.
    pub(super) async fn check_document(
        &mut self,
        number: u64,
        statement: &Statement,
    ) -> Result<Option<Seal>, Error> {
        let gateway = self.public.gateway();
        let key = Seal::key(gateway, number);
        let Some(bytes) = self.read(&key).await? else {
            return Ok(None);
        };
        if ledger::sha256(&bytes) != statement.seal_sha256 {
            self.problem(key, None, Fault::Digest);
            return Ok(None);
        }
        let Some(seal) = parse::<Seal>(&bytes) else {
            self.problem(key, None, Fault::Malformed);
            return Ok(None);
        };
        let (first_log_index, first_sequence) = match &self.last {
            Some(before) => (before.tree_size, before.next_sequence),
            None if number == 0 => (0, 0),
            None => (seal.first_log_index, seal.first_sequence), // the seal before is damaged and reported
        };
        let is_previous_unknown = number > 0 && self.previous.is_none();
        let checks = [
            ("format", seal.format == SEAL_FORMAT),
            ("gateway", seal.gateway == gateway),
            ("seal", seal.seal == number),
            (
                "previous",
                is_previous_unknown || seal.previous == self.previous,
            ),
            (
                "epoch",
                self.last
                    .as_ref()
                    .is_none_or(|before| before.epoch <= seal.epoch),
            ),
            ("first_log_index", seal.first_log_index == first_log_index),
            ("tree_size", seal.tree_size == statement.size),
            (
                "first_sequence",
                seal.first_sequence == first_sequence && first_sequence <= seal.next_sequence,
            ),
        ];
        for (field, holds) in checks {
            if !holds {
                self.problem(key.clone(), None, Fault::Field { field });
            }
        }
        Ok(Some(seal))
    }

    /// A manifest, when everything about it is right.
    pub(super) async fn check_manifest(
        &mut self,
        pinned: &Pinned,
        seal: &Seal,
        next_index: &mut u64,
    ) -> Result<Option<Manifest>, Error> {
        let index = Some(*next_index);
        let Some(bytes) = self.read(&pinned.key).await? else {
            return Ok(None);
        };
        if ledger::sha256(&bytes) != pinned.sha256 {
            self.problem(pinned.key.clone(), index, Fault::Digest);
            return Ok(None);
        }
        let Some(manifest) = parse::<Manifest>(&bytes) else {
            self.problem(pinned.key.clone(), index, Fault::Malformed);
            return Ok(None);
        };
        let date = manifest
            .key
            .split_once("/date=")
            .and_then(|(_, rest)| rest.get(..10))
            .unwrap_or_default();
        let checks = [
            ("format", manifest.format == MANIFEST_FORMAT),
            ("gateway", manifest.gateway == seal.gateway),
            ("epoch", manifest.epoch == seal.epoch),
            (
                "schema_version",
                (SCHEMA_VERSION_MIN..=SCHEMA_VERSION).contains(&manifest.schema_version),
            ),
            ("first_log_index", manifest.first_log_index == *next_index),
            (
                "rows",
                manifest.first_log_index.checked_add(manifest.rows)
                    == manifest.last_log_index.checked_add(1),
            ),
            (
                "key",
                manifest.key == object_key(&manifest, date)
                    && pinned.key == manifest_key(&manifest),
            ),
        ];
        let failed: Vec<_> = checks.into_iter().filter(|(_, holds)| !holds).collect();
        for (field, _) in &failed {
            self.problem(pinned.key.clone(), index, Fault::Field { field });
        }
        *next_index = next_index.saturating_add(manifest.rows);
        self.covered.insert(manifest.key.clone());
        let is_there = self.listed.contains(&manifest.key);
        let manifest = failed.is_empty().then_some(manifest);
        if let Some(manifest) = &manifest
            && manifest.dataset == Dataset::Recordings
            && is_there
        {
            let resumed = self.resumed.as_ref();
            let is_before = resumed.is_some_and(|resumed| seal.seal <= resumed.seal);
            self.recordings.push((manifest.clone(), is_before));
        }
        Ok(manifest)
    }
}

/// Reads a document and requires the one encoding that we write.
fn parse<T: serde::Serialize + serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let document: T = serde_json::from_slice(bytes).ok()?;
    (encode(&document).ok()? == bytes).then_some(document)
}
