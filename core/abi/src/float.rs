//! The floating-point environment that both sides must keep: round to nearest, subnormal numbers kept, exceptions
//! masked. Each thread has its own, and a new thread inherits that of its creator.

/// Restores this thread's environment.
#[allow(unsafe_code)]
pub fn reset() {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let control = x86::DEFAULT;
        // SAFETY: the register gets its value at program start, which Rust expects.
        unsafe { core::arch::asm!("ldmxcsr [{}]", in(reg) &raw const control, options(nostack, readonly)) };
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: the register gets its value at program start, which Rust expects.
    unsafe {
        core::arch::asm!("msr fpcr, xzr", options(nomem, nostack));
    }
}

/// True if this thread has the right environment.
#[allow(unsafe_code)]
pub fn is_kept() -> bool {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let mut control = 0u32;
        // SAFETY: the register is written to a variable of its size.
        unsafe { core::arch::asm!("stmxcsr [{}]", in(reg) &raw mut control, options(nostack)) };
        control & !x86::FLAGS == x86::DEFAULT
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    {
        let control: u64;
        // SAFETY: the register is only read.
        unsafe { core::arch::asm!("mrs {}, fpcr", out(reg) control, options(nomem, nostack)) };
        control == 0
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    true
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod x86 {
    /// All exceptions masked, and nothing else.
    pub const DEFAULT: u32 = 0x1f80;
    /// Status flags of past operations; they are not settings.
    pub const FLAGS: u32 = 0x3f;
}

#[cfg(all(test, target_arch = "x86_64", not(miri)))]
#[allow(unsafe_code)]
mod tests {
    use core::hint::black_box;

    use super::*;

    #[test]
    fn flush_to_zero_is_detected_and_undone() {
        let half = || black_box(f32::MIN_POSITIVE) * black_box(0.5);
        assert!(is_kept() && half() > 0.0);
        let flushing = 0x9fc0u32;
        // SAFETY: `reset` below undoes it, before anything else is computed.
        unsafe { core::arch::asm!("ldmxcsr [{}]", in(reg) &raw const flushing, options(nostack, readonly)) };
        let kept = is_kept();
        let flushed = half();
        reset();
        assert!(!kept && flushed == 0.0);
        assert!(is_kept() && half() > 0.0);
    }
}
