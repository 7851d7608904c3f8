//! As much of protobuf as it takes to look into an ONNX file.

use std::ops::Range;

/// A protobuf value.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    Number(u64),
    Four(u32),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// Empty where the value is a number.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Value::Bytes(bytes) => bytes,
            _ => &[],
        }
    }
}

/// The fields of a protobuf message, by number. Ends at the first thing that is none.
#[derive(Clone, Copy)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Four(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

/// Where the numbers of a graph's tensor called `name` stand in the bytes of an ONNX model, little endian. A walk over the graph, which
/// skips what it does not look for.
pub fn tensor(model: &[u8], name: &str) -> Option<Range<usize>> {
    // ModelProto.graph = 7, GraphProto.initializer = 5, TensorProto.name = 8 and raw_data = 9.
    let graphs = Fields(model).filter(|(number, _)| *number == 7);
    let tensors = graphs.flat_map(|(_, graph)| Fields(graph.bytes()).filter(|(number, _)| *number == 5));
    let mut parts = tensors.map(|(_, tensor)| Fields(tensor.bytes()));
    let called =
        |mut part: Fields<'_>| part.any(|(number, value)| number == 8 && value.bytes() == name.as_bytes());
    let numbers = parts.find(|part| called(*part))?.find(|(number, _)| *number == 9)?.1.bytes();
    let begin = numbers.as_ptr().addr() - model.as_ptr().addr();
    Some(begin..begin + numbers.len())
}
