//! Everything that can be wrong with a model.

use crate::bench::Case;

fn case(from: &str, to: &str) -> Case {
    Case::of("joint.yaml").edit_model(from, to)
}

#[test]
fn unknown_plugin() {
    case("codec: image/gray", "codec: imagee/gray").check("error-unknown-plugin");
}

#[test]
fn unknown_codec() {
    case("codec: image/gray", "codec: image/grey").check("error-unknown-codec");
}

#[test]
fn unknown_module() {
    case("module: image/autoencoder", "module: image/encoder").check("error-unknown-module");
}

#[test]
fn not_a_component() {
    case("codec: image/gray", "codec: image").check("error-not-a-component");
}

#[test]
fn module_as_codec() {
    case("codec: image/gray", "codec: image/autoencoder").check("error-module-as-codec");
}

#[test]
fn modalities_of_codec_and_module() {
    case("module: image/autoencoder", "module: audio/autoencoder").check("error-modalities");
}

#[test]
fn axes_that_differ() {
    let to = "{use: audio/autoencoder, hidden: 256, bands: 32}";
    case("{use: audio/autoencoder, hidden: 256}", to).check("error-axis");
}

#[test]
fn latent_that_differs() {
    case("module: image/autoencoder, latent", "module: {use: image/autoencoder, latent: 16}, latent")
        .check("error-latent");
}

#[test]
fn latent_of_another_rank() {
    case("module: image/autoencoder, latent: [24]", "module: image/autoencoder, latent: [4, 6]").check("error-rank");
}

#[test]
fn latent_without_a_module() {
    case("classes: 10}, latent: [10]", "classes: 12}, latent: [10]").check("error-latent-without-module");
}

#[test]
fn dtypes_and_ranges() {
    let mut integers = case("anyflow: 1", "anyflow: 1");
    integers.catalog.plugins["image"].0.codecs[0].array.dtype = "u8".into();
    integers.check("error-dtype");
    let mut ranges = case("anyflow: 1", "anyflow: 1");
    ranges.catalog.plugins["image"].0.codecs[0].array.range = Some([-1.0, 1.0]);
    ranges.check("error-range");
}

#[test]
fn parameters() {
    case("bands: 40", "band: 40").check("error-unknown-parameter");
    case("bands: 40", "bands: many").check("error-parameter-form");
    case("bands: 40", "bands: 1000").check("error-parameter-bound");
    case("bands: 40", "scale: loq").check("error-parameter-enum");
    case("nine]", "nine, 10]").check("error-parameter-item");
    case("nine]", "nine, one]").check("error-parameter-repeats");
    case("vocabulary: [\"\", zero, one, two, three, four, five, six, seven, eight, nine]\n      ", "")
        .check("error-missing-parameter");
}

#[test]
fn inferred_parameter_out_of_bounds() {
    let mut case = case("anyflow: 1", "anyflow: 1");
    case.catalog.plugins["image"].0.modules[0].parameters["height"]["minimum"] = 32.into();
    case.check("error-inferred-bound");
}

#[test]
fn denoisers() {
    case("over: [image, audio, text, label]", "over: [image, audio, txt, image]").check("error-denoiser-streams");
    case("{kind: residual-mlp, width: 256, blocks: 4}", "{width: 256}").check("error-network-without-kind");
    let unet = "{kind: unet-mlp, width: 60, groups: 8}";
    case("{kind: residual-mlp, width: 256, blocks: 4}", unet).check("error-groups");
    let unet = "{kind: unet, block_out_channels: [32, 40], attention: [true, true, false], num_attention_heads: 12}";
    case("{kind: residual-mlp, width: 256, blocks: 4}", unet).check("error-unet-sizes");
    case("{kind: residual-mlp, width: 256, blocks: 4}", "{kind: unet}").check("error-unet-streams");
    let transformer = "{kind: transformer, width: 35, num_attention_heads: 4}";
    case("{kind: residual-mlp, width: 256, blocks: 4}", transformer).check("error-transformer-sizes");
    let heads = "{kind: residual-mlp, width: 60, num_attention_heads: 8}";
    case("{kind: residual-mlp, width: 256, blocks: 4}", heads).check("error-reading-heads");
    case("predict: x0", "predict: x0\n    precision: fp16").check("error-precision");
    case("{kind: vp-linear}", "{kind: vp-linear, beta_min: 30}").check("error-ascending");
}

#[test]
fn model_without_weights() {
    case("checkpoint: weights/digits.safetensors\n", "").check("error-no-checkpoint");
    Case::of("train.yaml").edit_model("checkpoint: weights/digits.safetensors\n", "").check("fine-no-checkpoint");
}

#[test]
fn a_model_alone_is_checked_as_with_a_pipeline() {
    let alone = |case: &Case| anyflow_plan::compile_model(&case.model, &case.catalog, &[]);
    let mut cases = vec![case("anyflow: 1", "anyflow: 1")];
    cases[0].model = crate::bench::file("image-to-audio.yaml");
    for (from, to) in [
        ("codec: image/gray", "codec: image/grey"),
        ("module: image/autoencoder", "module: audio/autoencoder"),
        ("over: [image, audio, text, label]", "over: [image, audio, txt, image]"),
        ("{kind: vp-linear}", "{kind: vp-linear, beta_min: 30}"),
        ("denoisers:", "aligners: {}\ndenoisers:"),
        ("streams:", "streams: [\n"),
    ] {
        cases.push(case(from, to));
    }
    for case in cases {
        let with_pipeline = case.compile().unwrap_err();
        let of_model: Vec<_> = with_pipeline.iter().filter(|error| error.place.file == case.model.path).collect();
        assert!(!of_model.is_empty());
        assert_eq!(alone(&case).unwrap_err().iter().collect::<Vec<_>>(), of_model);
    }
    for case in [case("anyflow: 1", "anyflow: 1"), case("checkpoint: weights/digits.safetensors\n", "")] {
        let (model, warnings) = alone(&case).unwrap();
        assert_eq!((model.streams.len(), warnings), (4, Vec::new()));
    }
}

#[test]
fn pipeline_as_model() {
    let mut case = Case::of("joint.yaml");
    case.model = crate::bench::file("image-to-audio.yaml");
    case.check("error-pipeline-as-model");
}
