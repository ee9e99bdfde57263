//! Descriptors as Rust constants, and a `const fn` that renders them to the JSON of the descriptor section.

/// The description of a plugin.
#[derive(Clone, Copy)]
pub struct PluginDescriptor {
    /// Name of the plugin in pipelines.
    pub plugin: &'static str,
    /// The plugin's own version.
    pub version: &'static str,
    /// SPDX expression.
    pub license: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// The libtorch version, if the plugin has modules that need it.
    pub libtorch: Option<&'static str>,
    /// The codecs.
    pub codecs: &'static [CodecDescriptor],
    /// Modules of `anyflow.torch/1`.
    pub modules: &'static [ModuleDescriptor],
    /// Modules of `anyflow.array/1`.
    pub arrays: &'static [ModuleDescriptor],
}

/// A codec: raw cells <-> arrays.
#[derive(Clone, Copy)]
pub struct CodecDescriptor {
    /// Name inside the plugin.
    pub id: &'static str,
    /// The modality.
    pub modality: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Physical kind of a cell.
    pub cell: CellKind,
    /// Hugging Face feature of decoded cells: `Image`, `Audio`, `Video`, `Value(string)`, `List(Value(float32))`, ...
    pub feature: &'static str,
    /// The array of an encoded cell, without the row axis.
    pub array: Port,
    /// Parameters: a JSON object, name -> JSON Schema property with an optional `default`.
    pub parameters: &'static str,
}

/// A module: one network with one set of parameters and one or several roles.
#[derive(Clone, Copy)]
pub struct ModuleDescriptor {
    /// Name inside the plugin.
    pub id: &'static str,
    /// The modality.
    pub modality: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Its roles.
    pub roles: &'static [RoleDescriptor],
    /// Parameters, as in [`CodecDescriptor::parameters`]. The planner infers parameters that name axes from the
    /// connected ports.
    pub parameters: &'static str,
}

/// One role of a module.
#[derive(Clone, Copy)]
pub struct RoleDescriptor {
    /// The role.
    pub role: Role,
    /// The input, without the row axis.
    pub input: Port,
    /// The output, without the row axis.
    pub output: Port,
}

/// Roles of modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Role {
    /// Array -> latent.
    Encode = crate::torch::role::ENCODE,
    /// Latent -> array.
    Decode = crate::torch::role::DECODE,
    /// Array -> conditioning tokens.
    Embed = crate::torch::role::EMBED,
    /// Latent -> shared space.
    Align = crate::torch::role::ALIGN,
    /// Array or latent -> scores.
    Score = crate::torch::role::SCORE,
    /// Array or latent -> features: the activations before a scorer's last layer.
    Features = crate::torch::role::FEATURES,
    /// Array or latent -> perceptual features: the sum of their squared differences is a perceptual distance.
    Perceptual = crate::torch::role::PERCEPTUAL,
    /// Array -> vector of the whole.
    Pool = crate::torch::role::POOL,
}

/// Physical kind of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellKind {
    /// Encoded bytes of a file.
    Bytes,
    /// A string.
    Utf8,
    /// An integer.
    I64,
    /// A real number.
    F64,
    /// Numbers in nested lists with this many levels: 1 is a list of numbers, 2 a list of lists of numbers.
    List(u32),
    /// Encoded bytes of any number of files, in order.
    Files,
}

/// The arrays that cross a port, without the row axis.
#[derive(Clone, Copy)]
pub struct Port {
    /// Element type: `f32`, `i64`, `u8`.
    pub dtype: &'static str,
    /// Named axes, slowest first.
    pub axes: &'static [Axis],
    /// Smallest and largest value, if both are integers; `None` if unbounded.
    pub range: Option<[i64; 2]>,
}

/// A named axis.
#[derive(Clone, Copy)]
pub struct Axis {
    /// Its name.
    pub name: &'static str,
    /// Its size.
    pub size: Size,
}

/// Size of an axis.
#[derive(Clone, Copy)]
pub enum Size {
    /// Fixed.
    Fixed(i64),
    /// The value of an integer parameter, or the length of a list parameter.
    Parameter(&'static str),
}

/// An axis of fixed size.
pub const fn fixed(name: &'static str, size: i64) -> Axis {
    Axis { name, size: Size::Fixed(size) }
}

/// An axis with the size of the parameter of the same name.
pub const fn axis(name: &'static str) -> Axis {
    Axis { name, size: Size::Parameter(name) }
}

/// An axis with the size of the parameter `parameter`: its value, or its length if it is a list. Several axes may share
/// one parameter.
pub const fn axis_of(name: &'static str, parameter: &'static str) -> Axis {
    Axis { name, size: Size::Parameter(parameter) }
}

/// A port of 32-bit floats without bounds.
pub const fn f32_port(axes: &'static [Axis]) -> Port {
    Port { dtype: "f32", axes, range: None }
}

/// A port of 32-bit floats between `low` and `high`.
pub const fn f32_port_in(axes: &'static [Axis], low: i64, high: i64) -> Port {
    Port { dtype: "f32", axes, range: Some([low, high]) }
}

/// Renders `plugin` as JSON into the first bytes of an array of `N`, and returns the length. With `N` 0 it only
/// measures.
///
/// # Panics
/// At compile time, if a text holds a quote, a backslash or a control character.
pub const fn render<const N: usize>(plugin: &PluginDescriptor) -> ([u8; N], usize) {
    let w = Writer { bytes: [0; N], len: 0 }.plugin(plugin);
    (w.bytes, w.len)
}

/// A JSON writer that runs at compile time. Past the end of its bytes it only counts.
struct Writer<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Writer<N> {
    const fn raw(mut self, text: &str) -> Self {
        let text = text.as_bytes();
        let mut i = 0;
        while i < text.len() {
            if self.len < N {
                self.bytes[self.len] = text[i];
            }
            self.len += 1;
            i += 1;
        }
        self
    }

