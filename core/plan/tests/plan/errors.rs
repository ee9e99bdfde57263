//! Everything that can be wrong with a pipeline.

use crate::bench::Case;

const AUDIO: &str = "image-to-audio.yaml";

#[test]
fn unknown_stream() {
    Case::of(AUDIO).edit("diffuse: [audio]", "diffuse: [audoi]").check("error-unknown-stream");
}

#[test]
fn unknown_node() {
    Case::of(AUDIO).edit("from: joint.audio", "from: joimt.audio").check("error-unknown-node");
}

#[test]
fn unknown_port() {
    Case::of(AUDIO).edit("from: joint.audio", "from: joint.auido").check("error-unknown-port");
}

#[test]
fn port_of_a_marginalized_stream() {
    Case::of(AUDIO).edit("from: joint.audio", "from: joint.text").check("error-dropped-port");
}

#[test]
fn port_of_a_stream_that_is_observed() {
    Case::of(AUDIO).edit("from: joint.audio", "from: joint.image").check("error-observed-port");
}

#[test]
fn node_without_its_port() {
    Case::of(AUDIO).edit("from: joint.audio", "from: joint").check("error-port-wanted");
}

#[test]
fn port_of_a_node_with_one() {
    Case::of(AUDIO).edit("audio: sound", "audio: sound.audio").check("error-no-ports");
}

#[test]
fn unknown_key() {
    Case::of(AUDIO).edit("observe:", "observ:").check("error-unknown-key");
}

#[test]
fn missing_key() {
    Case::of(AUDIO).edit(", from: picture", "").check("error-missing-key");
}

#[test]
fn wrong_form() {
    Case::of(AUDIO).edit("diffuse: [audio]", "diffuse: audio").check("error-wrong-form");
}

#[test]
fn unknown_kind() {
    Case::of(AUDIO).edit("kind: ddim", "kind: dimm").check("error-unknown-kind");
}

#[test]
fn unknown_key_of_a_kind() {
    Case::of(AUDIO).edit("steps: 50", "stpes: 50").check("error-unknown-key-of-kind");
}

#[test]
fn number_out_of_bounds() {
    Case::of(AUDIO).edit("steps: 50", "steps: 0, eta: 1.5").check("error-out-of-bounds");
}

#[test]
fn cycle() {
    let case = Case::of(AUDIO)
        .edit("from: picture}", "from: back}")
        .edit("outputs:", "  heard: {encode: audio/autoencoder, from: sound}\noutputs:")
        .edit("outputs:", "  second: {diffuse: [image], observe: {audio: heard}}\noutputs:")
        .edit("outputs:", "  back: {decode: image/autoencoder, from: second.image}\noutputs:");
    let errors = case.compile().unwrap_err();
    let has_seven = |error: &anyflow_plan::Error| error.parts["nodes"].as_array().is_some_and(|nodes| nodes.len() == 7);
    assert!(errors.iter().any(|error| error.code == "cycle" && has_seven(error)));
    case.check("error-cycle");
}

#[test]
fn cycle_of_one() {
    Case::of(AUDIO).edit("observe: {image: seen}", "observe: {image: joint.audio}").check("error-cycle-of-one");
}

#[test]
fn duplicate_key() {
    Case::of(AUDIO)
        .edit("outputs:", "  seen: {encode: image/autoencoder, from: picture}\noutputs:")
        .check("error-duplicate-key");
}

#[test]
fn node_named_like_an_input() {
    Case::of(AUDIO).edit("  sound:", "  picture:").check("error-duplicate-name");
}

#[test]
fn stream_in_two_lists() {
    Case::of(AUDIO).edit("diffuse: [audio]", "diffuse: [audio, image]").check("error-stream-twice");
}

#[test]
fn name_with_a_dot() {
    Case::of(AUDIO).edit("  sound:", "  sound.one:").check("error-bad-name");
}

#[test]
fn names_that_no_file_could_have() {
    for name in ["a/b", "/escaped", "a\\b", &"x".repeat(101)] {
        let errors = Case::of(AUDIO).edit("  sound:", &format!("  {name}:")).compile().unwrap_err();
        let refused = |error: &anyflow_plan::Error| error.code == "bad-name" && error.parts["name"] == name;
        assert!(errors.iter().any(refused), "{errors}");
    }
}

#[test]
fn wrong_modality_on_an_edge() {
    Case::of(AUDIO).edit("decode: audio/autoencoder", "decode: text/autoencoder").check("error-edge-latent");
}

