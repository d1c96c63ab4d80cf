//! Column chunks of a Parquet file, put together from pages that we encode ourselves: the library makes compressors for each column, and looks at
//! each value several times, which for a seal each second costs more than all else. Must never write what readers of Parquet don't read: nothing
//! but what the format's first releases had is used, and pages of version 2.

use std::io::Write;
use std::ops::Range;

use arrow::buffer::NullBuffer;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, PageEncodingStats};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use crate::seal::hybrid;
use crate::seal::object::ZSTD_LEVEL;

/// Rows in a data page, at most.
pub(super) const PAGE_ROWS_MAX: usize = 20_000;

/// Compresses pages: one for all columns of an object, for it takes longer to make than to use.
pub(super) type Zstd = zstd::bulk::Compressor<'static>;

/// A column chunk, ready to be appended.
pub(super) struct Chunk {
    bytes: Bytes,
    close: ColumnCloseResult,
}

/// What a data page says of its rows, before it is compressed.
pub(super) struct Body {
    /// Levels, encoded; nothing where there is only one.
    pub(super) repetition: Vec<u8>,
    pub(super) definition: Vec<u8>,
    pub(super) values: Vec<u8>,
    pub(super) encoding: Encoding,
    /// Values and nulls.
    pub(super) entries: usize,
    pub(super) nulls: usize,
    pub(super) rows: usize,
}

/// A data page.
#[derive(Debug, Clone)]
pub(super) struct DataPage {
    page: Page,
    bytes_uncompressed: usize,
    /// Entries without a value.
    nulls: u64,
}

/// The values that places of data pages are of.
pub(super) struct Dictionary {
    /// Plain.
    pub(super) bytes: Vec<u8>,
    pub(super) values: usize,
}

impl Body {
    pub(super) fn compressed(self, zstd: &mut Zstd) -> Result<DataPage> {
        let (repetition_bytes, definition_bytes) = (self.repetition.len(), self.definition.len());
        let levels_bytes = repetition_bytes + definition_bytes;
        let compressed = zstd.compress(&self.values)?;
        let is_compressed = compressed.len() < self.values.len();
        let values = if is_compressed {
            &compressed
        } else {
            &self.values
        };
        let mut bytes = self.repetition;
        bytes.reserve_exact(definition_bytes + values.len());
        bytes.extend_from_slice(&self.definition);
        bytes.extend_from_slice(values);
        let page = Page::DataPageV2 {
            buf: bytes.into(),
            num_values: count(self.entries)?,
            encoding: self.encoding,
            num_nulls: count(self.nulls)?,
            num_rows: count(self.rows)?,
            def_levels_byte_len: count(definition_bytes)?,
            rep_levels_byte_len: count(repetition_bytes)?,
            is_compressed,
            statistics: None,
        };
        Ok(DataPage {
            page,
            bytes_uncompressed: levels_bytes + self.values.len(),
            nulls: self.nulls as u64,
        })
    }
}

impl Chunk {
    /// Puts the pages of a column's rows together; `statistics` is told how many of its entries are null.
    pub(super) fn new(
        leaf: &ColumnDescPtr,
        rows: usize,
        dictionary: Option<Dictionary>,
        pages: Vec<DataPage>,
        zstd: &mut Zstd,
        statistics: impl FnOnce(u64) -> Statistics,
    ) -> Result<Self> {
        let mut sink = TrackedWrite::new(Vec::new());
        let mut writer = SerializedPageWriter::new(&mut sink);
        let (mut compressed, mut uncompressed) = (0, 0);
        let (mut encodings, mut kinds) = (vec![Encoding::RLE], Vec::new());
        let has_dictionary = dictionary.is_some();
        if let Some(dictionary) = dictionary {
            let page = Page::DictionaryPage {
                buf: zstd.compress(&dictionary.bytes)?.into(),
                num_values: count(dictionary.values)?,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            let page = CompressedPage::new(page, dictionary.bytes.len());
            let written = writer.write_page(page)?;
            compressed += written.compressed_size;
            uncompressed += written.uncompressed_size;
            encodings.push(Encoding::PLAIN);
            kinds.push(of_kind(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1));
        }
        let (mut data_offset, mut entries, mut nulls) = (None, 0_i64, 0_u64);
        for page in pages {
            let encoding = page.page.encoding();
            let page_nulls = page.nulls;
            let page = CompressedPage::new(page.page, page.bytes_uncompressed);
            let written = writer.write_page(page)?;
            nulls += page_nulls;
            entries += i64::from(written.num_values);
            data_offset.get_or_insert(written.offset);
            compressed += written.compressed_size;
            uncompressed += written.uncompressed_size;
            match kinds.last_mut() {
                Some(kind)
                    if kind.page_type == PageType::DATA_PAGE_V2 && kind.encoding == encoding =>
                {
                    kind.count += 1;
                }
                _ => kinds.push(of_kind(PageType::DATA_PAGE_V2, encoding, 1)),
            }
            if !encodings.contains(&encoding) {
                encodings.push(encoding);
            }
        }
        let metadata = ColumnChunkMetaData::builder(leaf.clone())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
            .set_encodings(encodings)
            .set_page_encoding_stats(kinds)
            .set_total_compressed_size(size(compressed)?)
            .set_total_uncompressed_size(size(uncompressed)?)
            .set_num_values(entries)
            .set_dictionary_page_offset(has_dictionary.then_some(0))
            .set_data_page_offset(size(data_offset.unwrap_or_default())?)
            .set_statistics(statistics(nulls))
            .build()?;
        Ok(Self {
            bytes: sink.into_inner()?.into(),
            close: ColumnCloseResult {
                bytes_written: compressed as u64,
                rows_written: rows as u64,
                metadata,
                bloom_filter: None,
                column_index: None,
                offset_index: None,
            },
        })
    }

    pub(super) fn append_to<W: Write + Send>(
        self,
        row_group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<()> {
        row_group.append_column(&self.bytes, self.close)
    }
}

/// Definition levels of rows that are a value or null, and how many are null; nothing where none may be.
pub(super) fn definition(
    nulls: Option<&NullBuffer>,
    rows: Range<usize>,
    leaf: &ColumnDescPtr,
) -> (Vec<u8>, usize) {
    let mut levels = Vec::new();
    if leaf.max_def_level() == 0 {
        return (levels, 0);
    }
    let nulls = nulls.map(|nulls| nulls.slice(rows.start, rows.len()));
    let null_count = nulls.as_ref().map_or(0, NullBuffer::null_count);
    match nulls {
        Some(nulls) if null_count > 0 => {
            let there: Vec<u32> = nulls.iter().map(u32::from).collect();
            hybrid::encode(&there, 1, &mut levels);
        }
        _ => hybrid::run(1, rows.len(), 1, &mut levels),
    }
    (levels, null_count)
}

fn of_kind(page_type: PageType, encoding: Encoding, count: i32) -> PageEncodingStats {
    PageEncodingStats {
        page_type,
        encoding,
        count,
    }
}

fn count(of: usize) -> Result<u32> {
    u32::try_from(of).map_err(|_| too_large())
}

fn size(bytes: impl TryInto<i64>) -> Result<i64> {
    bytes.try_into().map_err(|_| too_large())
}

fn too_large() -> ParquetError {
    ParquetError::General("a column chunk is too large".to_owned())
}
