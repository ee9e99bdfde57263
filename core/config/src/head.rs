//! Heads: networks that predict an auxiliary stream from the features of a denoiser, and how embeddings are added.

use crate::ValueForm;

const COUNT: ValueForm = ValueForm::integer(1, 100_000);

kinds! {
    /// The layers of a head.
    pub enum HeadLayers("network of a head", "head-network") default Mlp {
        /// One hidden layer over all features; maps and tokens are averaged first.
        Mlp = "mlp" {
            /// Width of the hidden layer.
            width: i64 [COUNT] = 128;
        }

        /// Two convolutions, from a feature map to a map of the same size.
        Conv = "conv" {
            /// Channels between the convolutions.
            width: i64 [COUNT] = 64;
        }
    }
}
