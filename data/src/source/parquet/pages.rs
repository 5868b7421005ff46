//! What the pages of a column announce, checked before memory is taken for it.
use parquet::{
    basic::Type as Physical,
    column::{
        page::{Page, PageMetadata, PageReader},
        reader::{ColumnReader, get_column_reader},
    },
    errors::{ParquetError, Result},
    file::{metadata::ColumnChunkMetaData, reader::RowGroupReader},
};
use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};

/// A page may announce so many bytes after decompression, and so many times its own.
const LARGE: u64 = 1 << 26;
const RATIO: u64 = 1 << 10;

/// The first page of a column chunk that announces more bytes than it can have after decompression: what it announces. The
/// decoder takes memory for all of them first. Of headers that cannot be read nothing is said here.
pub(super) fn too_large(file: &Path, chunk: &ColumnChunkMetaData) -> Option<String> {
    let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let (start, length) = (u64::try_from(start).ok()?, u64::try_from(chunk.compressed_size()).ok()?);
    let mut header = Header { file: BufReader::new(File::open(file).ok()?), read: 0 };
    header.file.seek(SeekFrom::Start(start)).ok()?;
    let mut at = 0;
    while at < length {
        header.read = 0;
        let [unpacked, packed] = header.sizes()?;
        if unpacked > LARGE.saturating_add(packed.saturating_mul(RATIO)) {
            return Some(format!("a page of {packed} bytes announces {unpacked} after decompression"));
        }
        header.file.seek_relative(i64::try_from(packed).ok()?).ok()?;
        at = at.checked_add(header.read)?.checked_add(packed)?;
    }
    None
}

/// The header of a page in Thrift's compact protocol.
struct Header {
    file: BufReader<File>,
    /// Bytes that were read of it.
    read: u64,
}

impl Header {
    /// The bytes of a page after decompression and before, its second and third field.
    fn sizes(&mut self) -> Option<[u64; 2]> {
        let mut sizes = [None; 2];
        let mut id = 0;
        while let Some((next, kind)) = self.field(id)? {
            id = next;
            match (id, kind) {
                (2 | 3, 5) => sizes[id as usize - 2] = Some(u64::try_from(self.zigzag()?).ok()?),
                _ => self.skip(kind, 0)?,
            }
        }
        Some([sizes[0]?, sizes[1]?])
    }

    /// The number and type of the next field of a structure; `None` inside at its end.
    fn field(&mut self, last: i64) -> Option<Option<(i64, u8)>> {
        let byte = self.byte()?;
        Some(match (byte >> 4, byte & 15) {
            (_, 0) => None,
            (0, kind) => Some((self.zigzag()?, kind)),
            (step, kind) => Some((last.checked_add(i64::from(step))?, kind)),
        })
    }

    /// Skips a value.
    fn skip(&mut self, kind: u8, depth: u8) -> Option<()> {
        const DEEP: u8 = 8;
        match kind {
            // The value of a boolean field is its type.
            1 | 2 => {}
            3 => drop(self.byte()?),
            4..=6 => drop(self.varint()?),
            7 => self.pass(8)?,
            8 => {
                let length = self.varint()?;
                self.pass(length)?;
            }
            12 if depth < DEEP => {
                let mut id = 0;
                while let Some((next, kind)) = self.field(id)? {
                    id = next;
                    self.skip(kind, depth + 1)?;
                }
            }
            // Lists and maps, which headers of pages have not.
            _ => return None,
        }
        Some(())
    }

    fn pass(&mut self, length: u64) -> Option<()> {
        self.read = self.read.checked_add(length)?;
        self.file.seek_relative(i64::try_from(length).ok()?).ok()
    }
    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.file.read_exact(&mut byte).ok()?;
        self.read += 1;
        Some(byte[0])
    }
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Some(value);
            }
        }
        None
    }
    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

/// The reader of a column, which refuses a dictionary page that announces more values than its bytes can hold: the decoder
/// takes memory for all of them first.
pub(super) fn column(group: &dyn RowGroupReader, at: usize) -> Result<ColumnReader> {
    let described = group.metadata().schema_descr().column(at);
    let pages = Pages { inner: group.get_column_page_reader(at)?, kind: described.physical_type() };
    Ok(get_column_reader(described, Box::new(pages)))
}

struct Pages {
    inner: Box<dyn PageReader>,
    kind: Physical,
}

impl Pages {
    fn checked(&self, page: Page) -> Result<Page> {
        let Page::DictionaryPage { buf, num_values, .. } = &page else { return Ok(page) };
        // A text has its length before it.
        let most = match self.kind {
            Physical::BOOLEAN => buf.len() * 8,
            Physical::INT32 | Physical::FLOAT | Physical::BYTE_ARRAY => buf.len() / 4,
            Physical::INT64 | Physical::DOUBLE => buf.len() / 8,
            Physical::INT96 | Physical::FIXED_LEN_BYTE_ARRAY => buf.len(),
        };
        match *num_values as usize > most {
            false => Ok(page),
            true => {
                Err(ParquetError::General(format!("a dictionary announces {num_values} values in {} bytes", buf.len())))
            }
        }
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;
    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.inner.get_next_page()?.map(|page| self.checked(page)).transpose()
    }
    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }
    fn skip_next_page(&mut self) -> Result<()> {
        self.inner.skip_next_page()
    }
    fn supports_deferred_dictionary(&self) -> bool {
        self.inner.supports_deferred_dictionary()
    }
    fn take_deferred_dictionary(&mut self) -> Result<Option<Page>> {
        self.inner.take_deferred_dictionary()?.map(|page| self.checked(page)).transpose()
    }
    fn at_record_boundary(&mut self) -> Result<bool> {
        self.inner.at_record_boundary()
    }
}
