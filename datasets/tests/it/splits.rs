//! What a folder stands for: splits, folders below it, cards, patterns, columns in names of folders.

use std::path::{Path, PathBuf};

use crate::support::{all_ids, numbered, open, value};
use anyflow_datasets::{Cell, Dataset, DatasetError, Fault};

/// A file of two rows, of which `first` is the first id.
fn put(path: &Path, first: i64) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    numbered(path, first, 2, 2);
}

/// A folder with a file of two rows for each name; the ids are 0, 1; 10, 11; ...
fn folder(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    (0..).zip(names).for_each(|(index, name)| put(&folder.path().join(name), index * 10));
    folder
}

fn part(folder: &Path, part: &str) -> PathBuf {
    PathBuf::from(format!("{}#{part}", folder.display()))
}

fn refused(path: &Path) -> String {
    let error = Dataset::open(&[path.to_path_buf()]).unwrap_err();
    assert_eq!(error.fault(), Fault::User, "{error}");
    error.to_string()
}

fn texts(dataset: &Dataset, column: &str) -> Vec<Option<String>> {
    let mut found = Vec::new();
    for batch in dataset.read(Some(&[column]), 0..dataset.rows(), 3).unwrap() {
        let cells = dataset.cells(&batch.unwrap(), column).unwrap();
        found.extend((0..cells.len()).map(|row| match cells.get(row).unwrap() {
            Some(Cell::Utf8(text)) => Some(text.to_string()),
            Some(Cell::I64(number)) => Some(number.to_string()),
            _ => None,
        }));
    }
    found
}

#[test]
fn part_files_are_read_in_the_order_of_their_numbers() {
    let folder = folder(&["part-10.parquet", "part-2.parquet", "part-1.parquet"]);
    assert_eq!(all_ids(&open(folder.path())), [20, 21, 10, 11, 0, 1]);
    assert_eq!(all_ids(&open(&folder.path().join("part-*.parquet"))), [20, 21, 10, 11, 0, 1]);
    let deep = self::folder(&["day=10/a.parquet", "day=9/b.parquet", "day=9/a2.parquet", "day=9/a10.parquet"]);
    assert_eq!(all_ids(&open(deep.path())), [20, 21, 30, 31, 10, 11, 0, 1]);
    std::fs::write(folder.path().join("README.md"), "---\nconfigs:\n- data_files: part-*.parquet\n---\n").unwrap();
    assert_eq!(all_ids(&open(folder.path())), [20, 21, 10, 11, 0, 1]);
}

#[test]
fn splits_are_mixed_only_if_asked_for() {
    let folder = folder(&[
        "data/test-00000-of-00001.parquet",
        "data/train-00000-of-00002.parquet",
        "data/train-00001-of-00002.parquet",
    ]);
    for root in [folder.path().to_path_buf(), folder.path().join("data")] {
        let text = refused(&root);
        assert!(text.contains("the splits test, train") && text.contains("#test,") && text.contains("#all"), "{text}");
        assert_eq!(all_ids(&open(&part(&root, "test"))), [0, 1]);
        assert_eq!(all_ids(&open(&part(&root, "train"))), [10, 11, 20, 21]);
        assert_eq!(all_ids(&open(&part(&root, "all"))), [0, 1, 10, 11, 20, 21]);
        let text = refused(&part(&root, "validation"));
        assert!(text.contains("no split `validation`") && text.contains("#train"), "{text}");
    }
    // Files that the user names are meant.
    let names =
        ["test-00000-of-00001", "train-00000-of-00002"].map(|name| folder.path().join(format!("data/{name}.parquet")));
    assert_eq!(Dataset::open(&names).unwrap().rows(), 4);
    assert!(refused(&part(&names[0], "test")).contains("only folders and patterns have splits"));
}

