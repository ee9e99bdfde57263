//! A Parquet writer without checks, for invalid files.

use std::io::Write;

/// A value of Thrift's compact protocol.
#[derive(Clone, Debug)]
pub enum Thrift {
    Bool(bool),
    I16(i64),
    I32(i64),
    I64(i64),
    Binary(Vec<u8>),
    List(u8, Vec<Thrift>),
    Struct(Vec<(i16, Thrift)>),
    /// Anything: its kind and its bytes.
    Raw(u8, Vec<u8>),
}

use Thrift::{Binary, I32, I64, List, Struct};

pub const STRUCT: u8 = 12;

pub fn unsigned(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 127 {
        bytes.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn signed(value: i64) -> Vec<u8> {
    unsigned(((value << 1) ^ (value >> 63)) as u64)
}

impl Thrift {
    pub fn kind(&self) -> u8 {
        match self {
            Thrift::Bool(true) => 1,
            Thrift::Bool(false) => 2,
            Thrift::I16(_) => 4,
            I32(_) => 5,
            I64(_) => 6,
            Binary(_) => 8,
            List(..) => 9,
            Struct(_) => STRUCT,
            Thrift::Raw(kind, _) => *kind,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Thrift::Bool(_) => Vec::new(),
            Thrift::I16(value) | I32(value) | I64(value) => signed(*value),
            Binary(bytes) => [unsigned(bytes.len() as u64), bytes.clone()].concat(),
            List(kind, items) => {
                let mut bytes = vec![0xf0 | kind];
                bytes.extend(unsigned(items.len() as u64));
                items.iter().for_each(|item| bytes.extend(item.bytes()));
                bytes
            }
            Struct(fields) => {
                let mut bytes = Vec::new();
                for (id, value) in fields {
                    bytes.push(value.kind());
                    bytes.extend(signed((*id).into()));
                    bytes.extend(value.bytes());
                }
                bytes.push(0);
                bytes
            }
            Thrift::Raw(_, bytes) => bytes.clone(),
        }
    }

    /// The field `id` of a struct, or the item `id` of a list.
    pub fn at(&mut self, id: i16) -> &mut Thrift {
        match self {
            Struct(fields) => &mut fields.iter_mut().find(|(found, _)| *found == id).unwrap().1,
            List(_, items) => &mut items[id as usize],
            other => panic!("{other:?} has no parts"),
        }
    }

    /// Sets a field, which may be new.
    pub fn set(&mut self, id: i16, value: Thrift) {
        let Struct(fields) = self else { panic!("no struct") };
        fields.retain(|(found, _)| *found != id);
        fields.push((id, value));
        fields.sort_by_key(|(id, _)| *id);
    }

    /// The part at the end of a path.
    pub fn path(&mut self, path: &[i16]) -> &mut Thrift {
        path.iter().fold(self, |part, id| part.at(*id))
    }
}

/// Kinds of a column's values.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Bool = 0,
    I32 = 1,
    I64 = 2,
    Bytes = 6,
    Fixed = 7,
}

pub const PLAIN: i64 = 0;
pub const RLE: i64 = 3;
pub const DELTA: i64 = 5;
pub const DELTA_LENGTHS: i64 = 6;
pub const DELTA_BYTES: i64 = 7;
pub const DICTIONARY: i64 = 8;

/// A page: header and bytes.
#[derive(Clone, Debug)]
pub struct Page {
    pub head: Thrift,
    pub bytes: Vec<u8>,
}

impl Page {
    /// A data page of the first version.
    pub fn data(values: i64, encoding: i64, bytes: Vec<u8>) -> Page {
        let size = bytes.len() as i64;
        let own = Struct(vec![(1, I32(values)), (2, I32(encoding)), (3, I32(RLE)), (4, I32(RLE))]);
        Page { head: Struct(vec![(1, I32(0)), (2, I32(size)), (3, I32(size)), (5, own)]), bytes }
    }

    pub fn dictionary(values: i64, bytes: Vec<u8>) -> Page {
        let size = bytes.len() as i64;
        let own = Struct(vec![(1, I32(values)), (2, I32(PLAIN))]);
        Page { head: Struct(vec![(1, I32(2)), (2, I32(size)), (3, I32(size)), (7, own)]), bytes }
    }

    /// A data page of the second version; `levels` are the lengths of definition and repetition levels.
    pub fn second(values: i64, rows: i64, levels: [i64; 2], bytes: Vec<u8>) -> Page {
        let size = bytes.len() as i64;
        let own = Struct(vec![
            (1, I32(values)),
            (2, I32(0)),
            (3, I32(rows)),
            (4, I32(PLAIN)),
            (5, I32(levels[0])),
            (6, I32(levels[1])),
            (7, Thrift::Bool(true)),
        ]);
        Page { head: Struct(vec![(1, I32(3)), (2, I32(size)), (3, I32(size)), (8, own)]), bytes }
    }

    pub fn gzipped(mut self) -> Page {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&self.bytes).unwrap();
        self.bytes = packer.finish().unwrap();
        *self.head.at(3) = I32(self.bytes.len() as i64);
        self
    }

    /// Claims another unpacked size.
    pub fn claiming(mut self, bytes: i64) -> Page {
        *self.head.at(2) = I32(bytes);
        self
    }

    pub fn encoded(&self) -> Vec<u8> {
        [self.head.bytes(), self.bytes.clone()].concat()
    }
}

