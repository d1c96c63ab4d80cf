//! A column of few values as a Parquet column chunk: a dictionary page, and data pages that say which value each row has. The Parquet
//! library looks every row's value up again, which for a row of evidence costs more than all else; here a row costs what its key does.
//! Must never write what readers of Parquet don't read: nothing but what the format's first releases had is used, and pages of version 2.

use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;

use arrow::array::{Array, AsArray as _, DictionaryArray, ListArray, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::Int32Type;
use bytes::Bytes;
use foldhash::fast::RandomState;
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, PageEncodingStats};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use crate::seal::hybrid;
use crate::seal::object::ZSTD_LEVEL;

/// Rows in a data page, at most.
const PAGE_ROWS_MAX: usize = 20_000;
/// With more values than this for each row of a chunk, a dictionary is no gain.
const VALUES_PER_ROW_MAX: f64 = 0.25;
/// Values of a chunk, and their bytes: what a reader has to keep.
const DICTIONARY_VALUES_MAX: usize = 16_384;
const DICTIONARY_BYTES_MAX: usize = 1024 * 1024;
/// Least and greatest values longer than this are not named: they would be longer than all else of the chunk.
const STATISTIC_BYTES_MAX: usize = 64;

/// Compresses pages: one for all columns of an object, for it takes longer to make than to use.
pub(super) type Zstd = zstd::bulk::Compressor<'static>;

/// A column chunk, ready to be appended.
pub(super) struct Chunk {
    bytes: Bytes,
    close: ColumnCloseResult,
}

impl Chunk {
    pub(super) fn append_to<W: Write + Send>(
        self,
        row_group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<()> {
        row_group.append_column(&self.bytes, self.close)
    }
}

/// What the rows with one key add to the chunk.
#[derive(Debug, Clone, Copy)]
enum Cell {
    Null,
    /// Places in `Values::items` of the first text and behind the last.
    Texts(usize, usize),
}

/// The values that rows of a chunk have, by key.
struct Values<'a> {
    is_list: bool,
    /// By key; those that no row has stay null.
    cells: Vec<Cell>,
    /// Places in the dictionary.
    items: Vec<u32>,
    dictionary: Vec<&'a str>,
    dictionary_bytes: usize,
}

/// The column as a chunk; `None` where a dictionary is no gain.
pub(super) fn chunk(
    column: &DictionaryArray<Int32Type>,
    leaf: &ColumnDescPtr,
    zstd: &mut Zstd,
) -> Result<Option<Chunk>> {
    let Some(values) = Values::of(column) else {
        return Ok(None);
    };
    let mut sink = TrackedWrite::new(Vec::new());
    let mut writer = SerializedPageWriter::new(&mut sink);
    let dictionary = writer.write_page(values.dictionary_page(zstd)?)?;
    let (mut compressed, mut uncompressed) =
        (dictionary.compressed_size, dictionary.uncompressed_size);
    let (mut data_offset, mut pages, mut levels, mut nulls) = (None, 0, 0_i64, 0_u64);
    let keys: Vec<Option<usize>> = column
        .keys()
        .iter()
        .map(|key| key.and_then(|key| usize::try_from(key).ok()))
        .collect();
    for keys in keys.chunks(PAGE_ROWS_MAX) {
        let page = values.data_page(keys, leaf, zstd)?;
        nulls += u64::from(page.nulls);
        let written = writer.write_page(page.page)?;
        data_offset.get_or_insert(written.offset);
        compressed += written.compressed_size;
        uncompressed += written.uncompressed_size;
        levels += i64::from(written.num_values);
        pages += 1;
    }
    let stats = |page_type, encoding, count| PageEncodingStats {
        page_type,
        encoding,
        count,
    };
    let metadata = ColumnChunkMetaData::builder(leaf.clone())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_encodings(vec![
            Encoding::PLAIN,
            Encoding::RLE,
            Encoding::RLE_DICTIONARY,
        ])
        .set_page_encoding_stats(vec![
            stats(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1),
            stats(PageType::DATA_PAGE_V2, Encoding::RLE_DICTIONARY, pages),
        ])
        .set_total_compressed_size(size(compressed)?)
        .set_total_uncompressed_size(size(uncompressed)?)
        .set_num_values(levels)
        .set_dictionary_page_offset(Some(0))
        .set_data_page_offset(size(data_offset.unwrap_or_default())?)
        .set_statistics(values.statistics(nulls))
        .build()?;
    Ok(Some(Chunk {
        bytes: sink.into_inner()?.into(),
        close: ColumnCloseResult {
            bytes_written: compressed as u64,
            rows_written: column.len() as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        },
    }))
}