#[test]
fn patterns_mix_splits_only_if_asked_for() {
    let files = folder(&["test/d/test-0.parquet", "test/d/train-0.parquet", "test/d/train-1.parquet"]);
    // A folder above the pattern says nothing about its files.
    let root = files.path().join("test");
    for pattern in ["d/*.parquet", "d/t*", "**/*.parquet", "*/t*-?.parquet", "d/{train,test}-0.parquet"] {
        let text = refused(&root.join(pattern));
        let all = format!("'{}#all'", root.join(pattern).display());
        assert!(text.contains("the splits test, train, which are not read together"), "{pattern}: {text}");
        assert!(text.contains("#train', ") && text.ends_with(&all), "{pattern}: {text}");
        assert_eq!(all_ids(&open(&part(&root.join(pattern), "test"))), [0, 1], "{pattern}");
        assert_eq!(all_ids(&open(&part(&root.join(pattern), "all")))[..4], [0, 1, 10, 11], "{pattern}");
        let text = refused(&part(&root.join(pattern), "validation"));
        assert!(text.contains("there is no split `validation`"), "{pattern}: {text}");
    }
    assert_eq!(all_ids(&open(&root.join("d/train-*"))), [10, 11, 20, 21]);
    // Names of folders are splits too, also those of folders that the pattern matches.
    let deep = folder(&["h/dev/a.parquet", "h/train/a.parquet"]);
    for pattern in ["h/*/a.parquet", "h/*"] {
        let text = refused(&deep.path().join(pattern));
        assert!(text.contains("the splits validation, train"), "{pattern}: {text}");
        assert_eq!(text.contains("#train'"), pattern == "h/*/a.parquet", "{text}");
        assert_eq!(all_ids(&open(&part(&deep.path().join(pattern), "all"))), [0, 1, 10, 11]);
    }
    let other = folder(&["a.parquet", "test.parquet"]);
    assert!(refused(&other.path().join("*")).contains("the splits test, and files of no split, such as a.parquet"));
}

#[test]
fn words_in_names_are_splits_and_other_names_are_not() {
    let mixed = folder(&["dev.parquet", "train/a.parquet"]);
    assert!(refused(mixed.path()).contains("folders below it"));
    let words = folder(&["x_dev.parquet", "x_train.parquet"]);
    assert!(refused(words.path()).contains("validation, train"), "{}", refused(words.path()));
    for name in ["validation", "dev", "val"] {
        assert_eq!(all_ids(&open(&part(words.path(), name))), [0, 1], "{name}");
    }
    let some = folder(&["extra.parquet", "test.parquet"]);
    assert!(refused(some.path()).contains("the splits test, and files of no split, such as extra.parquet"));
    let none = folder(&["part-0.parquet", "part-1.parquet", "contest.parquet"]);
    assert_eq!(open(none.path()).rows(), 6);
    let one = folder(&["test-0.parquet", "test-1.parquet"]);
    assert_eq!(open(one.path()).rows(), 4);
}

#[test]
fn a_name_with_a_number_sign_is_a_name_first() {
    let odd = folder(&["a#test/x.parquet", "a/test.parquet", "a/train.parquet"]);
    assert_eq!(all_ids(&open(&odd.path().join("a#test"))), [0, 1]);
    assert_eq!(all_ids(&open(&odd.path().join("a#train"))), [20, 21]);
    assert!(matches!(Dataset::open(&[odd.path().join("b#test")]), Err(DatasetError::Missing { .. })));
}

#[test]
fn files_of_other_endings_and_in_folders_below_are_read() {
    let caps = folder(&["a.parquet", "b.PARQUET", "c.pq", "_d.parquet", ".e.parquet"]);
    assert_eq!(all_ids(&open(caps.path())), [0, 1, 10, 11, 20, 21]);
    let deep = folder(&["x/y/a.parquet", "x/b.parquet", "z/c.parquet", "_private/d.parquet"]);
    assert!(open(deep.path()).folder().is_none());
    assert_eq!(all_ids(&open(deep.path())).len(), 6);
    let both = folder(&["a.parquet", "x/b.parquet"]);
    let text = refused(both.path());
    assert!(text.contains("in this folder (a.parquet) and in folders below it (x/b.parquet)"), "{text}");
    assert_eq!(all_ids(&open(&part(both.path(), "all"))), [0, 1, 10, 11]);
    let empty = folder(&[]);
    assert!(refused(empty.path()).contains("no *.parquet file in this folder or below it"));
}

#[test]
fn patterns_are_expanded() {
    let files = folder(&["h/a/x.parquet", "h/b/y.parquet", "h/b/z.txt.parquet", "i/w[1].parquet"]);
    let at = |pattern: &str| files.path().join(pattern);
    assert_eq!(all_ids(&open(&at("h/*/*.parquet"))), [0, 1, 10, 11, 20, 21]);
    assert_eq!(all_ids(&open(&at("**/?.parquet"))), [0, 1, 10, 11]);
    assert_eq!(all_ids(&open(&at("h/*"))), [0, 1, 10, 11, 20, 21]);
    // A name that exists is no pattern.
    assert_eq!(all_ids(&open(&at("i/w[1].parquet"))), [30, 31]);
    assert!(refused(&at("k/*.parquet")).contains("no file matches this pattern"));
    assert!(refused(Path::new("hf://datasets/a.parquet")).contains("its scheme is none of"));
}

