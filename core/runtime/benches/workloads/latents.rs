//! Gathers batches from memory-mapped latents, with the same rows as the peers' `peer_io.py`.

use std::fs::File;
use std::path::Path;

use anyflow_diffusion::noise::normals_tensor;
use anyflow_runtime::mapped::{MappedFile, MappedWriter, array_field, arrays};
use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

use crate::network::Tensors;
use crate::report::{Clock, Line};

const ROWS: u32 = 100_000;
/// Elements of each column, f32.
const WIDTHS: [i64; 2] = [64, 192];
const BATCH: u32 = 256;
/// Rows per record batch of a file.
const CHUNK: u32 = 4096;
const KEY: &str = "workload";
const COLUMN: &str = "latent";

/// Gathers all rows once, in order, into the same memory. The files are in the page cache.
pub fn run(clock: Clock) -> Result<(Line, Tensors)> {
    let folder = tempfile::tempdir()?;
    let mut columns = Vec::new();
    for width in WIDTHS {
        let path = folder.path().join(format!("{width}.arrow"));
        write(&path, width)?;
        columns.push(MappedFile::open(&File::open(&path)?, &path, KEY)?.column(COLUMN)?);
    }
    let batches: Vec<Vec<u32>> = (0..ROWS).step_by(BATCH as usize).map(|row| rows(row, BATCH)).collect();
    for (column, width) in columns.iter().zip(WIDTHS) {
        let middle = &batches[batches.len() / 2];
        ensure!(column.gather(middle)? == made(middle, width)?, "latents of width {width} do not come back as written");
    }
    let mut line = clock.time(format!("{ROWS} rows of {WIDTHS:?} f32 in batches of {BATCH}"), || {
        let mut arrived = 0;
        for batch in &batches {
            for column in &columns {
                arrived += column.gather(batch)?.numel();
            }
        }
        ensure!(arrived as i64 == i64::from(ROWS) * WIDTHS.iter().sum::<i64>(), "rows are missing");
        Ok(())
    })?;
    line.gigabytes = Some(f64::from(ROWS) * WIDTHS.iter().sum::<i64>() as f64 * 4.0 / 1e9);
    Ok((line, Tensors::new()))
}

fn rows(first: u32, count: u32) -> Vec<u32> {
    (first..ROWS.min(first + count)).collect()
}

fn made(rows: &[u32], width: i64) -> Result<Tensor> {
    let keys: Vec<u64> = rows.iter().map(|row| u64::from(*row)).collect();
    Ok(normals_tensor(1, &keys, "latent", 0, &[width], Device::Cpu)?)
}

fn write(path: &Path, width: i64) -> Result<()> {
    let mut writer = MappedWriter::new(File::create(path)?, KEY, vec![array_field(COLUMN, &[width], Kind::Float)?])?;
    for row in (0..ROWS).step_by(CHUNK as usize) {
        writer.write(vec![arrays(&made(&rows(row, CHUNK), width)?, &[width], &[])?])?;
    }
    Ok(writer.finish()?)
}
