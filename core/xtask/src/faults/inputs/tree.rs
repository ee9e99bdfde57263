//! Ways to the values inside of a value of Thrift.

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

    /// How many values there are in it, itself counted.
    pub fn count(&self) -> u64 {
        1 + match self {
            Value::List(_, items) => items.iter().map(Value::count).sum(),
            Value::Struct(fields) => fields.iter().map(|(_, value)| value.count()).sum(),
            _ => 0,
        }
    }

    /// The value of a number, in the order in which they are written.
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
