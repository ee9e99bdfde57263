//! What a network predicts, and in which number formats it computes and its results are written.

words! {
    /// The output of a network.
    pub enum Parameterization default X0 {
        /// The noise.
        Eps = "eps",
        /// The clean value.
        X0 = "x0",
        /// The velocity on a circle, a eps - s x0.
        V = "v",
        /// The velocity on a straight line, eps - x0.
        Flow = "flow",
    }
}

words! {
    /// The precision of multiplications. Inputs, outputs, norms and residual sums are f32 in any case, and parameters while they
    /// are trained.
    pub enum Precision default F32 {
        /// 24 bits of mantissa.
        F32 = "f32",
        /// 8 bits of mantissa, sums in f32: products have a relative error of up to 2^-8.
        Bf16 = "bf16",
        /// 11 bits of mantissa, sums in f32: products have a relative error of up to 2^-11, and numbers above 65,504 overflow.
        /// A CPU computes in f32.
        F16 = "f16",
    }
}

words! {
    /// The number type of a column of lists.
    pub enum Dtype default F32 {
        /// float32.
        F32 = "f32",
        /// Numbers rounded to bfloat16, with 8 bits of mantissa. Arrow has no such type, so the column is float32; half of its
        /// bits are zero, and compression removes them.
        Bf16 = "bf16",
        /// float16, with 11 bits of mantissa. A row with a number above 65,504 fails.
        F16 = "f16",
    }
}
