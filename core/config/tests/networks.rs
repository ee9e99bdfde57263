//! The facts about networks: sites, sizes that fit, streams that they take, what they attend to.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use anyflow_config::auxiliary::Conv;
use anyflow_config::network::{Architecture, Part, PatchLayout};
use anyflow_config::{Head, HeadLoss, HeadMisfit, Network, SiteSpec};
use serde_json::{Value, json};

fn part(value: Value) -> Part {
    serde_json::from_value(value).unwrap()
}

fn network(value: Value) -> Network {
    serde_json::from_value(value).unwrap()
}

fn sites(value: Value, streams: &[&[i64]]) -> Vec<(String, Vec<i64>)> {
    part(value).sites(streams).into_iter().map(|spec| (spec.site.to_string(), spec.shape)).collect()
}

fn site(name: &str, shape: &[i64]) -> (String, Vec<i64>) {
    (name.to_string(), shape.to_vec())
}

#[test]
fn sites_have_the_shapes_of_their_streams() {
    let unet = json!({"kind": "unet", "block_out_channels": [8, 16], "norm_num_groups": 4});
    let wanted = [("down.0", [8, 7, 6]), ("down.1", [16, 4, 3]), ("middle", [16, 4, 3])];
    let back = [("up.0", [16, 4, 3]), ("last", [8, 7, 6])];
    let wanted: Vec<_> = wanted.into_iter().chain(back).map(|(name, shape)| site(name, &shape)).collect();
    assert_eq!(sites(unet.clone(), &[&[3, 7, 6], &[1, 7, 6]]), wanted);
    assert_eq!(sites(unet.clone(), &[&[5, 3, 7, 6]])[1], site("down.1", &[5, 16, 4, 3]), "frames come first");
    assert_eq!(sites(unet, &[&[24]]), []);
    let mlp = json!({"kind": "residual-mlp", "width": 32, "blocks": 2});
    let names = ["block.0", "block.1", "middle", "last"];
    assert_eq!(sites(mlp, &[&[24]]), names.map(|name| site(name, &[32])));
    let transformer = json!({"kind": "transformer", "width": 16, "blocks": 1, "patch": 2});
    assert_eq!(sites(transformer, &[&[3, 4, 6], &[5, 7], &[9]])[2], site("last", &[6 + 5 + 1, 16]));
    assert_eq!(sites(json!({"kind": "unet-mlp"}), &[&[24]]), []);
    let known = part(json!({"kind": "residual-mlp"})).sites(&[]);
    assert!(SiteSpec::named(&known, "block.3").is_some() && SiteSpec::named(&known, "block.4").is_none());
}

#[test]
fn patches_fill_a_map() {
    let layout = |shape: &[i64]| PatchLayout::new(shape, 2).map(|layout| (layout.tokens, layout.features));
    assert_eq!(layout(&[7]), Some((1, 7)));
    assert_eq!(layout(&[5, 7]), Some((5, 7)));
    assert_eq!(layout(&[3, 4, 6]), Some((6, 12)));
    assert_eq!(layout(&[2, 3, 4, 6]), Some((12, 12)));
    assert_eq!((layout(&[3, 5, 6]), layout(&[]), layout(&[1, 2, 3, 4, 6])), (None, None, None));
}

