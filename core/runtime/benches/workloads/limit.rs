//! The limits of the machine through libtorch, with the same work as the peers' `peer_gemm.py`.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::network::Tensors;
use crate::report::{Clock, Line};

const SIDE: i64 = 2048;
const COPY_BYTES: i64 = 256 << 20;

/// Multiplies two square matrices.
pub fn matmul(kind: Kind, clock: Clock) -> Result<(Line, Tensors)> {
    let _no_grad = tch::no_grad_guard();
    let [left, right] = [0.5, 0.25].map(|value| Tensor::full([SIDE, SIDE], value, (kind, Device::Cpu)));
    let mut line = clock.time(format!("matmul {SIDE} {kind:?}"), || {
        drop(left.f_matmul(&right)?);
        Ok(())
    })?;
    line.gflop = Some(2.0 * (SIDE as f64).powi(3) / 1e9);
    Ok((line, Tensors::new()))
}

/// Copies memory. A byte that is read and written counts once.
pub fn copy(clock: Clock) -> Result<(Line, Tensors)> {
    let from = Tensor::f_ones([COPY_BYTES / 4], (Kind::Float, Device::Cpu))?;
    let mut to = from.f_zeros_like()?;
    let mut line = clock.time("copy 256 MiB", || {
        to.f_copy_(&from)?;
        Ok(())
    })?;
    line.gigabytes = Some(COPY_BYTES as f64 / 1e9);
    Ok((line, Tensors::new()))
}
