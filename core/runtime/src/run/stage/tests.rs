use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyflow_datasets::RowKey;
use crossbeam::channel::bounded;
use indexmap::IndexMap;

use super::*;

fn rows(shard: u64) -> MicroBatch {
    MicroBatch {
        shard,
        numbers: vec![shard],
        ends_shard: true,
        input: None,
        keys: vec![RowKey::new(shard.to_string())],
        values: HashMap::new(),
        cells: IndexMap::new(),
        failures: BTreeMap::new(),
    }
}

/// The totals of a run.
#[derive(Debug, PartialEq)]
struct Passed {
    /// Counted by the first stage.
    read: Totals,
    /// Counted by the last stage.
    written: Totals,
}

/// Sends micro-batches through three stages.
fn run(
    permits: usize,
    batches: impl Iterator<Item = Result<MicroBatch>> + Send,
    work: impl FnMut(&mut MicroBatch) -> Result<()> + Send,
) -> Result<Passed> {
    let permits = &Permits::new(permits);
    let stages = &Stages::default();
    let (to_pass, from_feed) = bounded(permits.count());
    let (to_take, from_pass) = bounded(permits.count());
    std::thread::scope(|scope| {
        let taking = start(scope, "take", move || {
            let mut written = Totals::default();
            stages.take("take", &from_pass, |message| match message {
                Message::Rows(batch, _permit) => {
                    written.count(&batch);
                    Ok(None)
                }
                Message::End(read) => Ok(Some(Passed { read, written })),
            })
        })?;
        start(scope, "pass", move || stages.pass("pass", &from_feed, &to_take, work))?;
        start(scope, "feed", move || stages.feed("feed", permits, batches, &to_pass))?;
        stages.outcome(taking.join().unwrap())
    })
}

#[test]
fn the_end_holds_the_totals_of_all_rows() {
    for permits in [1, 3] {
        let passed = run(permits, (0..20).map(|shard| Ok(rows(shard))), |_| Ok(())).unwrap();
        let all = Totals { shards: 20, rows: 20 };
        assert_eq!(passed, Passed { read: all, written: all });
    }
}

#[test]
fn a_failure_of_any_stage_is_returned_and_the_others_end() {
    let refused = |shard: u64| {
        move |batch: &mut MicroBatch| if batch.shard == shard { Err(RunError::Data("no".into())) } else { Ok(()) }
    };
    for permits in [1, 3] {
        let all = || (0..20).map(|shard| Ok(rows(shard)));
        assert!(matches!(run(permits, all(), refused(4)), Err(RunError::Data(_))));
        let cut = all().take(4).chain([Err(RunError::Data("no".into()))]);
        assert!(matches!(run(permits, cut, |_| Ok(())), Err(RunError::Data(_))));
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
fn reading_ends_soon_after_a_failure() {
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
    let stages = Stages::default();
    let (to, from) = bounded::<Message>(1);
    drop(to);
    let nothing: Option<()> = stages.take("take", &from, |_| Ok(None));
    assert!(matches!(stages.outcome(nothing), Err(RunError::Internal(_))));
}
