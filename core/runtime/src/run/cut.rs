//! The size of micro-batches, and the number of them in memory at a time.
//!
//! The size determines the rows of a network call, hence the bits of the results. It follows from the plan and the data
//! alone, never from the machine: the memory limit only determines how many micro-batches are in memory.

use anyflow_plan::plan::RunPlan;

/// Peak bytes of a micro-batch's values by the plan's estimate, and maximum bytes of its input cells. Small enough that
/// several micro-batches and libtorch fit in one gigabyte, large enough to amortize the start of a network call.
pub const MICRO_BATCH_BYTES: u64 = 32 << 20;

/// Maximum number of micro-batches in memory: one in each of the five stages, and one that waits.
const MOST_ALIVE: u64 = 6;

/// Maximum rows of a micro-batch: the whole shard if it fits, else a power of two. The caps of network calls are powers of
/// two as well, so one divides the other.
pub fn micro_batch_rows(plan: &RunPlan, shard_rows: u64) -> u64 {
    let fitting = (MICRO_BATCH_BYTES / plan.bytes_per_row.max(1)).max(1);
    if fitting >= shard_rows { shard_rows.max(1) } else { 1 << fitting.ilog2() }
}

/// Number of micro-batches that fit in `memory` bytes at a time, at least one.
pub fn alive(plan: &RunPlan, micro_batch_rows: u64, memory: u64) -> usize {
    let values = plan.bytes_per_row.saturating_mul(micro_batch_rows);
    let each = values.saturating_add(MICRO_BATCH_BYTES);
    (memory / each).clamp(1, MOST_ALIVE) as usize
}

#[cfg(test)]
mod tests {
    use anyflow_plan::plan::PLAN_FORMAT;
    use serde_json::json;

    use super::*;

    fn plan(bytes_per_row: u64) -> RunPlan {
        let model = json!({"name": "m", "source": "m.yaml", "checkpoint": null, "streams": {}, "denoisers": {}});
        let plan = json!({
            "format": PLAN_FORMAT, "name": "p", "source": "p.yaml", "model": model, "inputs": {}, "values": {}, "steps": [],
            "outputs": {}, "bytes_per_row": bytes_per_row,
        });
        serde_json::from_value(plan).unwrap()
    }

    #[test]
    fn a_micro_batch_is_the_whole_shard_or_a_power_of_two() {
        let cases = [(0, 1024, 1024), (30 << 10, 1024, 1024), (30 << 10, 5000, 1024), (2 << 20, 1024, 16)];
        for (bytes, shard, rows) in cases {
            assert_eq!(micro_batch_rows(&plan(bytes), shard), rows, "{bytes} a row");
        }
        assert_eq!(micro_batch_rows(&plan(1 << 40), 1024), 1);
        assert_eq!(micro_batch_rows(&plan(u64::MAX), 1), 1);
    }

    #[test]
    fn memory_limits_the_number_of_micro_batches_to_at_least_one() {
        let plan = plan(2 << 20);
        assert_eq!(alive(&plan, 16, 4 << 30), 6);
        assert_eq!(alive(&plan, 16, 130 << 20), 2);
        assert_eq!(alive(&plan, 16, 1), 1);
        assert_eq!(alive(&plan, u64::MAX, u64::MAX), 1);
    }
}
