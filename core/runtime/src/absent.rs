//! What denoisers see in rows without a prompt.

use anyflow_config::AbsentPrompt;
use anyflow_datasets::Cell;
use anyflow_plan::plan::{DenoiserConfig, JoinedVector, Model, PromptConfig};
use tch::{Kind, Tensor};

use crate::values::joined;
use crate::{Result, RunError, Session};

impl Session {
    /// Gives every denoiser what stands for its absent prompts. It follows from the weights of the prompts' modules, so these
    /// must be loaded.
    ///
    /// # Errors
    /// The codec refuses the text; errors of plugins.
    pub fn set_absent_prompts(&mut self, model: &Model) -> Result<()> {
        for (name, config) in &model.denoisers {
            let prompts = &config.prompts;
            let stated = prompts.iter().filter_map(|prompt| Some((prompt, model.prompts[prompt].absent()?)));
            let mut values = Vec::new();
            for (prompt, absent) in stated {
                values.push((prompt.clone(), self.absent_tokens(model, prompt, absent)?));
                values.extend(self.absent_vectors(config, &parts(model, prompt), absent)?);
            }
            if let Some(denoiser) = self.denoisers.get_mut(name) {
                for (prompt, value) in values {
                    denoiser.set_absent_prompt(&prompt, &value).map_err(RunError::diffusion(name))?;
                }
            }
        }
        Ok(())
    }

    /// The tokens of a prompt: `[token, feature]`.
    fn absent_tokens(&self, model: &Model, prompt: &str, absent: &AbsentPrompt) -> Result<Tensor> {
        let config = &model.prompts[prompt];
        if let Some(number) = absent.tokens {
            return Ok(Tensor::f_full(config.tokens().unwrap_or_default(), number, (Kind::Float, self.device))?);
        }
        if let PromptConfig::Joined(prompt) = config {
            let parts = prompt.features.iter().map(|part| self.absent_tokens(model, part, absent));
            return joined(&parts.collect::<Result<Vec<_>>>()?);
        }
        let array = self.absent_array(prompt, absent)?;
        let _no_grad = tch::no_grad_guard();
        Ok(self.streams[prompt].denoiser_input(&array)?.f_squeeze_dim(0)?)
    }

    /// The vectors of a prompt that join the time of a denoiser: `[number]` each, by the name of the vector.
    fn absent_vectors(
        &self,
        denoiser: &DenoiserConfig,
        parts: &[&str],
        absent: &AbsentPrompt,
    ) -> Result<Vec<(String, Tensor)>> {
        let joined = denoiser.vectors.iter().flat_map(|vectors| &vectors.from);
        let own = joined.filter(|(_, vector)| !vector.is_numbers && parts.contains(&vector.prompt.as_str()));
        let value = |(name, vector): (&String, &JoinedVector)| {
            if let Some(number) = absent.tokens {
                return Ok((name.clone(), Tensor::f_full([vector.size], number, (Kind::Float, self.device))?));
            }
            let array = self.absent_array(&vector.prompt, absent)?;
            let _no_grad = tch::no_grad_guard();
            Ok((name.clone(), self.streams[&vector.prompt].pool(&array, false)?.f_squeeze_dim(0)?))
        };
        own.map(value).collect()
    }

    /// The array that stands for an absent prompt, of one row.
    fn absent_array(&self, prompt: &str, absent: &AbsentPrompt) -> Result<Tensor> {
        let codec = &self.codecs[prompt];
        let array = match &absent.value {
            Some(text) => {
                let (array, refused) = codec.encode(&[Some(Cell::Utf8(text))], 1)?;
                if let Some(refused) = refused.first() {
                    let text = format!("cannot read `absent` of prompt {prompt}, {text:?}: {}", refused.text);
                    return Err(RunError::Data(text));
                }
                array
            }
            None => {
                let shape: Vec<i64> = std::iter::once(1).chain(codec.shape().iter().copied()).collect();
                Tensor::f_full(&shape, absent.fill.unwrap_or_default(), (codec.kind(), tch::Device::Cpu))?
            }
        };
        Ok(array.f_to_device(self.device)?)
    }
}

/// The prompts that a prompt is made of: those side by side in it, or itself.
fn parts<'m>(model: &'m Model, prompt: &'m str) -> Vec<&'m str> {
    match &model.prompts[prompt] {
        PromptConfig::Joined(joined) => joined.features.iter().map(String::as_str).collect(),
        _ => vec![prompt],
    }
}