#[test]
fn folders_called_name_and_value_are_columns() {
    let h = folder(&[
        "h/lang=de/n=1/a.parquet",
        "h/lang=en/n=2/a.parquet",
        "h/lang=__HIVE_DEFAULT_PARTITION__/n=10/a.parquet",
    ]);
    let root = h.path().join("h");
    let dataset = open(&root);
    assert_eq!((&dataset.features()["lang"], &dataset.features()["n"]), (&value("string"), &value("int64")));
    let de = || Some("de".to_string());
    let en = || Some("en".to_string());
    assert_eq!(texts(&dataset, "lang"), [None, None, de(), de(), en(), en()]);
    let numbers = texts(&dataset, "n").into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(numbers, ["10", "10", "1", "1", "2", "2"]);
    let taken = dataset.take(Some(&["n", "id", "lang"]), &[5, 0], 9).unwrap().next().unwrap().unwrap();
    assert_eq!(dataset.cells(&taken, "n").unwrap().get(0).unwrap(), Some(Cell::I64(2)));
    // Named files have the column too, and a value with a leading zero stays text.
    let named = h.path().join("h/lang=de/n=1/a.parquet");
    assert_eq!(texts(&open(&named), "lang"), [de(), de()]);
    let months = folder(&["month=01/a.parquet", "month=12/a.parquet"]);
    assert_eq!(texts(&open(months.path()), "month")[..2], [Some("01".to_string()), Some("01".to_string())]);
    // Another name of a folder is other data.
    let content = dataset.content().unwrap();
    std::fs::rename(root.join("lang=de"), root.join("lang=fr")).unwrap();
    assert_ne!(open(&root).content().unwrap(), content);
    // A column that a file holds itself counts more.
    let own = folder(&["id=7/a.parquet"]);
    assert_eq!(all_ids(&open(own.path())), [0, 1]);
    let some = folder(&["k=1/a.parquet", "b/a.parquet"]);
    assert!(refused(some.path()).contains("columns id, image against id, image, k"), "{}", refused(some.path()));
    assert_eq!(anyflow_datasets::inspect(&open(months.path())).columns.last().unwrap().name, "month");
}

fn card(folder: &Path, configs: &str) {
    std::fs::write(folder.join("README.md"), format!("---\nlicense: mit\n{configs}---\n# A dataset\n")).unwrap();
}

#[test]
fn a_card_names_configurations_and_splits() {
    let files = folder(&["en/train-0.parquet", "en/test-0.parquet", "fr/train-0.parquet", "other.parquet"]);
    let root = files.path();
    card(
        root,
        "configs:\n- config_name: en\n  data_files:\n  - split: train\n    path: en/train-*\n  - split: test\n    \
         path: [\"en/test-*\"]\n- config_name: fr\n  data_files: fr/*.parquet\n",
    );
    let text = refused(root);
    assert!(text.contains("several configurations: en, fr") && text.contains("#en"), "{text}");
    let text = refused(&part(root, "en"));
    assert!(text.contains("#en/train") && text.contains("#en/all"), "{text}");
    assert_eq!(all_ids(&open(&part(root, "en/test"))), [10, 11]);
    assert_eq!(all_ids(&open(&part(root, "en/all"))), [0, 1, 10, 11]);
    assert_eq!(all_ids(&open(&part(root, "fr"))), [20, 21]);
    assert!(refused(&part(root, "de")).contains("no configuration `de`"));
    card(
        root,
        "configs:\n- config_name: en\n  data_dir: en\n- config_name: fr\n  default: true\n  data_files:\n    train: fr/*\n",
    );
    assert_eq!(all_ids(&open(root)), [20, 21]);
    assert_eq!(all_ids(&open(&part(root, "train"))), [20, 21]);
    assert_eq!(all_ids(&open(&part(root, "en/test"))), [10, 11]);
}

#[test]
fn a_card_leads_nowhere_else() {
    let files = folder(&["in/a.parquet", "out.parquet"]);
    let root = files.path().join("in");
    let outside = files.path().join("out.parquet");
    for pattern in ["../out.parquet", outside.to_str().unwrap(), "hf://datasets/x/y.parquet"] {
        card(&root, &format!("configs:\n- config_name: default\n  data_files: \"{pattern}\"\n"));
        assert!(refused(&root).contains("not below the folder"), "{}", refused(&root));
    }
    card(&root, "configs:\n- config_name: default\n  data_files: b*.parquet\n");
    assert!(refused(&root).contains("`b*.parquet`, which matches no Parquet file"));
    card(&root, "configs: 3\n");
    assert!(refused(&root).contains("README.md"));
    // A card that says nothing about files changes nothing.
    card(&root, "tags: [a]\n");
    assert_eq!(all_ids(&open(&root)), [0, 1]);
}
