//! WebDataset archives as datasets.

use anyflow_datasets::{Feature, ImportSource, OwnedCell};

use crate::importing::{column, gzip, imported, left_out, put, refused, text};
use crate::support::{GIF, value, wav};

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn tar_members_of_one_name_are_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["a.tar", "b.tar.gz"].map(|name| folder.path().join(name));
    let sound = wav(4);
    put(
        &one,
        tar(&[
            ("x/000.gif", GIF),
            ("x/000.txt", b"first"),
            ("x/000.cls", b"3\n"),
            ("x/001.gif", GIF),
            ("x/001.left.png", b"p"),
        ]),
    );
    put(
        &two,
        gzip(&tar(&[("x/002.txt", b"third"), ("x/002.wav", &sound), ("x/002.json", b"{}"), ("x/002.raw", b"\xff")])),
    );
    let (_, dataset) = imported(&[one, two], &folder.path().join("out.parquet"));
    let columns: Vec<&String> = dataset.features().keys().collect();
    assert_eq!(columns, ["id", "image", "text", "label", "left", "audio", "json", "raw"]);
    assert_eq!(column(&dataset, "id"), text(&["x/000", "x/001", "x/002"]));
    assert_eq!(column(&dataset, "label"), [Some(OwnedCell::I64(3)), None, None]);
    assert_eq!(column(&dataset, "text")[2], Some(OwnedCell::Utf8("third".into())));
    assert_eq!(column(&dataset, "audio")[2], Some(OwnedCell::Bytes(sound)));
    assert_eq!(dataset.features()["left"], Feature::Image);
    assert_eq!(dataset.features()["raw"], value("binary"));
}

#[test]
fn damaged_tars_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let path = folder.path().join("a.tar");
    put(&path, &tar(&[("0.gif", GIF)])[..300]);
    assert!(refused(std::slice::from_ref(&path), &out).contains("not a complete tar"));
    put(&path, tar(&[("0.cls", b"cat")]));
    assert!(refused(std::slice::from_ref(&path), &out).contains("`cat` is not an integer"));
    put(&path, tar(&[("0.gif", GIF), ("0.png", GIF)]));
    assert!(refused(&[path], &out).contains("second image"));
}

/// Rows 0 to 3 with a text and an image of 742 bytes each.
fn whole_tar() -> Vec<u8> {
    let image = [GIF, &[0; 742][GIF.len()..]].concat();
    let names: Vec<[String; 2]> = (0..4).map(|row| [format!("{row}.gif"), format!("{row}.txt")]).collect();
    let members: Vec<(&str, &[u8])> =
        names.iter().flat_map(|[gif, txt]| [(gif.as_str(), image.as_slice()), (txt.as_str(), b"abc")]).collect();
    tar(&members)
}

#[test]
fn a_tar_that_was_cut_gives_the_complete_rows_before() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let path = folder.path().join("a.tar");
    let whole = whole_tar();
    // A row takes 512 + 1024 bytes for the image and 512 + 512 for the text.
    let row = 2560;
    for end in (0..4 * row + 512).step_by(256).skip(1) {
        // The last row is complete if its text is, and the row before shows that there is no more.
        let complete = end / row + usize::from(end % row >= 2048 + 3);
        let rows = if complete < 2 { end / row } else { complete };
        for packed in [false, true] {
            put(&path, if packed { gzip(&whole[..end]) } else { whole[..end].to_vec() });
            if rows == 0 || (rows == 1 && end < row + 512) {
                let words = refused(std::slice::from_ref(&path), &out);
                assert!(words.contains("not a complete tar file") && words.contains("fetch it again"), "{words}");
                continue;
            }
            let (report, dataset) = imported(std::slice::from_ref(&path), &out);
            assert_eq!(report.rows, rows as u64, "{end}, {packed}");
            assert_eq!(column(&dataset, "text"), vec![Some(OwnedCell::Utf8("abc".into())); rows], "{end}");
            let [note] = report.notes.as_slice() else { panic!("{:?}", report.notes) };
            assert!(
                note.contains("not a complete tar file") && note.contains(&format!("the {rows} complete rows")),
                "{note}"
            );
            let left: u64 = report.left_out.iter().map(|left| left.files).sum();
            assert!(left <= 2, "{end}: {:?}", report.left_out);
            std::fs::remove_file(&out).unwrap();
        }
    }
    // One block of zeros is a sufficient end marker.
    put(&path, &whole[..4 * row + 512]);
    let (report, _) = imported(&[path], &out);
    assert_eq!((report.rows, report.notes), (4, vec![]));
}

#[test]
fn a_cut_member_makes_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    let whole = tar(&[("0.gif", &[GIF, &[0; 600]].concat())]);
    put(&path, &whole[..600]);
    assert!(refused(std::slice::from_ref(&path), &folder.path().join("out.parquet")).contains("88 of its"));
}

