//! Calls of modules.

use anyflow_plan::descriptor::Role;
use anyflow_plan::plan::Step;
use tch::Tensor;

use super::{Compute, MicroBatch, value};
use crate::run::micro_batch::FailedRows;
use crate::{Result, RunError};

/// A call of a module.
struct ModuleCall<'a> {
    node: &'a str,
    stream: &'a str,
    role: Role,
}

impl Compute<'_> {
    /// Runs a module from array to latent, latent to array, or array to tokens or vector.
    pub(super) fn module(
        &mut self,
        batch: &mut MicroBatch,
        step: &Step,
        stream: &str,
        role: Role,
        from: &str,
        to: &str,
    ) -> Result<()> {
        let plan = self.plan;
        let prompt = plan.model.encoded(stream).filter(|_| matches!(role, Role::Embed | Role::Pool));
        let component = match prompt {
            Some(prompt) => Some(&prompt.module),
            None => plan.model.streams[stream].module.as_ref(),
        };
        self.events.enter(&step.node, component.map(|c| c.plugin.as_str()));
        let call = ModuleCall { node: &step.node, stream, role };
        let input = value(batch, from)?;
        let output = match prompt {
            None => self.call(&call, &input.f_to_device(self.networks.device)?)?,
            Some(_) => {
                let mut prompts = std::mem::take(&mut self.prompts);
                let encode = |fresh: &Tensor| self.call(&call, &fresh.f_to_device(self.networks.device)?);
                let tokens = prompts.tokens(batch.shard, to, input, encode);
                self.prompts = prompts;
                tokens?
            }
        };
        let output = finite_rows(batch, step, component.map_or("", |c| c.id.as_str()), output)?;
        batch.values.insert(to.into(), output);
        Ok(())
    }

    /// Runs a module on all rows at once. If the device runs out of memory, it runs each half of the rows by itself.
    fn call(&self, call: &ModuleCall<'_>, input: &Tensor) -> Result<Tensor> {
        let role = call.role;
        let all = input.shallow_clone();
        let output = self.networks.on_stream(call.node, call.stream, move |net| match role {
            Role::Encode | Role::Embed | Role::Features => net.encode(&all, false),
            Role::Pool => net.pool(&all, false),
            Role::Decode => net.decode(&all, false),
            other => Err(RunError::Internal(format!("role {other:?} in a run"))),
        });
        let rows = input.size().first().copied().unwrap_or(0);
        match output {
            Err(error) if error.is_out_of_memory() && rows > 1 => {
                tracing::warn!(node = call.node, rows, "{error}; retrying with half the rows");
                let half = rows / 2;
                let first = self.call(call, &input.f_narrow(0, 0, half)?)?;
                let rest = self.call(call, &input.f_narrow(0, half, rows - half)?)?;
                Ok(Tensor::f_cat(&[first, rest], 0)?)
            }
            output => output,
        }
    }
}

/// Fails the rows in which a module returned a NaN or infinite number, and sets them to zero.
pub(super) fn finite_rows(batch: &mut MicroBatch, step: &Step, module: &str, output: Tensor) -> Result<Tensor> {
    let text = format!("module {module} returned numbers that are not finite");
    batch.fail_infinite(output, FailedRows { node: &step.node, code: "module", text })
}
