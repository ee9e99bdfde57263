//! Data made out of a seed.

use anyflow_datasets::{Dataset, Generation, Generator, generate, generated};

fn generation(rows: u64, seed: u64) -> Generation {
    Generation { generator: Generator::Glyphs, rows, seed }
}

#[test]
fn a_seed_gives_one_file_and_another_seed_another() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |name: &str, seed: u64| {
        let path = folder.path().join(name);
        generate(generation(30, seed), &path).unwrap();
        std::fs::read(path).unwrap()
    };
    assert!(bytes("a", 1) == bytes("b", 1));
    assert!(bytes("a", 1) != bytes("c", 2));
}

#[test]
fn more_rows_begin_with_the_same_ones() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |count: u64| {
        let path = folder.path().join(format!("{count}.parquet"));
        generate(generation(count, 5), &path).unwrap();
        Dataset::open(&[path]).unwrap().read(None, 0..12, 12).unwrap().next().unwrap().unwrap()
    };
    assert_eq!(rows(12).columns(), rows(40).columns());
}

#[test]
fn a_file_is_known_by_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("glyphs.parquet");
    assert!(!generated(generation(20, 3), &path));
    let features = generate(generation(20, 3), &path).unwrap();
    assert!(generated(generation(20, 3), &path));
    assert!(!generated(generation(21, 3), &path) && !generated(generation(20, 4), &path));
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
