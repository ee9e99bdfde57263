use safetensors::Dtype;

use super::*;
use crate::header::TensorEntry;

fn expected(tensors: &[(&str, &[usize])]) -> Vec<ExpectedTensor> {
    tensors
        .iter()
        .map(|(name, shape)| ExpectedTensor { name: name.to_string(), shape: shape.to_vec(), is_optional: false })
        .collect()
}

fn listing(tensors: &[(&str, &[usize])]) -> Listing {
    let entry = |(name, shape): &(&str, &[usize])| TensorEntry {
        name: name.to_string(),
        dtype: Dtype::F16,
        shape: shape.to_vec(),
        size_bytes: 2 * shape.iter().product::<usize>(),
    };
    Listing { files: vec!["unet/model.safetensors".into()], tensors: tensors.iter().map(entry).collect() }
}

fn report(wanted: &[(&str, &[usize])], map: &str, held: &[(&str, &[usize])]) -> WeightsReport {
    let map = KeyMap::parse("own", map).unwrap();
    let files = PartFiles { part: "denoisers.d", inside: "", map: &map, listing: &listing(held) };
    WeightsReport::new(&expected(wanted), &[files])
}

#[test]
fn each_tensor_counts_once() {
    let wanted: &[(&str, &[usize])] = &[("denoisers.d.a", &[2, 3]), ("denoisers.d.b", &[4]), ("denoisers.e.c", &[1])];
    let map = "rename old -> a\nignore buffer";
    let found = report(wanted, map, &[("old", &[2, 3]), ("b", &[5]), ("buffer", &[9]), ("odd", &[1])]);
    let part = &found.parts[0];
    assert_eq!((part.used, part.size_bytes), (2, 22));
    assert_eq!((part.unused.clone(), part.ignorable.clone()), (vec!["odd".to_string()], vec!["buffer".to_string()]));
    assert_eq!(part.misshapen[0].to_string(), "denoisers.d.b is [5], the model wants [4]");
    assert!(part.missing.is_empty() && !found.is_complete() && found.has_unused());
    assert_eq!(found.uncovered, ["denoisers.e.c"]);
    assert!(found.refusal().unwrap().text.contains("no file for 1 of 3 weights: denoisers.e.c"), "{found:?}");
}

#[test]
fn a_missing_weight_has_its_near_name() {
    let wanted: &[(&str, &[usize])] =
        &[("denoisers.d.mid.attn.to_q.weight", &[8, 8]), ("denoisers.d.mid.norm.weight", &[8])];
    let held: &[(&str, &[usize])] = &[("mid.attn.qkv.weight", &[24, 8]), ("mid.norms.weight", &[8])];
    let found = report(wanted, "", held);
    let near: Vec<Option<&str>> = found.parts[0].missing.iter().map(|missing| missing.near.as_deref()).collect();
    assert_eq!(near, [Some("mid.attn.qkv.weight, split in three?"), Some("mid.norms.weight")]);
    let Refusal { path, text: refusal } = found.refusal().unwrap();
    assert_eq!(path.as_deref(), Some("unet/model.safetensors"));
    assert!(refusal.starts_with("does not belong to this model: missing: denoisers.d.mid.attn"), "{refusal}");
    assert!(refusal.contains("(did you mean, in the file: mid.norms.weight)"), "{refusal}");
}

#[test]
fn splits_and_joins_have_the_shapes_of_their_parts() {
    let wanted: &[(&str, &[usize])] =
        &[("denoisers.d.q", &[2, 4]), ("denoisers.d.k", &[2, 4]), ("denoisers.d.both", &[5, 3])];
    let map = "split qk -> q k\njoin up gate -> both";
    let found = report(wanted, map, &[("qk", &[4, 4]), ("up", &[2, 3]), ("gate", &[3, 3])]);
    assert!(found.is_complete() && !found.has_unused() && found.refusal().is_none(), "{found:?}");
    assert_eq!(found.parts[0].used, 3);
    let wrong = report(wanted, map, &[("qk", &[6, 4]), ("up", &[2, 3]), ("gate", &[3, 4])]);
    assert_eq!(wrong.parts[0].misshapen.len(), 3, "{wrong:?}");
}

#[test]
fn the_longest_part_owns_a_weight() {
    let map = KeyMap::default();
    let (all, inner) = (listing(&[("x", &[1])]), listing(&[("deep.y", &[1])]));
    let files = [
        PartFiles { part: "streams.s.module", inside: "", map: &map, listing: &all },
        PartFiles { part: "streams.s.module.encoder", inside: "deep", map: &map, listing: &inner },
    ];
    let wanted = expected(&[
        ("streams.s.module.x", &[1]),
        ("streams.s.module.encoder.y", &[1]),
        ("streams.s.module.encoder.z", &[1]),
    ]);
    let found = WeightsReport::new(&wanted, &files);
    assert!(found.parts[0].missing.is_empty() && found.parts[1].missing[0].name == "streams.s.module.encoder.z");
    let optional = KeyMap::parse("own", "optional z").unwrap();
    let files = [files[0], PartFiles { map: &optional, ..files[1] }];
    assert!(WeightsReport::new(&wanted, &files).is_complete());
}

#[test]
fn ten_names_are_shown_and_the_others_counted() {
    let names: Vec<String> = (0..13).map(|n| format!("denoisers.d.n{n}")).collect();
    let wanted: Vec<(&str, &[usize])> = names.iter().map(|name| (name.as_str(), &[1usize][..])).collect();
    let remarks = report(&wanted, "", &[]).parts[0].remarks();
    assert!(remarks[0].ends_with("denoisers.d.n9, and 3 more"), "{remarks:?}");
}
