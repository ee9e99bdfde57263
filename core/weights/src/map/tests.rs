use super::*;

fn landed(map: &str, name: &str) -> String {
    let landings = KeyMap::find(map).unwrap().land(name);
    landings.iter().map(|landing| landing.name.clone()).collect::<Vec<_>>().join(" ")
}

#[test]
fn all_built_in_maps_are_right_and_take_both_layouts() {
    for name in names() {
        KeyMap::find(name).unwrap();
    }
    for (map, from, to) in [
        ("unet-2d", "conv_in.weight", "conv_in.weight"),
        ("autoencoder-kl", "encoder.mid_block.attentions.0.query.weight", "encoder.mid_block.attentions.0.to_q.weight"),
        (
            "autoencoder-kl",
            "decoder.mid_block.attentions.0.proj_attn.bias",
            "decoder.mid_block.attentions.0.to_out.0.bias",
        ),
        ("autoencoder-kl", "decoder.mid_block.attentions.0.to_q.bias", "decoder.mid_block.attentions.0.to_q.bias"),
        ("autoencoder-tiny", "encoder.layers.14.weight", "encoder.14.weight"),
        ("autoencoder-tiny", "decoder.layers.2.conv.0.weight", "decoder.3.conv.0.weight"),
        ("clip-text", "text_model.final_layer_norm.bias", "text_model.final_layer_norm.bias"),
        ("clip-text", "final_layer_norm.bias", "text_model.final_layer_norm.bias"),
        ("clip-text", "text_projection.weight", "text_projection.weight"),
        ("clip-image", "vision_model.pre_layrnorm.bias", "vision_model.pre_layrnorm.bias"),
        ("clip-scale", "logit_scale", "logit_scale"),
        ("bert", "bert.embeddings.LayerNorm.gamma", "embeddings.LayerNorm.weight"),
        ("bert", "encoder.layer.0.output.dense.weight", "encoder.layer.0.output.dense.weight"),
    ] {
        assert_eq!(landed(map, from), to, "{map}: {from}");
    }
    for (map, name) in [
        ("clip-text", "text_model.embeddings.position_ids"),
        ("clip-text", "embeddings.position_ids"),
        ("clip-text", "vision_model.post_layernorm.bias"),
        ("bert", "embeddings.position_ids"),
        ("bert", "pooler.dense.weight"),
    ] {
        assert!(KeyMap::find(map).unwrap().ignores(name), "{map}: {name}");
    }
    assert!(!KeyMap::find("clip-text").unwrap().ignores("text_model.final_layer_norm.bias"));
}

#[test]
fn tensors_are_split_joined_and_turned() {
    let text = "split {p*}.qkv -> {p}.q {p}.k {p}.v # one line\njoin {p*}.up {p*}.gate -> {p}.both\ntranspose {p*}.w -> {p}.t\n";
    let map = KeyMap::parse("own", text).unwrap();
    let [q, k, v] = [0, 1, 2].map(|part| Transform::Slice { part, of: 3 });
    let landing = |name: &str, transform| Landing { name: name.into(), transform };
    assert_eq!(map.land("a.qkv"), [landing("a.q", q), landing("a.k", k), landing("a.v", v)]);
    assert_eq!(map.land("a.gate"), [landing("a.both", Transform::Joined { part: 1, of: 2 })]);
    assert_eq!(map.land("a.w"), [landing("a.t", Transform::Transposed)]);
    assert_eq!(map.land("a.x"), [landing("a.x", Transform::Whole)]);
}

#[test]
fn a_wrong_line_is_named() {
    for (text, line, words) in [
        ("\nrenam a -> b", 2, "`renam` is no verb"),
        ("rename a b", 1, "no `->`"),
        ("rename a -> b c", 1, "does not take 1 names before `->` and 2 behind"),
        ("split a -> b", 1, "does not take"),
        ("rename a -> {b}", 1, "`{b}` behind `->` is not in every pattern"),
        ("ignore a b", 1, "`ignore` takes one pattern, but there are 2"),
    ] {
        let error = KeyMap::parse("own.map", text).unwrap_err();
        assert_eq!(error.code(), "weights.wrong-map");
        let text = error.to_string();
        assert!(text.contains(&format!("own.map is wrong in line {line}")) && text.contains(words), "{text}");
    }
    let error = KeyMap::find("clip-txt").unwrap_err().to_string();
    assert!(error.contains("no key map `clip-txt`") && error.contains("clip-text"), "{error}");
    assert_eq!(KeyMap::find("maps/none.map").unwrap_err().code(), "weights.read-map");
}
