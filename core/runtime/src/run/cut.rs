//! How shards are cut into micro-batches, and how many of those are alive at a time.
//!
//! The cut decides how many rows a network sees at once, and so the bits of the results. It follows from plan and data
//! alone, never from the machine: the memory that a user grants decides only how many micro-batches are alive.

use anyflow_plan::plan::RunPlan;

/// Bytes that the values of a micro-batch hold at their peak, by the plan's estimate; and bytes of its input cells. Small
/// enough that a handful of them fit beside libtorch in a gigabyte, large enough that a network call is worth its start.
pub const MICRO_BATCH_BYTES: u64 = 32 << 20;

/// Micro-batches alive at most: one in each of the five stages, and one that waits.
const MOST_ALIVE: u64 = 6;

/// Rows of a micro-batch at most: the whole shard where it fits, else a power of two, because caps of network calls are
/// powers of two as well, and the one then divides the other.
pub fn micro_batch_rows(plan: &RunPlan, shard_rows: u64) -> u64 {
    let fitting = (MICRO_BATCH_BYTES / plan.bytes_per_row.max(1)).max(1);
    if fitting >= shard_rows { shard_rows.max(1) } else { 1 << fitting.ilog2() }
}

/// How many micro-batches are alive at a time in so many bytes.
pub fn alive(plan: &RunPlan, micro_batch_rows: u64, memory: u64) -> usize {
    let values = plan.bytes_per_row.saturating_mul(micro_batch_rows);
    let each = values.saturating_add(MICRO_BATCH_BYTES);
    (memory / each).clamp(1, MOST_ALIVE) as usize
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(bytes_per_row: u64) -> RunPlan {
        let model = json!({"name": "m", "source": "m.yaml", "checkpoint": null, "streams": {}, "denoisers": {}});
        let plan = json!({
            "format": 1, "name": "p", "source": "p.yaml", "model": model, "inputs": {}, "values": {}, "steps": [],
            "outputs": {}, "bytes_per_row": bytes_per_row,
        });
        serde_json::from_value(plan).unwrap()
    }

    #[test]
    fn small_rows_leave_a_shard_whole_and_large_ones_cut_it_in_powers_of_two() {
        let cases = [(0, 1024, 1024), (30 << 10, 1024, 1024), (30 << 10, 5000, 1024), (2 << 20, 1024, 16)];
        for (bytes, shard, rows) in cases {
            assert_eq!(micro_batch_rows(&plan(bytes), shard), rows, "{bytes} a row");
        }
        assert_eq!(micro_batch_rows(&plan(1 << 40), 1024), 1);
        assert_eq!(micro_batch_rows(&plan(u64::MAX), 1), 1);
    }

    #[test]
    fn memory_decides_how_many_are_alive_and_one_always_is() {
        let plan = plan(2 << 20);
        assert_eq!(alive(&plan, 16, 4 << 30), 6);
        assert_eq!(alive(&plan, 16, 130 << 20), 2);
        assert_eq!(alive(&plan, 16, 1), 1);
        assert_eq!(alive(&plan, u64::MAX, u64::MAX), 1);
    }
}
