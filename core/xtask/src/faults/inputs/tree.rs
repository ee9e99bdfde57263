//! Access to nested Thrift values.

use super::thrift::Value;

impl Value {
    /// The field of a struct.
    pub fn field(&mut self, number: i16) -> Option<&mut Value> {
        match self {
            Value::Struct(fields) => fields.iter_mut().find(|(field, _)| *field == number).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn items(&mut self) -> &mut [Value] {
        match self {
            Value::List(_, items) => items,
            _ => &mut [],
        }
    }

    /// Number of values in it, including itself.
    pub fn count(&self) -> u64 {
        1 + match self {
            Value::List(_, items) => items.iter().map(Value::count).sum(),
            Value::Struct(fields) => fields.iter().map(|(_, value)| value.count()).sum(),
            _ => 0,
        }
    }

    /// The value of this number, in the order of writing.
    pub fn nth(&mut self, mut number: u64) -> Option<&mut Value> {
        if number == 0 {
            return Some(self);
        }
        number -= 1;
        let inside: Vec<&mut Value> = match self {
            Value::List(_, items) => items.iter_mut().collect(),
            Value::Struct(fields) => fields.iter_mut().map(|(_, value)| value).collect(),
            _ => Vec::new(),
        };
        for value in inside {
            let count = value.count();
            if number < count {
                return value.nth(number);
            }
            number -= count;
        }
        None
    }
}
