//! A column of few values as a Parquet column chunk: a dictionary page, and data pages that say which value each row has. The Parquet
//! library looks every row's value up again, which for a row of evidence costs more than all else; here a row costs what its key does, and
//! columns that have their keys in common share their pages where these come to the same.

use std::collections::HashMap;
use std::ops::Range;

use arrow::array::{Array, AsArray as _, DictionaryArray, Int32Array, ListArray, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::Int32Type;
use foldhash::fast::RandomState;
use parquet::basic::Encoding;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use crate::ledger::canonical::are_same;
use crate::seal::chunk::{Body, Chunk, DataPage, Dictionary, PAGE_ROWS_MAX, Zstd};
use crate::seal::hybrid;

/// With more values than this for each row of a chunk, a dictionary is no gain.
const VALUES_PER_ROW_MAX: f64 = 0.25;
/// Values of a chunk, and their bytes: what a reader has to keep.
const DICTIONARY_VALUES_MAX: usize = 16_384;
const DICTIONARY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Least and greatest values longer than this are not named: they would be longer than all else of the chunk.
const STATISTIC_BYTES_MAX: usize = 64;

/// Data pages of the columns of a row group: one for all of them that say the same of its rows.
#[derive(Default)]
pub(super) struct Pages(Vec<Said>);

/// What a column's pages say, and the pages.
struct Said {
    keys: Int32Array,
    deepest: u32,
    is_list: bool,
    cells: Vec<Cell>,
    items: Vec<u32>,
    values: usize,
    pages: Vec<DataPage>,
}

/// What the rows with one key add to the chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    pages: &mut Pages,
    zstd: &mut Zstd,
) -> Result<Option<Chunk>> {
    let Some(values) = Values::of(column) else {
        return Ok(None);
    };
    let dictionary = values.dictionary_page();
    let statistics = values.statistics();
    let pages = pages.of(column.keys(), leaf, values, zstd)?;
    Chunk::new(
        leaf,
        column.len(),
        Some(dictionary),
        pages,
        zstd,
        statistics,
    )
    .map(Some)
}

impl Pages {
    /// The data pages of a column.
    fn of(
        &mut self,
        keys: &Int32Array,
        leaf: &ColumnDescPtr,
        values: Values<'_>,
        zstd: &mut Zstd,
    ) -> Result<Vec<DataPage>> {
        let deepest = u32::try_from(leaf.max_def_level()).unwrap_or_default();
        let is_the_same = |said: &&Said| {
            are_same(&said.keys, keys)
                && said.deepest == deepest
                && said.is_list == values.is_list
                && said.values == values.dictionary.len()
                && said.cells == values.cells
                && said.items == values.items
        };
        if let Some(said) = self.0.iter().find(is_the_same) {
            return Ok(said.pages.clone());
        }
        let pages: Result<Vec<_>> = (0..keys.len())
            .step_by(PAGE_ROWS_MAX)
            .map(|start| {
                let rows = keys.slice(start, PAGE_ROWS_MAX.min(keys.len() - start));
                values.body(&rows, deepest).compressed(zstd)
            })
            .collect();
        let pages = pages?;
        self.0.push(Said {
            keys: keys.clone(),
            deepest,
            is_list: values.is_list,
            values: values.dictionary.len(),
            cells: values.cells,
            items: values.items,
            pages: pages.clone(),
        });
        Ok(pages)
    }
}

