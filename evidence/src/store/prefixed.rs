//! A part of a bucket as a store. Must never give a key that its caller didn't: `object_store`'s `PrefixStore` (0.13) answers reads with the
//! bucket's key, and what goes by that, as DataFusion does, finds the object to be none of the store's and leaves it out without a word.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// The objects whose keys begin with a prefix, by the rest of their keys.
#[derive(Debug)]
pub(super) struct Prefixed(PrefixStore<Arc<dyn ObjectStore>>);

impl Prefixed {
    pub(super) fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        Self(PrefixStore::new(store, prefix))
    }
}

impl std::fmt::Display for Prefixed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

#[async_trait]
impl ObjectStore for Prefixed {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut found = self.0.get_opts(location, options).await?;
        found.meta.location = location.clone();
        Ok(found)
    }

    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.0.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStoreExt as _, memory::InMemory};

    use super::*;
    use crate::testing::*;

    /// Verification and queries see the same in a part of a bucket as in a whole one.
    #[tokio::test]
    async fn a_part_of_a_bucket_is_a_store_like_any_other() {
        let bucket: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let store: Arc<dyn ObjectStore> = Arc::new(Prefixed::new(Arc::clone(&bucket), "a/b"));
        let folder = tempfile::tempdir().unwrap();
        let log = open_log(folder.path());
        let sealer = sealer(&log, Arc::clone(&store)).await.unwrap();
        for _ in 0..2 {
            append(&log, [change(MIDNIGHT), session(MIDNIGHT)]).await;
            let now = crate::record::Micros(MIDNIGHT);
            sealer.seal_now(now).await.unwrap();
        }
        // Somebody else's, beside it.
        let other = Path::from("a/bc/ledger/note.txt");
        bucket.put(&other, "note".into()).await.unwrap();
        let report = crate::verify::verify(store.as_ref(), &[key().public(GATEWAY)], None).await;
        let report = report.unwrap();
        assert!(
            report.is_intact() && report.ledgers[0].rows == 4,
            "{report}"
        );
        let sql = "SELECT count(*) AS rows FROM changes";
        let answer = crate::query::query(store, sql).await.unwrap();
        let shown = answer.render(crate::query::Format::JsonLines).unwrap();
        assert_eq!(shown, "{\"rows\":2}\n");
        assert!(
            crate::store::list(bucket.as_ref(), "ledger")
                .await
                .unwrap()
                .is_empty()
        );
    }
}
