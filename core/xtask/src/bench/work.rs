//! The table of workloads.

/// A workload: what our side runs, and what other programs run for comparison.
#[derive(Debug)]
pub struct Work {
    /// Its name for `--only`.
    pub name: &'static str,
    /// What runs on our side.
    pub ours: Program,
    /// Peers. The first defines the ratio; the others give further ratios.
    pub peers: &'static [Peer],
    /// Allowed difference of results, relative to the largest value; `None` if they cannot be compared.
    pub tolerance: Option<f64>,
    /// Its bottleneck.
    pub limit: Option<Limit>,
}

/// A program of ours.
#[derive(Debug)]
pub enum Program {
    /// A workload of the program `workloads`.
    Workload(&'static str),
    /// `anyflow run` on the shipped joint pipeline, as a process.
    Startup,
}

/// A program of others.
#[derive(Debug)]
pub struct Peer {
    /// The name of its ratio.
    pub ratio: &'static str,
    /// The script, in the peers' folder or in ours.
    pub script: &'static str,
    /// Its arguments.
    pub arguments: &'static [&'static str],
}

/// The bottleneck of a workload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// Matrix products in f32.
    MatmulF32,
    /// Matrix products in bf16.
    MatmulBf16,
    /// Memory copies.
    Copy,
}

impl Work {
    /// True if it needs our programs rather than the workloads.
    pub fn is_startup(&self) -> bool {
        matches!(self.ours, Program::Startup)
    }
}

const TRAIN: &str = "peer_mlp_train.py";
const REQUESTS: &str = "peer_requests.py";
const UNET: &str = "peer_unet_sd15.py";
/// Gets the file that both sides read.
pub const IMAGES: &str = "images.py";

/// Tolerance of f32 with another order of sums, after one network call or some dozens of steps.
const F32: Option<f64> = Some(1e-4);
/// Tolerance of bf16 with its 8 bits against f32, for a forward and backward pass.
const BF16: Option<f64> = Some(0.1);

/// Tolerance of two decoders of JPEG files, which round and smooth colours differently.
const DECODERS: Option<f64> = Some(0.02);

/// All workloads.
pub const WORKS: [Work; 12] = [
    Work {
        name: "train-512",
        ours: Program::Workload("train-512"),
        peers: &[
            Peer { ratio: "ratio", script: TRAIN, arguments: &TRAIN_512 },
            Peer { ratio: "ratio_compiled", script: TRAIN, arguments: &TRAIN_512_COMPILED },
        ],
        tolerance: F32,
        limit: Some(Limit::MatmulF32),
    },
    Work {
        name: "train-512-bf16",
        ours: Program::Workload("train-512-bf16"),
        peers: &[
            Peer { ratio: "ratio", script: TRAIN, arguments: &TRAIN_512_BF16 },
            Peer { ratio: "ratio_compiled", script: TRAIN, arguments: &TRAIN_512_BF16_COMPILED },
            Peer { ratio: "ratio_f32", script: TRAIN, arguments: &TRAIN_512 },
        ],
        tolerance: BF16,
        limit: Some(Limit::MatmulBf16),
    },
    Work {
        name: "train-64",
        ours: Program::Workload("train-64"),
        peers: &[
            Peer { ratio: "ratio", script: TRAIN, arguments: &TRAIN_64 },
            Peer { ratio: "ratio_compiled", script: TRAIN, arguments: &TRAIN_64_COMPILED },
        ],
        tolerance: F32,
        limit: Some(Limit::MatmulF32),
    },
    Work {
        name: "loop-64",
        ours: Program::Workload("loop-64"),
        peers: &[
            Peer { ratio: "ratio", script: "ddim_loop.py", arguments: &TIMED },
            Peer { ratio: "ratio_leaner", script: "peer_step_overhead.py", arguments: &LEANER_LOOP },
        ],
        tolerance: F32,
        limit: Some(Limit::MatmulF32),
    },
    Work {
        name: "requests-fifo",
        ours: Program::Workload("requests"),
        peers: &[Peer { ratio: "ratio", script: REQUESTS, arguments: &["--policy", "fifo"] }],
        tolerance: F32,
        limit: Some(Limit::MatmulF32),
    },
    Work {
        name: "requests-static",
        ours: Program::Workload("requests"),
        peers: &[Peer { ratio: "ratio", script: REQUESTS, arguments: &["--policy", "static"] }],
        tolerance: F32,
        limit: Some(Limit::MatmulF32),
    },
    Work {
        name: "unet",
        ours: Program::Workload("unet"),
        peers: &[
            Peer { ratio: "ratio", script: UNET, arguments: &UNET_CALL },
            Peer { ratio: "ratio_frozen", script: UNET, arguments: &UNET_FROZEN },
        ],
        tolerance: F32,
        limit: Some(Limit::MatmulF32),
    },
    Work {
        name: "unet-bf16",
        ours: Program::Workload("unet-bf16"),
        peers: &[
            Peer { ratio: "ratio", script: UNET, arguments: &UNET_BF16 },
            Peer { ratio: "ratio_frozen", script: UNET, arguments: &UNET_BF16_FROZEN },
        ],
        tolerance: BF16,
        limit: Some(Limit::MatmulBf16),
    },
    Work {
        name: "unet-tiny",
        ours: Program::Workload("unet-tiny"),
        peers: &[Peer { ratio: "ratio", script: UNET, arguments: &["--iters", "20", "--warmup", "5", "--tiny"] }],
        tolerance: F32,
        limit: Some(Limit::MatmulF32),
    },
    Work {
        name: "latents",
        ours: Program::Workload("latents"),
        peers: &[Peer { ratio: "ratio", script: "peer_io.py", arguments: &HF_TORCH }],
        tolerance: None,
        limit: Some(Limit::Copy),
    },
    Work {
        name: "images",
        ours: Program::Workload("images"),
        peers: &[
            Peer { ratio: "ratio", script: IMAGES, arguments: &[] },
            Peer { ratio: "ratio_torchvision", script: IMAGES, arguments: &["--torchvision"] },
        ],
        tolerance: DECODERS,
        limit: None,
    },
    Work {
        name: "startup",
        ours: Program::Startup,
        peers: &[Peer { ratio: "ratio", script: "startup.py", arguments: &[] }],
        tolerance: None,
        limit: None,
    },
];

