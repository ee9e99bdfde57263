//! The export macro.

/// Exports a plugin: its descriptor section, its entry, and the tables of the interfaces it offers.
///
/// ```text
/// export_plugin! {
///     name: "image",
///     license: "MIT OR Apache-2.0",
///     summary: "grey pictures",
///     codecs: [Gray],
///     modules: [Autoencoder: Encoder + Decoder, Classifier: Scorer],
/// }
/// ```
///
/// `arrays: [Pyramid]`, after the others, lists [`ArrayModule`](crate::ArrayModule)s. The version is the crate's. A crate exports one plugin.
#[macro_export]
macro_rules! export_plugin {
    (
        name: $name:literal,
        license: $license:expr,
        summary: $summary:expr,
        codecs: [$($codec:ty),* $(,)?]
        $(, modules: [$($module:ty : $first:ident $(+ $role:ident)*),+ $(,)?])?
        $(, arrays: [$($array:ty),+ $(,)?])? $(,)?
    ) => {
        /// What this plugin says of itself.
        pub const PLUGIN: $crate::PluginDescriptor = $crate::PluginDescriptor {
            plugin: $name,
            version: env!("CARGO_PKG_VERSION"),
            license: $license,
            summary: $summary,
            libtorch: $crate::export_plugin!(@libtorch $($($module)+)?),
            codecs: &[$(<$codec as $crate::Codec>::DESCRIPTOR),*],
            modules: &[$($(<$module as $crate::Module>::DESCRIPTOR),+)?],
            arrays: &[$($(<$array as $crate::ArrayModule>::DESCRIPTOR),+)?],
        };

        /// What this plugin exports, for `testkit`.
        // Within the static, so that the names of the tables are in nobody's way.
        #[allow(unsafe_code, non_local_definitions)]
        pub static ENTRY: &$crate::abi::Entry = {
            use ::core::ffi::c_void;
            use $crate::abi::{ArrayView, CellView, Entry, Host, Report, StrView};
            use $crate::__private as sdk;

            const LEN: usize = $crate::descriptor::render::<0>(&PLUGIN).1;

            #[used]
            #[unsafe(no_mangle)]
            #[unsafe(link_section = ".anyflow")]
            static anyflow_descriptor: [u8; LEN] = $crate::descriptor::render::<LEN>(&PLUGIN).0;

            #[used]
            #[unsafe(no_mangle)]
            static anyflow_entry: Entry = Entry {
                magic: $crate::abi::MAGIC,
                abi_major: $crate::abi::ABI_MAJOR,
                abi_minor: $crate::abi::ABI_MINOR,
                struct_size: ::core::mem::size_of::<Entry>() as u32,
                descriptor: StrView { ptr: &raw const anyflow_descriptor as *const u8, len: LEN },
                init: Some(init),
                interface: Some(interface),
            };

            unsafe extern "C" fn init(host: *const Host) -> u32 {
                sdk::init(host)
            }

            unsafe extern "C" fn interface(id: StrView) -> *const c_void {
                // SAFETY: the host passes a readable id.
                let Ok(id) = (unsafe { id.bytes() }) else { return ::core::ptr::null() };
                if id == $crate::abi::codec::ID.as_bytes() {
                    return (&raw const CODEC).cast();
                }
                $($crate::export_plugin!(@offer id $($module)+);)?
                $($crate::export_plugin!(@offer_arrays id $($array)+);)?
                ::core::ptr::null()
            }

            static CODECS: &[sdk::CodecEntry] = &[$(sdk::CodecEntry::of::<$codec>()),*];

            static CODEC: $crate::abi::codec::CodecInterface = $crate::abi::codec::CodecInterface {
                struct_size: ::core::mem::size_of::<$crate::abi::codec::CodecInterface>() as u32,
                create: Some(codec_create),
                destroy: Some(codec_destroy),
                encode: Some(encode),
                decode: Some(decode),
            };

            unsafe extern "C" fn codec_create(
                id: StrView,
                parameters: StrView,
                report: *const Report,
                instance: *mut *mut c_void,
            ) -> u32 {
                // SAFETY: the host calls as the ABI says.
                unsafe { sdk::codec_create(CODECS, id, parameters, report, instance) }
            }

            unsafe extern "C" fn codec_destroy(instance: *mut c_void) {
                // SAFETY: the host calls as the ABI says.
                unsafe { sdk::codec_destroy(instance) }
            }

            unsafe extern "C" fn encode(
                instance: *const c_void,
                cells: *const CellView,
                rows: usize,
                array: *const ArrayView,
                report: *const Report,
            ) -> u32 {
                // SAFETY: the host calls as the ABI says.
                unsafe { sdk::encode(instance, cells, rows, array, report) }
            }

            unsafe extern "C" fn decode(
                instance: *const c_void,
                array: *const ArrayView,
                report: *const Report,
            ) -> u32 {
                // SAFETY: the host calls as the ABI says.
                unsafe { sdk::decode(instance, array, report) }
            }

            $($crate::export_plugin!(@modules $($module : $first $($role)*),+);)?
            $($crate::export_plugin!(@arrays $($array),+);)?

            &anyflow_entry
        };
    };

    (@libtorch) => { None };
    (@libtorch $($module:ty)+) => { Some($crate::LIBTORCH) };

    (@offer $id:ident $($module:ty)+) => {
        if $id == $crate::abi::torch::ID.as_bytes() {
            return (&raw const TORCH).cast();
        }
    };

    (@offer_arrays $id:ident $($array:ty)+) => {
        if $id == $crate::abi::array::ID.as_bytes() {
            return (&raw const ARRAY).cast();
        }
    };

    (@modules $($module:ty : $($role:ident)+),+) => {
        $(
            impl sdk::DynModule for $module {
                fn forward(
                    &self,
                    role: u32,
                    input: &$crate::tch::Tensor,
                    train: bool,
                ) -> Result<$crate::tch::Tensor, $crate::Error> {
                    $(if role == $crate::export_plugin!(@number $role) {
                        return $crate::export_plugin!(@call $role)(self, input, train);
                    })+
                    let id = <$module as $crate::Module>::DESCRIPTOR.id;
                    Err($crate::Error::Failed(format!("module `{id}` has no role number {role}")))
                }
            }
        )+

        static MODULES: &[sdk::ModuleEntry] = &[$(sdk::ModuleEntry {
            id: <$module as $crate::Module>::DESCRIPTOR.id,
            make: |path, parameters| {
                Ok(Box::new(<$module as $crate::Module>::new(path, parameters)?))
            },
        }),+];

        static TORCH: $crate::abi::torch::TorchInterface = $crate::abi::torch::TorchInterface {
            struct_size: ::core::mem::size_of::<$crate::abi::torch::TorchInterface>() as u32,
            libtorch: StrView::new($crate::LIBTORCH.as_bytes()),
            create: Some(module_create),
            destroy: Some(module_destroy),
            parameters: Some(parameters),
            forward: Some(forward),
        };

        unsafe extern "C" fn module_create(
            id: StrView,
            parameters: StrView,
            device: i64,
            report: *const Report,
            instance: *mut *mut c_void,
        ) -> u32 {
            // SAFETY: the host calls as the ABI says.
            unsafe { sdk::module_create(MODULES, id, parameters, device, report, instance) }
        }

        unsafe extern "C" fn module_destroy(instance: *mut c_void) {
            // SAFETY: the host calls as the ABI says.
            unsafe { sdk::module_destroy(instance) }
        }

        unsafe extern "C" fn parameters(
            instance: *const c_void,
            visit: $crate::abi::torch::Visit,
            context: *mut c_void,
            report: *const Report,
        ) -> u32 {
            // SAFETY: the host calls as the ABI says.
            unsafe { sdk::module_parameters(instance, visit, context, report) }
        }

        unsafe extern "C" fn forward(
            instance: *const c_void,
            role: u32,
            train: u32,
            inputs: *const $crate::abi::torch::TensorHandle,
            n_inputs: usize,
            outputs: *mut $crate::abi::torch::TensorHandle,
            n_outputs: usize,
            report: *const Report,
        ) -> u32 {
            // SAFETY: the host calls as the ABI says.
            unsafe { sdk::forward(instance, role, train, inputs, n_inputs, outputs, n_outputs, report) }
        }
    };

    (@arrays $($array:ty),+) => {
        static ARRAYS: &[sdk::ArrayEntry] = &[$(sdk::ArrayEntry::of::<$array>()),+];

        static ARRAY: $crate::abi::array::ArrayInterface = $crate::abi::array::ArrayInterface {
            struct_size: ::core::mem::size_of::<$crate::abi::array::ArrayInterface>() as u32,
            create: Some(array_create),
            destroy: Some(array_destroy),
            forward: Some(array_forward),
        };

        unsafe extern "C" fn array_create(
            id: StrView,
            parameters: StrView,
            report: *const Report,
            instance: *mut *mut c_void,
        ) -> u32 {
            // SAFETY: the host calls as the ABI says.
            unsafe { sdk::array_create(ARRAYS, id, parameters, report, instance) }
        }

        unsafe extern "C" fn array_destroy(instance: *mut c_void) {
            // SAFETY: the host calls as the ABI says.
            unsafe { sdk::array_destroy(instance) }
        }

        unsafe extern "C" fn array_forward(
            instance: *const c_void,
            role: u32,
            inputs: *const ArrayView,
            n_inputs: usize,
            outputs: *const ArrayView,
            n_outputs: usize,
            report: *const Report,
        ) -> u32 {
            // SAFETY: the host calls as the ABI says.
            unsafe { sdk::array_forward(instance, role, inputs, n_inputs, outputs, n_outputs, report) }
        }
    };

    (@number Encoder) => { $crate::abi::torch::role::ENCODE };
    (@number Decoder) => { $crate::abi::torch::role::DECODE };
    (@number PromptEncoder) => { $crate::abi::torch::role::EMBED };
    (@number Aligner) => { $crate::abi::torch::role::ALIGN };
    (@number Scorer) => { $crate::abi::torch::role::SCORE };
    (@number FeatureExtractor) => { $crate::abi::torch::role::FEATURES };
    (@number PerceptualEncoder) => { $crate::abi::torch::role::PERCEPTUAL };
    (@call Encoder) => { $crate::Encoder::encode };
    (@call Decoder) => { $crate::Decoder::decode };
    (@call PromptEncoder) => { $crate::PromptEncoder::embed };
    (@call Aligner) => { $crate::Aligner::align };
    (@call Scorer) => { $crate::Scorer::score };
    (@call FeatureExtractor) => { $crate::FeatureExtractor::features };
    (@call PerceptualEncoder) => { $crate::PerceptualEncoder::perceive };
}
