//! One object: Parquet, a row group for each batch. Columns are what the dataset documents, whatever batches have as dictionaries. The
//! same batches give the same bytes.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::take;
use arrow::datatypes::{Int32Type, Schema, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::SerializedFileWriter;

use crate::dataset::{Dataset, SCHEMA_VERSION};
use crate::seal::chunk::{Chunk, Zstd};
use crate::seal::keyed::{self, Pages};
use crate::seal::plain;

/// Bytes in a data page, about: below 1 MB.
pub(super) const PAGE_BYTES_MAX: usize = 512 * 1024;
/// How hard zstd tries: what higher levels save of rows of this kind is little, and costs as much again.
pub(super) const ZSTD_LEVEL: i32 = 1;

/// Texts of which hardly two are the same where a dictionary is no gain: the least and greatest of them help nobody either.
const UNIQUE_TEXTS: [&str; 6] = [
    "statement_id",
    "sql",
    "sql_digest",
    "facts_digest",
    "parameters_digest",
    "result_digest",
];

/// An object in the making.
pub(crate) struct ObjectWriter {
    schema: SchemaRef,
    file: SerializedFileWriter<Vec<u8>>,
    zstd: Zstd,
}

impl ObjectWriter {
    /// Begins an object of this dataset.
    pub(crate) fn new(dataset: Dataset) -> Result<Self> {
        let schema = dataset.schema();
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema)?;
        let mut properties = properties(dataset)?.build();
        add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
        let file = SerializedFileWriter::new(
            Vec::new(),
            parquet_schema.root_schema_ptr(),
            Arc::new(properties),
        )?;
        Ok(Self {
            schema,
            file,
            zstd: Zstd::new(ZSTD_LEVEL)?,
        })
    }

    /// Writes a row group.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let leaves = self.file.schema_descr().columns().iter();
        let columns = self.schema.fields().iter().zip(batch.columns());
        let mut pages = Pages::default();
        let chunks = leaves.zip(columns).map(|(leaf, (field, column))| {
            let is_unique = UNIQUE_TEXTS.contains(&field.name().as_str());
            let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() else {
                return plain::chunk(column, leaf, is_unique, &mut self.zstd);
            };
            match keyed::chunk(dictionary, leaf, &mut pages, &mut self.zstd)? {
                None if is_unique => plain::chunk(&whole(column)?, leaf, true, &mut self.zstd),
                chunk => Ok(chunk),
            }
        });
        let chunks = chunks.collect::<Result<Vec<_>>>()?;
        let mut writers = self.writers(&chunks)?.into_iter();
        let mut row_group = self.file.next_row_group()?;
        let columns = self.schema.fields().iter().zip(batch.columns());
        for ((field, column), chunk) in columns.zip(chunks) {
            if let Some(chunk) = chunk {
                chunk.append_to(&mut row_group)?;
                continue;
            }
            let mut writer = writers
                .next()
                .ok_or_else(|| ParquetError::General(format!("{} has no writer", field.name())))?;
            for leaf in compute_leaves(field, &whole(column)?)? {
                writer.write(&leaf)?;
            }
            writer.close()?.append_to_row_group(&mut row_group)?;
        }
        row_group.close()?;
        Ok(())
    }

    /// Writers of the columns that are no chunk yet. The library makes those of all columns of a file, each with its own compressor, which
    /// for a small row group takes longer than to write it: the file that it is shown has no others.
    fn writers(&self, chunks: &[Option<Chunk>]) -> Result<Vec<ArrowColumnWriter>> {
        if chunks.iter().all(Option::is_some) {
            return Ok(Vec::new());
        }
        let fields = self.schema.fields().iter().zip(chunks);
        let plain = fields.filter(|(_, chunk)| chunk.is_none());
        let plain = plain.map(|(field, _)| Arc::clone(field));
        let schema = Arc::new(Schema::new(plain.collect::<Vec<_>>()));
        let root = ArrowSchemaConverter::new()
            .convert(&schema)?
            .root_schema_ptr();
        let properties = Arc::clone(self.file.properties());
        let file = SerializedFileWriter::new(std::io::sink(), root, properties)?;
        ArrowRowGroupWriterFactory::new(&file, schema)
            .create_column_writers(self.file.flushed_row_groups().len())
    }

    /// The object's bytes.
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        self.file.into_inner()
    }
}

/// The column as if each row had its value.
fn whole(column: &ArrayRef) -> Result<ArrayRef> {
    let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() else {
        return Ok(Arc::clone(column));
    };
    take(dictionary.values(), dictionary.keys(), None)
        .map_err(|error| ParquetError::External(Box::new(error)))
}

fn properties(dataset: Dataset) -> Result<WriterPropertiesBuilder> {
    let metadata = vec![
        KeyValue::new("provost.dataset".to_owned(), dataset.name().to_owned()),
        KeyValue::new(
            "provost.schema_version".to_owned(),
            SCHEMA_VERSION.to_string(),
        ),
    ];
    Ok(WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_created_by("provost".to_owned())
        .set_data_page_size_limit(PAGE_BYTES_MAX)
        .set_key_value_metadata(Some(metadata))
        .set_max_row_group_row_count(None)
        .set_offset_index_disabled(true)
        .set_statistics_enabled(EnabledStatistics::Chunk))
}
