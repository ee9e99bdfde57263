//! Calls of modules.

use anyflow_plan::descriptor::Role;
use anyflow_plan::plan::Step;
use tch::{Device, Tensor};

use super::{Batch, Compute, value};
use crate::{Result, RunError};

/// A module's part in a step.
struct Asked<'a> {
    node: &'a str,
    stream: &'a str,
    role: Role,
}

impl Compute<'_> {
    /// A module from array to latent, latent to array, or array to tokens.
    pub(super) fn module(
        &self,
        batch: &mut Batch,
        step: &Step,
        stream: &str,
        role: Role,
        from: &str,
        to: &str,
    ) -> Result<()> {
        let model = &self.plan.model;
        let component = match role {
            Role::Embed if model.prompts.contains_key(stream) => Some(&model.prompts[stream].module),
            _ => model.streams[stream].module.as_ref(),
        };
        self.events.enter(&step.node, component.map(|c| c.plugin.as_str()));
        let input = value(batch, from)?.f_to_device(self.networks.device)?;
        let output = self.called(&Asked { node: &step.node, stream, role }, &input)?;
        let output = finite_rows(batch, step, component.map_or("", |c| c.id.as_str()), output)?;
        batch.values.insert(to.into(), output);
        Ok(())
    }

    /// What a module makes of rows: of all at once, or of half as many at a time where the device has no memory for more.
    fn called(&self, asked: &Asked<'_>, input: &Tensor) -> Result<Tensor> {
        let (role, all) = (asked.role, input.shallow_clone());
        let output = self.networks.on_stream(asked.node, asked.stream, move |net| match role {
            Role::Encode | Role::Embed | Role::Features => net.encode(&all, false),
            Role::Decode => net.decode(&all, false),
            other => Err(RunError::Internal(format!("role {other:?} in a run"))),
        });
        let rows = input.size().first().copied().unwrap_or(0);
        match output {
            Err(error) if error.is_out_of_memory() && rows > 1 => {
                tracing::warn!(node = asked.node, rows, "{error}; half as many rows are tried");
                let half = rows / 2;
                let first = self.called(asked, &input.f_narrow(0, 0, half)?)?;
                let rest = self.called(asked, &input.f_narrow(0, half, rows - half)?)?;
                Ok(Tensor::f_cat(&[first, rest], 0)?)
            }
            output => output,
        }
    }
}

/// Fails the rows that are not finite, which leaves zeros.
fn finite_rows(batch: &mut Batch, step: &Step, module: &str, output: Tensor) -> Result<Tensor> {
    let rows = output.size().first().copied().unwrap_or(0);
    if rows == 0 {
        return Ok(output);
    }
    let finite = output.f_isfinite()?.f_reshape([rows, -1])?.f_all_dim(1, false)?;
    let flags = Vec::<bool>::try_from(finite.f_to_device(Device::Cpu)?)?;
    let bad: Vec<usize> = (0..flags.len()).filter(|row| !flags[*row]).collect();
    if bad.is_empty() {
        return Ok(output);
    }
    for row in &bad {
        let text = format!("module {module} gave numbers that are not finite");
        batch.fail(*row, &step.node, "module", text);
    }
    let kept: Vec<i64> = std::iter::once(rows).chain(output.size().iter().skip(1).map(|_| 1)).collect();
    Ok(output.f_where_self(&finite.f_reshape(kept)?, &output.f_zeros_like()?)?)
}
