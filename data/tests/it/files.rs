//! Small files written by the tests.
use flate2::{Compression, write::GzEncoder};
use parquet::{
    data_type::{ByteArray, ByteArrayType, Int64Type},
    file::{metadata::KeyValue, properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use std::{
    fs::File,
    io::{Cursor, Write},
    path::Path,
    sync::Arc,
};
use tweedie_data::image::{DynamicImage, ImageFormat};

/// An IDX file's bytes.
pub fn idx(sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(data);
    bytes
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
    encoded(image, ImageFormat::Png)
}

pub fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A Parquet file of pictures (or nulls) and labels, with the names of the classes in its metadata.
pub fn table(path: &Path, rows: &[(Option<Vec<u8>>, i64)], note: Option<&str>) {
    let schema = "message set { optional group image { optional binary bytes; optional binary path (STRING); }
                  optional int64 label; optional binary text (STRING); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let note = note.map(|note| vec![KeyValue::new("huggingface".to_string(), note.to_string())]);
    let properties = Arc::new(WriterProperties::builder().set_key_value_metadata(note).build());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
    for rows in rows.chunks(2) {
        let mut group = writer.next_row_group().unwrap();
        let pictures: Vec<ByteArray> =
            rows.iter().filter_map(|(picture, _)| picture.clone().map(ByteArray::from)).collect();
        let levels: Vec<i16> = rows.iter().map(|(picture, _)| if picture.is_some() { 2 } else { 1 }).collect();
        let labels: Vec<i64> = rows.iter().map(|&(_, label)| label).collect();
        let (ones, zeros) = (vec![1i16; rows.len()], vec![0i16; rows.len()]);
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&pictures, Some(&levels), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&[], Some(&ones), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&labels, Some(&ones), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&[], Some(&zeros), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}
