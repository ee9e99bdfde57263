//! The export macro.

/// Exports a plugin: its descriptor section, its entry, and the tables of the interfaces it offers.
///
/// ```text
/// export_plugin! {
///     name: "image",
///     license: "MIT OR Apache-2.0",
///     summary: "grey images",
///     codecs: [Gray],
///     modules: [Autoencoder: Encoder + Decoder, Classifier: Scorer],
/// }
/// ```
///
/// `arrays: [Pyramid]` after these lists [`ArrayModule`](crate::ArrayModule)s. The plugin has the version of its crate.
/// A crate exports one plugin.
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
        /// The plugin's descriptor.
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

        /// The exported entry, for `testkit`.
        // All other items are inside the static, so that their names cannot clash with the plugin's.
        #[allow(unsafe_code, non_local_definitions)]
        pub static ENTRY: &$crate::abi::Entry = {
            use ::core::ffi::c_void;
            use $crate::abi::{Entry, Host, StrView};
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

            /// The plugin as a type, which carries the lists of its components to the functions of the tables.
            struct Exported;

            impl sdk::Components<sdk::CodecEntry> for Exported {
                const ALL: &'static [sdk::CodecEntry] = &[$(sdk::CodecEntry::of::<$codec>()),*];
            }

            static CODEC: $crate::abi::codec::CodecInterface = $crate::abi::codec::CodecInterface {
                struct_size: ::core::mem::size_of::<$crate::abi::codec::CodecInterface>() as u32,
                create: Some(sdk::create_codec::<Exported>),
                destroy: Some(sdk::destroy::<sdk::CodecInstance>),
                encode: Some(sdk::encode),
                decode: Some(sdk::decode),
            };

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
        if $id == $crate::abi::dry::ID.as_bytes() {
            return (&raw const DRY).cast();
        }
    };

    (@offer_arrays $id:ident $($array:ty)+) => {
        if $id == $crate::abi::array::ID.as_bytes() {
            return (&raw const ARRAY).cast();
        }
    };

    (@modules $($module:ty : $($role:ident)+),+) => {
        impl sdk::Components<sdk::ModuleEntry> for Exported {
            const ALL: &'static [sdk::ModuleEntry] = &[$(sdk::ModuleEntry {
                id: <$module as $crate::Module>::DESCRIPTOR.id,
                make: |path, parameters| {
                    Ok(Box::new(sdk::WithRoles {
                        module: <$module as $crate::Module>::new(path, parameters)?,
                        forward: |module, role, input, train| {
                            $(if role == $crate::export_plugin!(@number $role) {
                                return $crate::export_plugin!(@call $role)(module, input, train);
                            })+
                            let id = <$module as $crate::Module>::DESCRIPTOR.id;
                            Err($crate::Error::Failed(format!("module `{id}` has no role number {role}")))
                        },
                    }))
                },
            }),+];
        }

        static TORCH: $crate::abi::torch::TorchInterface = $crate::abi::torch::TorchInterface {
            struct_size: ::core::mem::size_of::<$crate::abi::torch::TorchInterface>() as u32,
            libtorch: StrView::new($crate::LIBTORCH.as_bytes()),
            create: Some(sdk::create_module::<Exported>),
            destroy: Some(sdk::destroy::<sdk::ModuleInstance>),
            parameters: Some(sdk::parameters),
            forward: Some(sdk::forward),
        };

        static DRY: $crate::abi::dry::DryInterface = $crate::abi::dry::DryInterface {
            struct_size: ::core::mem::size_of::<$crate::abi::dry::DryInterface>() as u32,
            create: Some(sdk::create_dry::<Exported>),
        };
    };

    (@arrays $($array:ty),+) => {
        impl sdk::Components<sdk::ArrayEntry> for Exported {
            const ALL: &'static [sdk::ArrayEntry] = &[$(sdk::ArrayEntry::of::<$array>()),+];
        }

        static ARRAY: $crate::abi::array::ArrayInterface = $crate::abi::array::ArrayInterface {
            struct_size: ::core::mem::size_of::<$crate::abi::array::ArrayInterface>() as u32,
            create: Some(sdk::create_array::<Exported>),
            destroy: Some(sdk::destroy::<sdk::ArrayInstance>),
            forward: Some(sdk::forward_array),
        };
    };

    (@number Encoder) => { $crate::abi::torch::role::ENCODE };
    (@number Decoder) => { $crate::abi::torch::role::DECODE };
    (@number PromptEncoder) => { $crate::abi::torch::role::EMBED };
    (@number Aligner) => { $crate::abi::torch::role::ALIGN };
    (@number Scorer) => { $crate::abi::torch::role::SCORE };
    (@number FeatureExtractor) => { $crate::abi::torch::role::FEATURES };
    (@number PerceptualEncoder) => { $crate::abi::torch::role::PERCEPTUAL };
    (@number PooledEncoder) => { $crate::abi::torch::role::POOL };
    (@call Encoder) => { $crate::Encoder::encode };
    (@call Decoder) => { $crate::Decoder::decode };
    (@call PromptEncoder) => { $crate::PromptEncoder::embed };
    (@call Aligner) => { $crate::Aligner::align };
    (@call Scorer) => { $crate::Scorer::score };
    (@call FeatureExtractor) => { $crate::FeatureExtractor::features };
    (@call PerceptualEncoder) => { $crate::PerceptualEncoder::perceive };
    (@call PooledEncoder) => { $crate::PooledEncoder::pool };
}