    const fn string(self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            assert!(
                bytes[i] != b'"' && bytes[i] != b'\\' && bytes[i] >= 0x20,
                "a descriptor text must not need escapes"
            );
            i += 1;
        }
        self.raw("\"").raw(text).raw("\"")
    }

    const fn key(self, first: bool, key: &str) -> Self {
        let w = if first { self.raw("{") } else { self.raw(",") };
        w.string(key).raw(":")
    }

    const fn integer(self, value: i64) -> Self {
        let mut digits = [0u8; 20];
        let mut n = value.unsigned_abs();
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (n % 10) as u8;
            n /= 10;
            if n == 0 {
                break;
            }
        }
        let mut w = if value < 0 { self.raw("-") } else { self };
        while at < digits.len() {
            if w.len < N {
                w.bytes[w.len] = digits[at];
            }
            w.len += 1;
            at += 1;
        }
        w
    }

    const fn plugin(self, p: &PluginDescriptor) -> Self {
        let mut w = self.key(true, "plugin").string(p.plugin).key(false, "version").string(p.version);
        w = w.key(false, "abi").raw("[").integer(crate::ABI_MAJOR as i64).raw(",");
        w = w.integer(crate::ABI_MINOR as i64).raw("]");
        w = w.key(false, "license").string(p.license).key(false, "summary").string(p.summary).key(false, "libtorch");
        w = match p.libtorch {
            Some(version) => w.string(version),
            None => w.raw("null"),
        };
        w = w.key(false, "codecs").raw("[");
        let mut i = 0;
        while i < p.codecs.len() {
            w = if i > 0 { w.raw(",") } else { w };
            w = w.codec(&p.codecs[i]);
            i += 1;
        }
        w = w.raw("]").key(false, "modules").raw("[");
        let mut i = 0;
        while i < p.modules.len() {
            w = if i > 0 { w.raw(",") } else { w };
            w = w.module(&p.modules[i], None);
            i += 1;
        }
        let mut i = 0;
        while i < p.arrays.len() {
            w = if i > 0 || !p.modules.is_empty() { w.raw(",") } else { w };
            w = w.module(&p.arrays[i], Some(crate::array::ID));
            i += 1;
        }
        w.raw("]}")
    }

    const fn codec(self, c: &CodecDescriptor) -> Self {
        let w = self.key(true, "id").string(c.id).key(false, "modality").string(c.modality);
        let w = w.key(false, "summary").string(c.summary).key(false, "cell");
        let w = match c.cell {
            CellKind::Bytes => w.string("bytes"),
            CellKind::Utf8 => w.string("utf8"),
            CellKind::I64 => w.string("i64"),
            CellKind::F64 => w.string("f64"),
            CellKind::Files => w.string("files"),
            CellKind::List(depth) => {
                assert!(depth >= 1 && depth <= crate::MAX_DEPTH, "a list has 1 to MAX_DEPTH levels");
                w.key(true, "list").integer(depth as i64).raw("}")
            }
        };
        let w = w.key(false, "feature").string(c.feature).key(false, "array").port(&c.array);
        w.key(false, "parameters").raw(c.parameters).raw("}")
    }

    /// `interface` is `None` for `anyflow.torch/1`, the default.
    const fn module(self, m: &ModuleDescriptor, interface: Option<&str>) -> Self {
        let mut w = self.key(true, "id").string(m.id).key(false, "modality").string(m.modality);
        w = match interface {
            Some(interface) => w.key(false, "interface").string(interface),
            None => w,
        };
        w = w.key(false, "summary").string(m.summary).key(false, "roles").raw("[");
        let mut i = 0;
        while i < m.roles.len() {
            w = if i > 0 { w.raw(",") } else { w };
            let role = match m.roles[i].role {
                Role::Encode => "encode",
                Role::Decode => "decode",
                Role::Embed => "embed",
                Role::Align => "align",
                Role::Score => "score",
                Role::Features => "features",
                Role::Perceptual => "perceptual",
                Role::Pool => "pool",
            };
            w = w.key(true, "role").string(role).key(false, "input").port(&m.roles[i].input);
            w = w.key(false, "output").port(&m.roles[i].output).raw("}");
            i += 1;
        }
        w.raw("]").key(false, "parameters").raw(m.parameters).raw("}")
    }

    const fn port(self, p: &Port) -> Self {
        let mut w = self.key(true, "dtype").string(p.dtype).key(false, "axes").raw("[");
        let mut i = 0;
        while i < p.axes.len() {
            w = if i > 0 { w.raw(",") } else { w };
            w = w.key(true, "name").string(p.axes[i].name).key(false, "size");
            w = match p.axes[i].size {
                Size::Fixed(size) => w.integer(size),
                Size::Parameter(name) => w.string(name),
            };
            w = w.raw("}");
            i += 1;
        }
        w = w.raw("]");
        if let Some([low, high]) = p.range {
            w = w.key(false, "range").raw("[").integer(low).raw(",").integer(high).raw("]");
        }
        w.raw("}")
    }
}