const TIMED: [&str; 4] = ["--iters", "3", "--warmup", "1"];
const TRAIN_512: [&str; 12] =
    ["--dim", "512", "--batch", "256", "--opt", "fused", "--steps", "10", "--iters", "3", "--warmup", "1"];
const TRAIN_512_COMPILED: [&str; 14] = [
    "--dim",
    "512",
    "--batch",
    "256",
    "--opt",
    "fused",
    "--steps",
    "10",
    "--iters",
    "3",
    "--warmup",
    "1",
    "--compile",
    "default",
];
const TRAIN_512_BF16: [&str; 13] = [
    "--dim",
    "512",
    "--batch",
    "256",
    "--opt",
    "fused",
    "--steps",
    "10",
    "--iters",
    "3",
    "--warmup",
    "1",
    "--autocast",
];
const TRAIN_512_BF16_COMPILED: [&str; 15] = [
    "--dim",
    "512",
    "--batch",
    "256",
    "--opt",
    "fused",
    "--steps",
    "10",
    "--iters",
    "3",
    "--warmup",
    "1",
    "--autocast",
    "--compile",
    "default",
];
const TRAIN_64: [&str; 12] =
    ["--dim", "64", "--batch", "16", "--opt", "fused", "--steps", "200", "--iters", "3", "--warmup", "1"];
const TRAIN_64_COMPILED: [&str; 14] = [
    "--dim",
    "64",
    "--batch",
    "16",
    "--opt",
    "fused",
    "--steps",
    "200",
    "--iters",
    "3",
    "--warmup",
    "1",
    "--compile",
    "default",
];
const UNET_CALL: [&str; 5] = ["--iters", "3", "--warmup", "1", "--no-flops"];
const UNET_FROZEN: [&str; 8] = ["--iters", "3", "--warmup", "1", "--no-flops", "--compile", "default", "--freezing"];
const UNET_BF16: [&str; 8] = ["--iters", "3", "--warmup", "1", "--no-flops", "--dtype", "bf16", "--channels-last"];
const UNET_BF16_FROZEN: [&str; 11] = [
    "--iters",
    "3",
    "--warmup",
    "1",
    "--no-flops",
    "--dtype",
    "bf16",
    "--channels-last",
    "--compile",
    "default",
    "--freezing",
];
const LEANER_LOOP: [&str; 8] = ["--what", "loop", "--width", "64", "--iters", "3", "--warmup", "1"];
const HF_TORCH: [&str; 6] = ["--fmt", "hf-torch", "--iters", "3", "--warmup", "1"];