/// A column of one row group.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    /// Elements of the schema, in place of the single required one.
    pub schema: Option<Vec<Thrift>>,
    /// 0 none, 2 gzip.
    pub codec: i64,
    pub values: i64,
    pub pages: Vec<Page>,
}

impl Column {
    pub fn new(name: &str, kind: Kind, values: i64, pages: Vec<Page>) -> Column {
        Column { name: name.into(), kind, schema: None, codec: 0, values, pages }
    }

    pub fn gzip(mut self) -> Column {
        self.codec = 2;
        self
    }

    fn elements(&self) -> Vec<Thrift> {
        self.schema.clone().unwrap_or_else(|| vec![leaf(&self.name, self.kind, 0)])
    }
}

/// A schema element of a column; `repetition` 0 required, 1 optional, 2 repeated.
pub fn leaf(name: &str, kind: Kind, repetition: i64) -> Thrift {
    Struct(vec![(1, I32(kind as i64)), (3, I32(repetition)), (4, Binary(name.into()))])
}

/// A schema element of a group.
pub fn group(name: &str, repetition: i64, children: i64) -> Thrift {
    Struct(vec![(3, I32(repetition)), (4, Binary(name.into())), (5, I32(children))])
}

/// A file in progress: the bytes before the footer, and the footer, free to change.
#[derive(Clone, Debug)]
pub struct Raw {
    pub body: Vec<u8>,
    pub footer: Thrift,
}

/// Paths within the footer.
pub mod place {
    pub const GROUP_ROWS: &[i16] = &[4, 0, 3];
    pub const COLUMN: &[i16] = &[4, 0, 1, 0, 3];
    pub const CODEC: &[i16] = &[4, 0, 1, 0, 3, 4];
    pub const VALUES: &[i16] = &[4, 0, 1, 0, 3, 5];
    pub const UNPACKED: &[i16] = &[4, 0, 1, 0, 3, 6];
    pub const PACKED: &[i16] = &[4, 0, 1, 0, 3, 7];
    pub const DATA: &[i16] = &[4, 0, 1, 0, 3, 9];
}

impl Raw {
    /// A file of one row group.
    pub fn new(rows: i64, columns: &[Column]) -> Raw {
        let mut body = b"PAR1".to_vec();
        let mut schema = vec![group("schema", 0, columns.len() as i64)];
        let mut chunks = Vec::new();
        for column in columns {
            schema.extend(column.elements());
            let start = body.len() as i64;
            let mut unpacked = 0;
            let mut data = None;
            for page in &column.pages {
                let mut page = page.clone();
                let is_dictionary = matches!(page.head.at(1), I32(2));
                if !is_dictionary {
                    data = data.or(Some(body.len() as i64));
                }
                if let I32(size) = page.head.at(2) {
                    unpacked += *size + page.head.bytes().len() as i64;
                }
                body.extend(page.encoded());
            }
            let data = data.unwrap_or(start);
            let mut meta = Struct(vec![
                (1, I32(column.kind as i64)),
                (2, List(5, vec![I32(0), I32(3)])),
                (3, List(8, vec![Binary(column.name.clone().into())])),
                (4, I32(column.codec)),
                (5, I64(column.values)),
                (6, I64(unpacked)),
                (7, I64(body.len() as i64 - start)),
                (9, I64(data)),
            ]);
            if data > start {
                meta.set(11, I64(start));
            }
            chunks.push(Struct(vec![(2, I64(start)), (3, meta)]));
        }
        let row_group = Struct(vec![(1, List(STRUCT, chunks)), (2, I64(100)), (3, I64(rows))]);
        let footer = Struct(vec![
            (1, I32(1)),
            (2, List(STRUCT, schema)),
            (3, I64(rows)),
            (4, List(STRUCT, vec![row_group])),
            (6, Binary(b"raw".to_vec())),
        ]);
        Raw { body, footer }
    }

    /// With one part of the footer changed.
    pub fn with(mut self, path: &[i16], value: Thrift) -> Raw {
        let (last, before) = path.split_last().unwrap();
        let parent = self.footer.path(before);
        match parent {
            Struct(_) => parent.set(*last, value),
            other => *other.at(*last) = value,
        }
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let footer = self.footer.bytes();
        let length = (footer.len() as u32).to_le_bytes();
        [self.body.as_slice(), &footer, &length, b"PAR1"].concat()
    }
}

/// Consecutive values, each preceded by its length.
pub fn plain(values: &[Vec<u8>]) -> Vec<u8> {
    values.iter().flat_map(|value| [&(value.len() as u32).to_le_bytes(), value.as_slice()].concat()).collect()
}

/// A run of one value, as packed for levels and indices; `width` bytes hold the value.
pub fn run(count: u64, value: u64, width: usize) -> Vec<u8> {
    [unsigned(count << 1), value.to_le_bytes()[..width].to_vec()].concat()
}

/// Bytes, preceded by their length in four bytes, as levels in pages.
pub fn sized(bytes: Vec<u8>) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes(), bytes.as_slice()].concat()
}
