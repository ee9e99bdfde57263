//! Memory in use, to find leaks.

use std::sync::{Mutex, PoisonError};

use super::outcome::{Unmet, Verdict};

/// Calls before the first measurement, to fill caches.
const WARM_UP: usize = 3;
/// Calls in a round.
const CALLS: usize = 8;
/// The most rounds. Other threads disturb some of them; a leak shows in all.
const ROUNDS: usize = 8;
/// Allows one measurement at a time: two test kits in one process would take each other's arrays for leaks.
static MEASURING: Mutex<()> = Mutex::new(());

/// Checks that `call` frees what it allocates. A leak costs at least `smallest` bytes per call.
pub(super) fn check(smallest: usize, mut call: impl FnMut() -> Result<(), Unmet>) -> Verdict {
    if in_use().is_none() {
        return Err(Unmet::Skipped("only glibc reports the memory in use".into()));
    }
    let _alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..WARM_UP {
        call()?;
    }
    let mut least = i64::MAX;
    for _ in 0..ROUNDS {
        let before = in_use();
        for _ in 0..CALLS {
            call()?;
        }
        let grown = in_use().zip(before).map_or(0, |(after, before)| i64::from(after.wrapping_sub(before)));
        least = least.min(grown / CALLS as i64);
        if least < smallest as i64 / 4 {
            return Ok(format!("{} bytes a call stay in use, where a lost array is {smallest}", least.max(0)));
        }
    }
    Err(format!("{least} bytes a call are never given back; the smallest array of the call has {smallest}").into())
}

/// Bytes that are allocated and not freed, modulo 2^32.
#[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
fn in_use() -> Option<i32> {
    use std::ffi::c_int;

    /// `struct mallinfo` of <malloc.h>. Its counts are of 32 bits, which is enough for differences; `mallinfo2` is
    /// younger than the systems that libtorch still supports.
    #[repr(C)]
    struct MallInfo {
        arena: c_int,
        ordblks: c_int,
        smblks: c_int,
        hblks: c_int,
        hblkhd: c_int,
        usmblks: c_int,
        fsmblks: c_int,
        uordblks: c_int,
        fordblks: c_int,
        keepcost: c_int,
    }
    unsafe extern "C" {
        safe fn mallinfo() -> MallInfo;
    }
    let info = mallinfo();
    Some(info.uordblks.wrapping_add(info.hblkhd))
}

#[cfg(not(all(target_os = "linux", target_env = "gnu", not(miri))))]
fn in_use() -> Option<i32> {
    None
}

#[cfg(all(test, target_os = "linux", target_env = "gnu", not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn a_leak_is_seen_and_none_is_not() {
        let size = 1 << 20;
        let passed = check(size, || {
            drop(std::hint::black_box(vec![1u8; size]));
            Ok(())
        });
        assert!(passed.is_ok(), "{passed:?}");
        let failed = check(size, || {
            std::mem::forget(std::hint::black_box(vec![1u8; size]));
            Ok(())
        });
        assert!(matches!(failed, Err(Unmet::Failed(_))), "{failed:?}");
    }
}