fn size(bytes: impl TryInto<i64>) -> Result<i64> {
    bytes
        .try_into()
        .map_err(|_| ParquetError::General("a column chunk is too large".to_owned()))
}

impl<'a> Values<'a> {
    /// `None` where a dictionary is no gain, or there is no value at all.
    fn of(column: &'a DictionaryArray<Int32Type>) -> Option<Self> {
        let source = Source::of(column)?;
        let mut is_used = vec![false; column.values().len()];
        for key in column.keys().iter().flatten() {
            *is_used.get_mut(usize::try_from(key).ok()?)? = true;
        }
        let mut values = Self {
            is_list: source.lists.is_some(),
            cells: vec![Cell::Null; is_used.len()],
            items: Vec::new(),
            dictionary: Vec::new(),
            dictionary_bytes: 0,
        };
        let enough = (column.len() as f64 * VALUES_PER_ROW_MAX) as usize + 1;
        let mut places = HashMap::with_hasher(RandomState::default());
        let cells = values.cells.iter_mut().zip(is_used).enumerate();
        for (key, (cell, _)) in cells.filter(|(_, (_, is_used))| *is_used) {
            let Some(range) = source.range(key) else {
                continue;
            };
            let start = values.items.len();
            for item in range {
                let text = source.texts.value(item);
                let place = *places.entry(text).or_insert_with(|| {
                    values.dictionary.push(text);
                    values.dictionary_bytes += 4 + text.len();
                    values.dictionary.len() as u32 - 1
                });
                values.items.push(place);
            }
            *cell = Cell::Texts(start, values.items.len());
            if values.dictionary.len() > enough.min(DICTIONARY_VALUES_MAX)
                || values.dictionary_bytes > DICTIONARY_BYTES_MAX
            {
                return None;
            }
        }
        (!values.dictionary.is_empty()).then_some(values)
    }

    fn dictionary_page(&self, zstd: &mut Zstd) -> Result<CompressedPage> {
        let mut plain = Vec::with_capacity(self.dictionary_bytes);
        for text in &self.dictionary {
            // Bounded by what a dictionary may hold.
            plain.extend_from_slice(&(text.len() as u32).to_le_bytes());
            plain.extend_from_slice(text.as_bytes());
        }
        let page = Page::DictionaryPage {
            buf: zstd.compress(&plain)?.into(),
            num_values: self.dictionary.len() as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        Ok(CompressedPage::new(page, plain.len()))
    }

    /// The page of these rows.
    fn data_page(
        &self,
        keys: &[Option<usize>],
        leaf: &ColumnDescPtr,
        zstd: &mut Zstd,
    ) -> Result<DataPage> {
        let deepest = u32::try_from(leaf.max_def_level()).unwrap_or_default();
        let levels = self.levels(keys, deepest);
        let mut bytes = Vec::new();
        if self.is_list {
            hybrid::encode(&levels.repetition, 1, &mut bytes);
        }
        let repetition_bytes = bytes.len();
        if deepest > 0 {
            let width = hybrid::width(deepest);
            hybrid::encode(&levels.definition, width, &mut bytes);
        }
        let levels_bytes = bytes.len();
        let width = hybrid::width(self.dictionary.len() as u32 - 1);
        let mut places = vec![width];
        hybrid::encode(&levels.places, width, &mut places);
        let uncompressed = levels_bytes + places.len();
        let compressed = zstd.compress(&places)?;
        let is_compressed = compressed.len() < places.len();
        bytes.extend_from_slice(if is_compressed { &compressed } else { &places });
        let nulls = (levels.definition.len() - levels.places.len()) as u32;
        let page = Page::DataPageV2 {
            buf: bytes.into(),
            num_values: levels.definition.len() as u32,
            encoding: Encoding::RLE_DICTIONARY,
            num_nulls: nulls,
            num_rows: keys.len() as u32,
            def_levels_byte_len: (levels_bytes - repetition_bytes) as u32,
            rep_levels_byte_len: repetition_bytes as u32,
            is_compressed,
            statistics: None,
        };
        Ok(DataPage {
            page: CompressedPage::new(page, uncompressed),
            nulls,
        })
    }

    /// Levels and values of rows, as Parquet nests them: `deepest` is the level of a value that is there; of an empty list one less, of
    /// nothing 0.
    fn levels(&self, keys: &[Option<usize>], deepest: u32) -> Levels {
        let mut levels = Levels::default();
        for key in keys {
            let cell = key.and_then(|key| self.cells.get(key));
            let Some(Cell::Texts(start, end)) = cell.copied() else {
                levels.repetition.push(0);
                levels.definition.push(0);
                continue;
            };
            let items = self.items.get(start..end).unwrap_or_default();
            levels.repetition.push(0);
            match items {
                [] => levels.definition.push(deepest.saturating_sub(1)),
                [_, more @ ..] => {
                    levels.definition.push(deepest);
                    for _ in more {
                        levels.repetition.push(1);
                        levels.definition.push(deepest);
                    }
                    levels.places.extend_from_slice(items);
                }
            }
        }
        levels
    }

    fn statistics(&self, nulls: u64) -> Statistics {
        let bounds = (self.dictionary.iter().min(), self.dictionary.iter().max());
        let short = |text: &&&str| text.len() <= STATISTIC_BYTES_MAX;
        let (least, greatest) = match bounds {
            (Some(least), Some(greatest)) if short(&least) && short(&greatest) => (
                Some(ByteArray::from(*least)),
                Some(ByteArray::from(*greatest)),
            ),
            _ => (None, None),
        };
        Statistics::byte_array(least, greatest, None, Some(nulls), false)
    }
}

/// Where values come from: texts, or lists of them.
struct Source<'a> {
    texts: &'a StringArray,
    lists: Option<&'a ListArray>,
    nulls: Option<&'a NullBuffer>,
}

