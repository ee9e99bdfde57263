//! Thrift's compact protocol as Parquet uses it, without a schema: enough to change any field and write it back.

/// A value. Numbers keep their wire type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    Byte(u8),
    Int(u8, i64),
    Double([u8; 8]),
    Binary(Vec<u8>),
    List(u8, Vec<Value>),
    Struct(Vec<(i16, Value)>),
}

const STRUCT: u8 = 12;

/// Reads a struct; `None` if the bytes are invalid.
pub fn read(bytes: &[u8]) -> Option<Value> {
    Reader { bytes }.structure()
}

struct Reader<'b> {
    bytes: &'b [u8],
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken.to_vec())
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.unsigned()?;
        Some(((number >> 1) as i64) ^ -((number & 1) as i64))
    }

    fn value(&mut self, kind: u8) -> Option<Value> {
        Some(match kind {
            1 | 2 => Value::Bool(self.byte()? == 1),
            3 => Value::Byte(self.byte()?),
            4..=6 => Value::Int(kind, self.signed()?),
            7 => Value::Double(self.take(8)?.try_into().ok()?),
            8 => {
                let length = self.unsigned()? as usize;
                Value::Binary(self.take(length)?)
            }
            9 | 10 => {
                let head = self.byte()?;
                let length = if head >> 4 == 15 { self.unsigned()? } else { u64::from(head >> 4) };
                let items = (0..length).map(|_| self.value(head & 15)).collect::<Option<Vec<_>>>()?;
                Value::List(head & 15, items)
            }
            STRUCT => self.structure()?,
            _ => return None,
        })
    }

    fn structure(&mut self) -> Option<Value> {
        let mut fields = Vec::new();
        let mut last = 0i16;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(Value::Struct(fields));
            }
            last = if head >> 4 == 0 { self.signed()? as i16 } else { last.checked_add(i16::from(head >> 4))? };
            let value = match head & 15 {
                1 => Value::Bool(true),
                2 => Value::Bool(false),
                kind => self.value(kind)?,
            };
            fields.push((last, value));
        }
    }
}

fn unsigned(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number as u8) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn signed(number: i64, out: &mut Vec<u8>) {
    unsigned(((number << 1) ^ (number >> 63)) as u64, out);
}

impl Value {
    fn kind(&self) -> u8 {
        match self {
            Value::Bool(value) => 2 - u8::from(*value),
            Value::Byte(_) => 3,
            Value::Int(kind, _) => *kind,
            Value::Double(_) => 7,
            Value::Binary(_) => 8,
            Value::List(..) => 9,
            Value::Struct(_) => STRUCT,
        }
    }

    /// Writes the value.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::Bool(value) => out.push(2 - u8::from(*value)),
            Value::Byte(byte) => out.push(*byte),
            Value::Int(_, number) => signed(*number, out),
            Value::Double(bytes) => out.extend(bytes),
            Value::Binary(bytes) => {
                unsigned(bytes.len() as u64, out);
                out.extend(bytes);
            }
            Value::List(kind, items) => {
                if items.len() < 15 {
                    out.push(((items.len() as u8) << 4) | kind);
                } else {
                    out.push(0xf0 | kind);
                    unsigned(items.len() as u64, out);
                }
                items.iter().for_each(|item| item.write(out));
            }
            Value::Struct(fields) => {
                let mut last = 0;
                for (field, value) in fields {
                    let step = i32::from(*field) - last;
                    last = i32::from(*field);
                    if (1..16).contains(&step) {
                        out.push(((step as u8) << 4) | value.kind());
                    } else {
                        out.push(value.kind());
                        signed(i64::from(*field), out);
                    }
                    if !matches!(value, Value::Bool(_)) {
                        value.write(out);
                    }
                }
                out.push(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_they_were_read() {
        let inner = Value::Struct(vec![(1, Value::Int(5, -3)), (40, Value::Bool(true)), (41, Value::Bool(false))]);
        let list = Value::List(STRUCT, vec![inner; 20]);
        let value = Value::Struct(vec![(2, list), (3, Value::Int(6, i64::MIN)), (4, Value::Binary(b"abc".to_vec()))]);
        assert_eq!(read(&value.bytes()).unwrap(), value);
        assert_eq!(value.count(), 1 + 1 + 20 * 4 + 2);
        let mut value = value;
        let last = value.count() - 1;
        assert_eq!(value.nth(last).unwrap(), &Value::Binary(b"abc".to_vec()));
        assert_eq!(value.nth(last + 1), None);
    }
}
