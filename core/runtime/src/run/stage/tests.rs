use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyflow_datasets::RowKey;
use crossbeam::channel::bounded;
use indexmap::IndexMap;

use super::*;

fn rows(shard: u64) -> Batch {
    Batch {
        shard,
        first_row: shard,
        ends_shard: true,
        input: None,
        keys: vec![RowKey::new(shard.to_string())],
        values: HashMap::new(),
        cells: IndexMap::new(),
        failures: BTreeMap::new(),
    }
}

/// Twenty rows through three stages with so many places; what reached the end, if it was reached.
fn run(
    places: usize,
    batches: impl Iterator<Item = Result<Batch>> + Send,
    work: impl FnMut(&mut Batch) -> Result<()> + Send,
) -> Result<(End, End)> {
    let (line, places) = (Line::default(), Places::new(places));
    let ((to_pass, from_feed), (to_take, from_pass)) = (bounded(places.number()), bounded(places.number()));
    let (line, places) = (&line, &places);
    std::thread::scope(|scope| {
        let taking = start(scope, "take", move || {
            let mut passed = End::default();
            line.take("take", &from_pass, |message| match message {
                Message::Rows(batch, _place) => {
                    passed.count(&batch);
                    Ok(None)
                }
                Message::End(end) => Ok(Some((end, passed))),
            })
        })?;
        start(scope, "pass", move || line.pass("pass", &from_feed, &to_take, work))?;
        start(scope, "feed", move || line.feed("feed", places, batches, &to_pass))?;
        line.outcome(taking.join().unwrap())
    })
}

#[test]
fn the_end_tells_what_must_have_passed() {
    for places in [1, 3] {
        let (end, passed) = run(places, (0..20).map(|shard| Ok(rows(shard))), |_| Ok(())).unwrap();
        assert_eq!((end, passed), (End { shards: 20, rows: 20 }, end));
    }
}

#[test]
fn a_failure_of_any_stage_is_told_and_the_others_end() {
    let refused = |shard: u64| {
        move |batch: &mut Batch| match batch.shard == shard {
            true => Err(RunError::Data("no".into())),
            false => Ok(()),
        }
    };
    for places in [1, 3] {
        let all = || (0..20).map(|shard| Ok(rows(shard)));
        assert!(matches!(run(places, all(), refused(4)), Err(RunError::Data(_))));
        let cut = all().take(4).chain([Err(RunError::Data("no".into()))]);
        assert!(matches!(run(places, cut, |_| Ok(())), Err(RunError::Data(_))));
    }
}

#[test]
fn a_panic_of_a_stage_is_a_failure_of_the_run() {
    let panicked = run(2, (0..20).map(|shard| Ok(rows(shard))), |batch| {
        assert_ne!(batch.shard, 4, "four");
        Ok(())
    });
    let text = panicked.unwrap_err().to_string();
    assert!(text.contains("stage `pass` panicked") && text.contains("four"), "{text}");
    let panicked = run(2, (0..20).map(|shard| if shard < 4 { Ok(rows(shard)) } else { panic!("four") }), |_| Ok(()));
    assert!(panicked.unwrap_err().to_string().contains("stage `feed` panicked"));
}

#[test]
fn what_is_read_ends_soon_after_a_failure() {
    let read = AtomicUsize::new(0);
    let all = (0..1000).map(|shard| {
        read.fetch_add(1, Ordering::SeqCst);
        Ok(rows(shard))
    });
    run(2, all, |_| Err(RunError::Data("no".into()))).unwrap_err();
    assert!(read.load(Ordering::SeqCst) <= 5, "{read:?}");
}

#[test]
fn a_queue_that_closes_without_the_end_is_a_failure() {
    let line = Line::default();
    let (to, from) = bounded::<Message>(1);
    drop(to);
    let nothing: Option<()> = line.take("take", &from, |_| Ok(None));
    assert!(matches!(line.outcome(nothing), Err(RunError::Internal(_))));
}