#[test]
fn a_row_with_a_bad_member_is_left_out_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    let members: Vec<(&str, &[u8])> = vec![
        ("0.gif", GIF),
        ("0.txt", b"a"),
        ("1.gif", GIF),
        ("1.txt", b"\xff\xfe"),
        ("2.gif", GIF),
        ("2.txt", b"c"),
        ("2.cls", b""),
        ("3.gif", GIF),
        ("3.txt", b"d"),
        ("3.cls", b"7"),
        ("noextension", b"x"),
        (".DS_Store", b"x"),
    ];
    put(&path, tar(&members));
    let (report, dataset) = imported(&[path], &folder.path().join("out.parquet"));
    assert_eq!(column(&dataset, "id"), text(&["0", "3"]));
    let left = left_out(&report);
    assert_eq!(left, [("in a row with a member that its column cannot hold", 5), ("not named KEY.EXTENSION", 2)]);
}

#[test]
fn a_dot_in_a_name_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let path = folder.path().join("a.tar");
    put(&path, tar(&[("d.22/img v1.0.png", GIF), ("d.22/img v1.0.txt", b"a"), ("d.22/img v1.1.png", GIF)]));
    let words = refused(std::slice::from_ref(&path), &out);
    assert!(words.contains("ends at the first dot") && words.contains("img v1.0.txt"), "{words}");
    let names: Vec<String> = (0..30).map(|second| format!("video_1.{second:02}s.jpg")).collect();
    put(&path, tar(&names.iter().map(|name| (name.as_str(), GIF)).collect::<Vec<_>>()));
    let (report, _) = imported(&[path], &out);
    assert_eq!(report.rows, 1);
    assert!(report.notes[0].contains("30 columns of files (00s, 01s, 02s ...)"), "{:?}", report.notes);
}

#[test]
fn links_in_a_tar_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    let mut builder = tar::Builder::new(Vec::new());
    let long = format!("{}/a.txt", "x".repeat(150));
    for (kind, name, target) in [
        (tar::EntryType::Regular, "a.txt", ""),
        (tar::EntryType::Link, "b.txt", "a.txt"),
        (tar::EntryType::Symlink, "c.txt", "a.txt"),
        (tar::EntryType::Fifo, "d.txt", ""),
        (tar::EntryType::Directory, "e", ""),
        (tar::EntryType::Regular, ".hidden", ""),
        (tar::EntryType::Regular, "README", ""),
        (tar::EntryType::Regular, long.as_str(), ""),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        if target.is_empty() {
            builder.append_data(&mut header, name, &[][..]).unwrap();
        } else {
            builder.append_link(&mut header, name, target).unwrap();
        }
    }
    put(&path, builder.into_inner().unwrap());
    let (report, dataset) = imported(&[path], &folder.path().join("out.parquet"));
    assert_eq!(column(&dataset, "id"), text(&["a", long.strip_suffix(".txt").unwrap()]));
    let left: Vec<_> = report.left_out.iter().map(|left| (left.reason.as_str(), left.files)).collect();
    let expected = [
        ("not named KEY.EXTENSION", 2),
        ("hard-linked to another member", 1),
        ("symbolically linked", 1),
        ("not regular", 1),
    ];
    assert_eq!(left, expected);
}

#[test]
fn members_of_a_row_must_be_consecutive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    put(&path, tar(&[("a.gif", GIF), ("b.gif", GIF), ("a.txt", b"x"), ("b.txt", b"y")]));
    assert!(refused(&[path], &folder.path().join("out.parquet")).contains("row a, whose other files"));
}

#[test]
fn a_folder_or_a_pattern_names_tar_files() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let at = |name: &str| folder.path().join(name);
    for (name, key) in [("10.tar", "c"), ("2.tar", "b"), ("1.tar", "a")] {
        put(&at("shards").join(name), tar(&[(&format!("{key}.gif"), GIF)]));
    }
    put(&at("shards/1_stats.json"), "{}");
    for source in [at("shards"), at("shards/*.tar")] {
        let (_, dataset) = imported(&[source], &out);
        assert_eq!(column(&dataset, "id"), text(&["a", "b", "c"]));
    }
    assert_eq!(imported(&[at("shards/{1..2}.tar")], &out).0.rows, 2);
    let refused = ImportSource::detect(&[at("shards/{1..3}.tar")]).unwrap_err().to_string();
    assert!(refused.contains("there is no") && refused.contains("shards/3.tar"), "{refused}");
    for name in ["train-0001.tar", "train-0002.tar", "val-0001.tar"] {
        std::fs::create_dir_all(at("splits")).unwrap();
        std::fs::copy(at("shards/1.tar"), at("splits").join(name)).unwrap();
    }
    let refused = ImportSource::detect(&[at("splits")]).unwrap_err().to_string();
    assert!(refused.contains("the splits train, validation") && refused.contains("splits/train-*.tar'"), "{refused}");
    assert_eq!(imported(&[at("splits/train-*.tar")], &out).0.rows, 2);
}