#[test]
fn wrong_cells_on_an_edge() {
    Case::of(AUDIO).edit("modality: image", "modality: audio").check("error-edge-cells");
}

#[test]
fn observed_latent_of_another_stream() {
    Case::of(AUDIO).edit("observe: {image: seen}", "observe: {text: seen}").check("error-edge-observe");
}

#[test]
fn unknown_modality() {
    Case::of(AUDIO).edit("modality: image", "modality: imgae").check("error-unknown-modality");
}

#[test]
fn a_stream_in_the_place_of_its_component() {
    Case::of(AUDIO).edit("encode: image/autoencoder", "encode: image").check("fine-stream-itself");
}

#[test]
fn codec_where_the_module_is_wanted() {
    Case::of(AUDIO).edit("encode: image/autoencoder", "encode: image/gray").check("error-codec-as-module");
}

#[test]
fn component_that_no_stream_uses() {
    Case::of(AUDIO).edit("encode: image/autoencoder", "encode: image/autoencodr").check("error-unused-component");
}

#[test]
fn component_of_two_streams() {
    let model = ("streams:\n", "streams:\n  other: {codec: image/gray, module: image/autoencoder, latent: [8]}\n");
    let case = || Case::of(AUDIO).edit_model(model.0, model.1);
    case().check("error-ambiguous-component");
    case().edit("from: picture}", "from: picture, stream: audio}").check("error-stream-does-not-use");
    case().edit("from: picture}", "from: picture, stream: image}").check("fine-stream-named");
}

#[test]
fn module_without_the_role() {
    Case::of(AUDIO)
        .edit_model("module: image/autoencoder", "module: image/classifier")
        .edit("encode: image/autoencoder", "encode: image/classifier")
        .check("error-no-role");
}

#[test]
fn node_without_an_action() {
    Case::of(AUDIO).edit("decode: audio/autoencoder, ", "").check("error-no-action");
    Case::of(AUDIO).edit("decode:", "decod:").check("error-misspelt-action");
}

#[test]
fn streams_without_a_common_denoiser() {
    let joint = "    over: [image, audio, text, label]\n";
    Case::of(AUDIO).edit_model(joint, "    over: [image, text]\n").check("error-no-denoiser");
}

#[test]
fn two_denoisers_over_the_streams() {
    let second = "denoisers:\n  other: {over: [image, audio], network: {kind: residual-mlp}}\n";
    Case::of(AUDIO).edit_model("denoisers:\n", second).check("error-two-denoisers");
    let named = Case::of(AUDIO).edit_model("denoisers:\n", second).edit("diffuse:", "denoiser: other, diffuse:");
    named.check("fine-denoiser-named");
}

#[test]
fn things_that_are_not_used() {
    Case::of(AUDIO)
        .edit("inputs: {", "inputs: {word: {modality: text}, ")
        .edit("diffuse: [audio]", "diffuse: [audio, text]")
        .edit("outputs:", "  spare: {encode: text/autoencoder, from: word}\noutputs:")
        .check("warning-unused");
}

#[test]
fn several_errors_at_once() {
    Case::of(AUDIO)
        .edit("diffuse: [audio]", "diffuse: [audoi]")
        .edit("kind: ddim", "kind: dimm")
        .edit("from: picture", "from: pictuer")
        .edit("outputs: {audio: sound}", "outputs: {audio: sond}\nextra: 1")
        .edit_model("codec: image/gray", "codec: imgae/gray")
        .edit_model("predict: x0", "predict: x1")
        .check("error-several");
}

#[test]
fn errors_as_json() {
    let errors = Case::of(AUDIO).edit("diffuse: [audio]", "diffuse: [audoi]").compile().unwrap_err();
    crate::bench::snapshot("error-as-json", &serde_json::to_string_pretty(&errors).unwrap());
}

#[test]
fn module_that_only_encodes() {
    let mut case = Case::of("joint.yaml");
    case.catalog.plugins["image"].0.modules[0].roles.truncate(1);
    case.check("error-encodes-only");
}

#[test]
fn weights_of_a_part_that_the_model_lacks() {
    let parts = "checkpoint: {streams.imag.module.encoder: {from: tiny.pth, part: ''}}";
    Case::of(AUDIO).edit_model("checkpoint: weights/digits.safetensors", parts).check("error-checkpoint-part");
}

#[test]
fn weights_of_a_part_without_a_file() {
    let parts = "checkpoint: {streams.image.module: {part: ''}, denoisers.joint: {form: a.pth}}";
    Case::of(AUDIO).edit_model("checkpoint: weights/digits.safetensors", parts).check("error-checkpoint-file");
}