impl<'a> Values<'a> {
    /// `None` where a dictionary is no gain.
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
        Some(values)
    }

    /// Without a value in it, where no row has one: that is what a reader of dictionaries is quickest with.
    fn dictionary_page(&self) -> Dictionary {
        let mut bytes = Vec::with_capacity(self.dictionary_bytes);
        for text in &self.dictionary {
            // Bounded by what a dictionary may hold.
            bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        Dictionary {
            bytes,
            values: self.dictionary.len(),
        }
    }

    /// The page of these rows.
    fn body(&self, keys: &Int32Array, deepest: u32) -> Body {
        let is_single = |cell: &Cell| match cell {
            Cell::Null => true,
            Cell::Texts(start, end) => start + 1 == *end,
        };
        let levels = match self.cells.iter().all(is_single) {
            true => self.levels_of_single(keys, deepest),
            false => self.levels_of_lists(keys, deepest),
        };
        let (mut repetition, mut definition) = (Vec::new(), Vec::new());
        if self.is_list {
            levels.repetition.encode(1, &mut repetition);
        }
        if deepest > 0 {
            let width = hybrid::width(deepest);
            levels.definition.encode(width, &mut definition);
        }
        let width = hybrid::width((self.dictionary.len() as u32).saturating_sub(1));
        let mut places = vec![width];
        hybrid::encode(&levels.places, width, &mut places);
        Body {
            repetition,
            definition,
            values: places,
            encoding: Encoding::RLE_DICTIONARY,
            entries: levels.entries,
            nulls: levels.entries - levels.places.len(),
            rows: keys.len(),
        }
    }

    /// Levels and values of rows of which none has more than one value, nor an empty list.
    fn levels_of_single(&self, keys: &Int32Array, deepest: u32) -> Levels {
        let place = |cell: &Cell| match cell {
            Cell::Null => None,
            Cell::Texts(start, _) => self.items.get(*start).copied(),
        };
        let by_key: Vec<Option<u32>> = self.cells.iter().map(place).collect();
        let of = |key: Option<i32>| *by_key.get(usize::try_from(key?).ok()?)?;
        let mut places = Vec::with_capacity(keys.len());
        places.extend(keys.iter().filter_map(of));
        let definition = match places.len() == keys.len() {
            true => Numbers::Run(deepest, keys.len()),
            false => {
                let level = |key| of(key).map_or(0, |_| deepest);
                Numbers::Each(keys.iter().map(level).collect())
            }
        };
        Levels {
            repetition: Numbers::Run(0, keys.len()),
            definition,
            places,
            entries: keys.len(),
        }
    }

    /// Levels and values of rows, as Parquet nests them: `deepest` is the level of a value that is there; of an empty list one less, of
    /// nothing 0.
    fn levels_of_lists(&self, keys: &Int32Array, deepest: u32) -> Levels {
        let (mut repetition, mut definition) = (Vec::new(), Vec::new());
        let mut places = Vec::new();
        for key in keys {
            let key = key.and_then(|key| usize::try_from(key).ok());
            let cell = key.and_then(|key| self.cells.get(key));
            repetition.push(0);
            let Some(Cell::Texts(start, end)) = cell.copied() else {
                definition.push(0);
                continue;
            };
            let items = self.items.get(start..end).unwrap_or_default();
            definition.push(match items {
                [] => deepest.saturating_sub(1),
                _ => deepest,
            });
            for _ in items.iter().skip(1) {
                repetition.push(1);
                definition.push(deepest);
            }
            places.extend_from_slice(items);
        }
        Levels {
            entries: definition.len(),
            repetition: Numbers::Each(repetition),
            definition: Numbers::Each(definition),
            places,
        }
    }

    /// Of how many nulls there are.
    fn statistics(&self) -> impl FnOnce(u64) -> Statistics + use<> {
        let bounds = (self.dictionary.iter().min(), self.dictionary.iter().max());
        let short = |text: &&&str| text.len() <= STATISTIC_BYTES_MAX;
        let (least, greatest) = match bounds {
            (Some(least), Some(greatest)) if short(&least) && short(&greatest) => (
                Some(ByteArray::from(*least)),
                Some(ByteArray::from(*greatest)),
            ),
            _ => (None, None),
        };
        move |nulls| Statistics::byte_array(least, greatest, None, Some(nulls), false)
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

struct Levels {
    repetition: Numbers,
    definition: Numbers,
    places: Vec<u32>,
    /// Values and what has none.
    entries: usize,
}

enum Numbers {
    Each(Vec<u32>),
    /// One, so many times.
    Run(u32, usize),
}

impl Numbers {
    fn encode(&self, width: u8, out: &mut Vec<u8>) {
        match self {
            Self::Each(numbers) => hybrid::encode(numbers, width, out),
            Self::Run(number, count) => hybrid::run(*number, *count, width, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array, ListBuilder, RecordBatch, StringBuilder};
    use arrow::compute::{concat_batches, take};
    use arrow::datatypes::{Field, Schema};
    use bytes::Bytes;
    use parquet::arrow::ArrowSchemaConverter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::file::writer::SerializedFileWriter;
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::item_field;
    use crate::seal::object::ZSTD_LEVEL;

    /// What is read back is what each row had. `None` where the column isn't written by this module.
    fn check(values: ArrayRef, keys: Int32Array, nullable: bool) -> Option<()> {
        check_beside(&mut Pages::default(), values, keys, nullable)
    }

    /// The same beside columns that were written before.
    fn check_beside(
        pages: &mut Pages,
        values: ArrayRef,
        keys: Int32Array,
        nullable: bool,
    ) -> Option<()> {
        let column = DictionaryArray::<Int32Type>::new(keys, values);
        let kind = column.values().data_type().clone();
        let schema = Arc::new(Schema::new(vec![Field::new("c", kind, nullable)]));
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema).unwrap();
        let leaf = parquet_schema.column(0);
        let mut zstd = Zstd::new(ZSTD_LEVEL).unwrap();
        let chunk = chunk(&column, &leaf, pages, &mut zstd).unwrap()?;
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

    /// Columns with the same keys share pages only where these say the same: each is read back as it is, whichever were written before.
    #[test]
    fn columns_of_the_same_keys_are_read_back() {
        let keys: Int32Array = (0..50).map(|row| Some(row % 4)).collect();
        let texts = |of: [Option<&str>; 4]| Arc::new(StringArray::from(of.to_vec())) as ArrayRef;
        let columns = [
            texts([Some("a"), Some("b"), Some("c"), Some("d")]),
            texts([Some("e"), Some("f"), Some("g"), Some("h")]),
            texts([Some("a"), Some("a"), Some("a"), Some("a")]),
            texts([Some("b"), Some("b"), Some("b"), Some("b")]),
            texts([Some("b"), None, Some("b"), Some("b")]),
            texts([Some("a"), Some("b"), Some("a"), Some("b")]),
            texts([None, None, None, None]),
            lists(&[
                Some(vec!["a"]),
                Some(vec!["b"]),
                Some(vec!["c"]),
                Some(vec!["d"]),
            ]),
            lists(&[Some(vec!["a", "b"]), Some(vec![]), None, Some(vec!["b"])]),
            lists(&[Some(vec![]), Some(vec![]), Some(vec![]), Some(vec![])]),
            lists(&[None, None, None, None]),
        ];
        let mut pages = Pages::default();
        for column in columns.iter().chain(&columns) {
            check_beside(&mut pages, Arc::clone(column), keys.clone(), true).unwrap();
        }
        assert_eq!(pages.0.len(), columns.len() - 2, "two pairs say the same");
        // Equal keys that are other keys.
        let others: Int32Array = (0..50).map(|row| Some(row % 4)).collect();
        check_beside(&mut pages, Arc::clone(&columns[0]), others, true).unwrap();
    }

    /// Where nearly each row has a value of its own, or they are too many bytes, the library writes the column.
    #[test]
    fn what_is_no_dictionary_is_left_to_the_library() {
        let many: StringArray = (0..1000).map(|n| Some(format!("text {n}"))).collect();
        let column = |texts: StringArray, keys: Int32Array| check(Arc::new(texts), keys, true);
        assert_eq!(column(many.clone(), (0..1000).map(Some).collect()), None);
        let few = |keys: i32| (0..4000).map(|n| Some(n % keys)).collect();
        assert_eq!(column(many, few(100)), Some(()));
        let nothing = StringArray::from(vec![None::<&str>]);
        assert_eq!(
            column(nothing, few(1)),
            Some(()),
            "no dictionary, but no value either"
        );
        let large = StringArray::from(vec!["x".repeat(DICTIONARY_BYTES_MAX)]);
        assert_eq!(column(large, few(1)), None);
    }
}