impl<'a> Source<'a> {
    /// `None` where they are of another type.
    fn of(column: &'a DictionaryArray<Int32Type>) -> Option<Self> {
        let values = column.values();
        let lists = values.as_list_opt::<i32>();
        let texts = lists.map_or(values, ListArray::values);
        Some(Self {
            texts: texts.as_string_opt::<i32>()?,
            lists,
            nulls: values.nulls(),
        })
    }

    /// Which texts the value at this key has; `None` where it is null.
    fn range(&self, key: usize) -> Option<Range<usize>> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(key)) {
            return None;
        }
        let Some(lists) = self.lists else {
            return Some(key..key + 1);
        };
        let offset = |at: usize| usize::try_from(*lists.value_offsets().get(at)?).ok();
        Some(offset(key)?..offset(key + 1)?)
    }
}

#[derive(Default)]
struct Levels {
    repetition: Vec<u32>,
    definition: Vec<u32>,
    places: Vec<u32>,
}

struct DataPage {
    page: CompressedPage,
    /// Entries without a value.
    nulls: u32,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array, ListBuilder, RecordBatch, StringBuilder};
    use arrow::compute::{concat_batches, take};
    use arrow::datatypes::{Field, Schema};
    use parquet::arrow::ArrowSchemaConverter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::file::writer::SerializedFileWriter;
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::item_field;

    /// What is read back is what each row had. `None` where the column isn't written by this module.
    fn check(values: ArrayRef, keys: Int32Array, nullable: bool) -> Option<()> {
        let column = DictionaryArray::<Int32Type>::new(keys, values);
        let kind = column.values().data_type().clone();
        let schema = Arc::new(Schema::new(vec![Field::new("c", kind, nullable)]));
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema).unwrap();
        let leaf = parquet_schema.column(0);
        let mut zstd = Zstd::new(ZSTD_LEVEL).unwrap();
        let chunk = chunk(&column, &leaf, &mut zstd).unwrap()?;
        let root = parquet_schema.root_schema_ptr();
        let mut file = SerializedFileWriter::new(Vec::new(), root, Arc::default()).unwrap();
        let mut row_group = file.next_row_group().unwrap();
        chunk.append_to(&mut row_group).unwrap();
        row_group.close().unwrap();
        let bytes = Bytes::from(file.into_inner().unwrap());
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        let statistics = builder
            .metadata()
            .row_group(0)
            .column(0)
            .statistics()
            .cloned();
        let expected = take(column.values(), column.keys(), None).unwrap();
        check_statistics(&statistics.unwrap(), &expected);
        let read: Vec<RecordBatch> = builder.build().unwrap().map(Result::unwrap).collect();
        let read = concat_batches(&schema, &read).unwrap();
        assert_eq!(read.column(0).to_data(), expected.to_data());
        Some(())
    }

    fn check_statistics(statistics: &Statistics, expected: &ArrayRef) {
        let texts = match expected.as_list_opt::<i32>() {
            Some(lists) => Arc::clone(lists.values()),
            None => Arc::clone(expected),
        };
        let texts: Vec<&[u8]> = texts
            .as_string::<i32>()
            .iter()
            .flatten()
            .map(str::as_bytes)
            .collect();
        assert_eq!(statistics.min_bytes_opt(), texts.iter().min().copied());
        assert_eq!(statistics.max_bytes_opt(), texts.iter().max().copied());
        if let Some(texts) = expected.as_string_opt::<i32>() {
            assert_eq!(statistics.null_count_opt(), Some(texts.null_count() as u64));
        }
    }

    fn lists(of: &[Option<Vec<&str>>]) -> ArrayRef {
        let mut builder = ListBuilder::new(StringBuilder::new()).with_field(item_field());
        for list in of {
            builder.append_option(list.as_ref().map(|list| list.iter().map(Some)));
        }
        Arc::new(builder.finish())
    }

    const WORDS: [&str; 5] = ["a", "", "select", "é\u{0}", "zz"];

    proptest! {
        #[test]
        fn texts_are_read_back(
            values in proptest::collection::vec(proptest::option::of(0..WORDS.len()), 1..8),
            keys in proptest::collection::vec(proptest::option::of(0..100_i32), 1..200),
        ) {
            let texts: StringArray = values.iter().map(|at| at.map(|at| WORDS[at])).collect();
            let count = texts.len() as i32;
            let keys = keys.iter().map(|key| key.map(|key| key % count)).collect();
            check(Arc::new(texts), keys, true);
        }

        #[test]
        fn lists_are_read_back(
            values in proptest::collection::vec(proptest::option::of(proptest::collection::vec(0..WORDS.len(), 0..4)), 1..8),
            keys in proptest::collection::vec(proptest::option::of(0..100_i32), 1..200),
        ) {
            let words = |list: &Option<Vec<usize>>| Some(list.as_ref()?.iter().map(|at| WORDS[*at]).collect());
            let values: Vec<Option<Vec<&str>>> = values.iter().map(words).collect();
            let count = values.len() as i32;
            let keys = keys.iter().map(|key| key.map(|key| key % count)).collect();
            check(lists(&values), keys, true);
        }
    }

    /// Columns that are never null, and more rows than a page has.
    #[test]
    fn many_rows_of_required_columns_are_read_back() {
        let rows = PAGE_ROWS_MAX as i32 * 2 + 77;
        let texts: ArrayRef = Arc::new(StringArray::from(WORDS.to_vec()));
        let keys = || (0..rows).map(|row| Some(row * row % 7 % 5));
        check(Arc::clone(&texts), keys().collect(), false).unwrap();
        check(texts, (0..rows).map(|_| Some(2)).collect(), false).unwrap();
        let values = [vec!["a"], vec![], vec!["b", "a", "b"], vec![""], vec!["a"]];
        let values = lists(&values.map(Some));
        check(Arc::clone(&values), keys().collect(), false).unwrap();
        check(values, keys().collect(), true).unwrap();
    }

    /// Where nearly each row has a value of its own, or none has any, or they are too many bytes, the library writes the column.
    #[test]
    fn what_is_no_dictionary_is_left_to_the_library() {
        let many: StringArray = (0..1000).map(|n| Some(format!("text {n}"))).collect();
        let column = |texts: StringArray, keys: Int32Array| check(Arc::new(texts), keys, true);
        assert_eq!(column(many.clone(), (0..1000).map(Some).collect()), None);
        let few = |keys: i32| (0..4000).map(|n| Some(n % keys)).collect();
        assert_eq!(column(many, few(100)), Some(()));
        let nothing = StringArray::from(vec![None::<&str>]);
        assert_eq!(column(nothing, few(1)), None);
        let large = StringArray::from(vec!["x".repeat(DICTIONARY_BYTES_MAX)]);
        assert_eq!(column(large, few(1)), None);
    }
}
