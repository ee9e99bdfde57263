//! Published models as model files. Each family has a file of its own, which reads the configurations that diffusers and
//! transformers write, and headers of weights. Nothing later guesses: what a model file says is all that a run knows.

mod autoencoder_kl;
mod autoencoder_tiny;
mod bert;
mod clip;
mod config;
mod error;
mod folder;
mod latent_diffusion;
mod license;
mod model;
mod scheduler;
mod stable_diffusion;
mod stable_diffusion_xl;
mod taesd;
mod text_encoder;
mod tokenizer;
mod unet;
mod yaml;

pub use error::AdoptError;
pub use folder::ModelFolder;

use config::Config;
use error::Result;
use model::AdoptedModel;

/// Makes a model of a folder.
type Family = fn(&ModelFolder, &Config) -> Result<AdoptedModel>;

/// The families, by the class that a folder names.
const FAMILIES: [(&str, Family); 15] = [
    ("StableDiffusionPipeline", stable_diffusion::adopt),
    ("StableDiffusionImg2ImgPipeline", stable_diffusion::adopt),
    ("StableDiffusionInpaintPipeline", stable_diffusion::adopt),
    ("StableDiffusionXLPipeline", stable_diffusion_xl::adopt),
    ("StableDiffusionXLImg2ImgPipeline", stable_diffusion_xl::adopt),
    ("AutoencoderKL", autoencoder_kl::adopt),
    ("FlaxAutoencoderKL", autoencoder_kl::adopt),
    ("AutoencoderTiny", autoencoder_tiny::adopt),
    ("CLIPModel", clip::adopt),
    ("CLIPTextModel", text_encoder::adopt),
    ("CLIPTextModelWithProjection", text_encoder::adopt),
    ("BertModel", bert::adopt),
    ("BertForMaskedLM", bert::adopt),
    ("FlaxStableDiffusionPipeline", stable_diffusion::adopt),
    ("FlaxStableDiffusionXLPipeline", stable_diffusion_xl::adopt),
];

/// Returns the text of the model file of a folder. `like` names the family of a folder without configurations.
///
/// # Errors
/// [`AdoptError`]: the folder holds no model, one of an unknown class, or one with a switch that we do not build.
pub fn adopt(folder: &ModelFolder, like: Option<&str>) -> Result<String> {
    let mut model = match like {
        Some(like) => taesd::adopt(folder, like)?,
        None => by_class(folder)?,
    };
    model.license = license::of(&folder.path)?;
    Ok(model.yaml())
}

fn by_class(folder: &ModelFolder) -> Result<AdoptedModel> {
    let config = ["model_index.json", "config.json"].iter().find(|name| folder.path.join(name).is_file());
    let Some(name) = config else { return Err(AdoptError::NoModel { folder: folder.path.display().to_string() }) };
    let config = Config::read(&folder.path.join(name))?;
    let class = config.class()?;
    match FAMILIES.iter().find(|(known, _)| *known == class) {
        Some((_, family)) => family(folder, &config),
        None => {
            let known = FAMILIES.iter().map(|(known, _)| *known).filter(|known| !known.starts_with("Flax"));
            let known = known.collect::<Vec<_>>().join(", ");
            Err(AdoptError::UnknownClass { path: config.path(), class, known })
        }
    }
}

#[cfg(test)]
mod tests;