#[test]
fn sizes_that_do_not_divide_are_misfits() {
    let keys = |value: Value, prompted| -> Vec<String> {
        network(value).misfits(prompted).into_iter().map(|misfit| misfit.key).collect()
    };
    let odd = json!({"kind": "residual-mlp", "width": 36});
    assert_eq!(keys(odd.clone(), false), [""; 0], "without attention there are no heads");
    assert_eq!(keys(odd.clone(), true), ["num_attention_heads"]);
    assert_eq!(keys(json!({"kind": "residual-mlp", "width": 36, "num_attention_heads": 8}), false).len(), 1);
    assert_eq!(keys(json!({"kind": "unet-mlp", "width": 30}), false), ["groups"]);
    assert_eq!(keys(json!({"kind": "transformer", "width": 35}), false), ["num_attention_heads", "width"]);
    assert_eq!(keys(json!({"kind": "unet", "block_out_channels": [33]}), false), ["block_out_channels"]);
    let unet = json!({"kind": "unet", "block_out_channels": [32, 40], "attention": [true, true, false]});
    assert_eq!(keys(unet, false), ["attention", "norm_num_groups"]);
    let unet = |temporal| {
        json!({
            "kind": "unet", "block_out_channels": [6, 8], "attention": [false], "num_attention_heads": [4],
            "norm_num_groups": 2, "temporal": temporal
        })
    };
    assert_eq!((keys(unet(false), false).len(), keys(unet(true), false)), (0, vec!["num_attention_heads".to_string()]));
    // Parts of a coupled network attend to each other; of a dual-stream network only those that read.
    let parts = json!({"a": odd, "b": {"kind": "residual-mlp"}});
    assert_eq!(keys(json!({"kind": "coupled", "parts": parts}), false), ["parts.a.num_attention_heads"]);
    let reads = |reader: &str, trunk: &str| json!({"kind": "dual-stream", "parts": parts, "reads": {reader: {"stream": trunk, "sites": ["last"]}}});
    assert_eq!(keys(reads("a", "b"), false).len(), 1);
    assert_eq!((keys(reads("b", "a"), false).len(), keys(reads("b", "a"), true).len()), (0, 1));
}

#[test]
fn networks_say_which_streams_they_need() {
    let needs = |value: Value, shape: &[i64], first: &[i64]| part(value).needs(shape, first);
    let unet = json!({"kind": "unet"});
    assert_eq!(needs(unet.clone(), &[3, 8, 8], &[1, 8, 8]), None);
    assert!(needs(unet.clone(), &[3, 8, 9], &[1, 8, 8]).unwrap().contains("equal size"));
    assert!(needs(unet, &[24], &[24]).is_some());
    let temporal = json!({"kind": "unet", "temporal": true});
    assert!(needs(temporal.clone(), &[3, 8, 8], &[3, 8, 8]).unwrap().contains("`temporal`"));
    assert_eq!(needs(temporal, &[2, 3, 8, 8], &[2, 3, 8, 8]), None);
    let transformer = json!({"kind": "transformer"});
    assert!(needs(transformer.clone(), &[3, 8, 7], &[9]).unwrap().contains("`patch` = 2"));
    assert_eq!(needs(transformer, &[9], &[3, 8, 8]), None);
    assert_eq!(needs(json!({"kind": "residual-mlp"}), &[1, 2, 3, 4, 5], &[9]), None);
    let can = |kind: &str| part(json!({"kind": kind})).can_attend();
    assert_eq!(["residual-mlp", "unet-mlp", "unet", "transformer"].map(can), [true, false, true, true]);
}

#[test]
fn a_head_says_why_it_cannot_predict_a_stream() {
    let mlp = Head { loss: HeadLoss::Mse, ..Head::default() };
    let class = Head { loss: HeadLoss::CrossEntropy, ..Head::default() };
    let conv = Head { network: Conv::default().into(), ..mlp.clone() };
    for (head, features, target, wanted) in [
        (&mlp, &[32][..], &[3, 8, 8][..], None),
        (&mlp, &[5, 32], &[7], None),
        (&mlp, &[2, 16, 4, 4], &[7], Some(HeadMisfit::Axes)),
        (&class, &[32], &[10], None),
        (&class, &[32], &[3, 8, 8], Some(HeadMisfit::Loss)),
        (&conv, &[16, 8, 8], &[3, 8, 8], None),
        (&conv, &[16, 4, 4], &[3, 8, 8], Some(HeadMisfit::Size)),
        (&conv, &[32], &[10], Some(HeadMisfit::Size)),
    ] {
        assert_eq!(head.misfit(features, target), wanted, "{features:?} to {target:?}");
    }
}
