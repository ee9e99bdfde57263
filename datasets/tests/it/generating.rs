//! Data generated from a seed.

use anyflow_datasets::{Combinations, Dataset, Generation, Generator, generate, generated};
use indexmap::IndexMap;
use serde_json::{Value, json};

fn generation(rows: u64, seed: u64) -> Generation {
    Generation::new(Generator::Glyphs, rows, seed)
}

#[test]
fn a_seed_gives_one_file_and_another_seed_another() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |name: &str, seed: u64| {
        let path = folder.path().join(name);
        generate(&generation(30, seed), &path).unwrap();
        std::fs::read(path).unwrap()
    };
    assert!(bytes("a", 1) == bytes("b", 1));
    assert!(bytes("a", 1) != bytes("c", 2));
}

#[test]
fn a_longer_dataset_begins_with_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |count: u64| {
        let path = folder.path().join(format!("{count}.parquet"));
        generate(&generation(count, 5), &path).unwrap();
        Dataset::open(&[path]).unwrap().read(None, 0..12, 12).unwrap().next().unwrap().unwrap()
    };
    assert_eq!(rows(12).columns(), rows(40).columns());
}

#[test]
fn a_file_is_recognized_by_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("glyphs.parquet");
    assert!(!generated(&generation(20, 3), &path));
    let features = generate(&generation(20, 3), &path).unwrap();
    assert!(generated(&generation(20, 3), &path));
    assert!(!generated(&generation(21, 3), &path) && !generated(&generation(20, 4), &path));
    let dataset = Dataset::open(&[path]).unwrap();
    assert_eq!(*dataset.features(), features);
    assert_eq!(features, Generator::Glyphs.features());
    assert_eq!(dataset.rows(), 20);
}

#[test]
fn generators_are_found_by_name() {
    assert!(Generator::ALL.into_iter().all(|generator| Generator::named(generator.name()) == Some(generator)));
    assert_eq!(Generator::named("glyph"), None);
}

#[test]
fn a_generator_takes_the_keys_that_it_describes() {
    let with = |generator, parameters: Value, files: &[&str]| {
        let files = files.iter().map(|key| (key.to_string(), vec!["file".into()])).collect::<IndexMap<_, _>>();
        Generation::new(generator, 3, 1).with(parameters.as_object().unwrap(), files)
    };
    let described = Generator::Captions.parameters();
    let words = described["combinations"]["enum"].as_array().unwrap();
    let taken =
        words.iter().map(|word| with(Generator::Captions, json!({"combinations": word}), &[]).unwrap().combinations);
    assert_eq!(taken.collect::<Vec<_>>(), Combinations::ALL);
    assert_eq!(described["shapes"]["format"], "source");
    assert_eq!(with(Generator::Captions, json!({}), &["shapes"]).unwrap().shapes, [std::path::PathBuf::from("file")]);
    assert!(with(Generator::Captions, json!({"combinations": "unseen"}), &[]).unwrap_err().contains("captions"));
    assert!(Generator::Glyphs.parameters().is_empty());
    assert!(with(Generator::Glyphs, json!({"combinations": "all"}), &[]).is_err());
    assert!(with(Generator::Glyphs, json!({}), &["shapes"]).is_err());
}

#[test]
fn captions_use_shapes_of_a_dataset_and_exclude_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let shapes = folder.path().join("shapes.parquet");
    let out = folder.path().join("captions.parquet");
    generate(&generation(20, 3), &shapes).unwrap();
    let numbers = |dataset: &Dataset, column: &str| -> Vec<i64> {
        let batch = dataset.read(Some(&[column]), 0..dataset.rows(), 1000).unwrap().next().unwrap().unwrap();
        let cells = dataset.cells(&batch, column).unwrap();
        let number = |row| match cells.get(row).unwrap().unwrap() {
            anyflow_datasets::Cell::I64(number) => number,
            other => panic!("{other:?}"),
        };
        (0..cells.len()).map(number).collect()
    };
    let mut pairs = Vec::new();
    for combinations in [Combinations::Seen, Combinations::HeldOut] {
        let asked =
            Generation { combinations, shapes: vec![shapes.clone()], ..Generation::new(Generator::Captions, 300, 1) };
        generate(&asked, &out).unwrap();
        assert!(generated(&asked, &out));
        assert!(!generated(&Generation { shapes: Vec::new(), ..asked.clone() }, &out));
        let dataset = Dataset::open(std::slice::from_ref(&out)).unwrap();
        let (label, colour, pair) =
            (numbers(&dataset, "label"), numbers(&dataset, "colour"), numbers(&dataset, "combination"));
        assert!((0..300).all(|row| pair[row] == colour[row] * 10 + label[row]));
        pairs.push(pair);
    }
    assert!(pairs[0].iter().all(|pair| !pairs[1].contains(pair)), "no pair is seen and held out");
    let wrong = Generation { shapes: vec![out.clone()], ..Generation::new(Generator::Captions, 3, 1) };
    let error = generate(&wrong, &folder.path().join("wrong.parquet")).unwrap_err().to_string();
    assert!(error.contains("gray images of 28 x 28"), "{error}");
}

#[test]
fn combinations_are_found_by_name() {
    assert!(Combinations::ALL.into_iter().all(|choice| Combinations::named(choice.name()) == Some(choice)));
    assert_eq!(Combinations::named("unseen"), None);
}
