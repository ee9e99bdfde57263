//! The struct layouts of every released minor, for 64-bit addresses. The compiler checks this crate against them here,
//! and C and C++ plugins by the assertions at the end of `anyflow.h`, which are generated from this table.
//!
//! A line never changes after the release of its minor. A struct that grows gets another line with all its fields, and
//! its earlier lines say `>=`. Structs that are array elements (`StrView` to `ArrayView`) never grow.

macro_rules! layouts {
    ($($abi:literal $name:ident $relation:tt $size:literal { $($field:ident: $offset:literal),+ $(,)? })+) => {
        $(const _: () = {
            assert!(core::mem::size_of::<$name>() $relation $size, concat!("size of ABI ", $abi));
            $(assert!(core::mem::offset_of!($name, $field) == $offset, concat!("offset of ABI ", $abi));)+
        };)+
    };
}

#[cfg(target_pointer_width = "64")]
mod of_64_bits {
    use crate::array::ArrayInterface;
    use crate::codec::CodecInterface;
    use crate::dry::DryInterface;
    use crate::torch::TorchInterface;
    use crate::{ArrayView, CellView, DataType, Device, Entry, Host, ListView, Report, StrView};

    // 1.1, 1.4 and 1.5 added roles, 1.3 a kind of cell, and no field.
    layouts! {
        1.0 StrView == 16 { ptr: 0, len: 8 }
        1.0 CellView == 40 { kind: 0, bytes: 8, integer: 24, real: 32 }
        1.0 Device == 8 { kind: 0, id: 4 }
        1.0 DataType == 4 { code: 0, bits: 1, lanes: 2 }
        1.0 ArrayView == 48 { data: 0, device: 8, ndim: 16, dtype: 20, shape: 24, strides: 32, byte_offset: 40 }
        1.0 Entry == 48 {
            magic: 0, abi_major: 8, abi_minor: 10, struct_size: 12, descriptor: 16, init: 32, interface: 40,
        }
        1.0 Host == 16 { struct_size: 0, abi_minor: 4, log: 8 }
        1.0 Report == 32 { struct_size: 0, context: 8, error: 16, cell: 24 }
        1.0 CodecInterface == 40 { struct_size: 0, create: 8, destroy: 16, encode: 24, decode: 32 }
        1.0 TorchInterface == 56 {
            struct_size: 0, libtorch: 8, create: 24, destroy: 32, parameters: 40, forward: 48,
        }
        1.2 ListView == 40 { struct_size: 0, depth: 4, values: 8, values_len: 16, lengths: 24, lengths_len: 32 }
        1.2 ArrayInterface == 32 { struct_size: 0, create: 8, destroy: 16, forward: 24 }
        1.6 DryInterface == 16 { struct_size: 0, create: 8 }
    }
}
