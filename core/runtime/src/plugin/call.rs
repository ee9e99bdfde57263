//! One call into a plugin: what it reports, how long it takes, and what it must leave as it was.

use std::ffi::c_void;

use anyflow_abi::{Report, float, status};
use anyflow_diffusion::Globals;

use super::instance::Instance;
use super::report::Reported;
use super::slot::Slot;
use super::watch::Watched;
use crate::Result;

/// A call under way on this thread.
pub(super) struct Call<'a> {
    of: &'a Instance,
    name: &'static str,
    slot: Option<&'static Slot>,
    globals: Option<Globals>,
    _watched: Watched,
}

impl<'a> Call<'a> {
    /// The call `name` of an instance begins.
    pub fn begin(of: &'a Instance, name: &'static str) -> Self {
        Self::start(of, name, of.watched(name))
    }

    /// The same, on a thread that was not told which node it works for.
    pub fn begin_in(of: &'a Instance, node: Option<&str>, name: &'static str) -> Self {
        Self::start(of, name, of.watched_in(node, name))
    }

    fn start(of: &'a Instance, name: &'static str, watched: Watched) -> Self {
        float::reset();
        // A plugin that is not linked to libtorch cannot change its settings.
        let globals = of.plugin.descriptor.libtorch.is_some().then(Globals::now).and_then(Result::ok);
        let slot = Some(Slot::take(&of.plugin.descriptor.plugin));
        Call { of, name, slot, globals, _watched: watched }
    }

    /// The table to pass.
    pub fn report(&self) -> *const Report {
        self.slot.map_or(std::ptr::null(), Slot::report)
    }

    /// What callbacks of the call's own get, and hand to [`super::slot::heard`].
    pub fn context(&self) -> *mut c_void {
        // SAFETY: the report is that of a slot, which is never freed.
        unsafe { self.report().as_ref() }.map_or(std::ptr::null_mut(), |report| report.context)
    }

    /// What was reported by the call, which returned `code`.
    ///
    /// # Errors
    /// What the plugin said, or what it did that no plugin may do.
    pub fn end(mut self, code: u32) -> Result<Reported> {
        let (reported, wrong) = self.put_back();
        match wrong {
            Some(wrong) => Err(self.of.error(self.name, &wrong)),
            None if code == status::OK => Ok(reported),
            None => Err(self.of.error(self.name, &reported.sentence(code))),
        }
    }

    /// Frees the slot and makes this thread what it was; says what was wrong.
    fn put_back(&mut self) -> (Reported, Option<String>) {
        float::reset();
        let (mut reported, wronged) = self.slot.take().map(Slot::give_back).unwrap_or_default();
        let spoken = wronged.then(|| {
            "it reported from another thread than that of the call, or after a call had returned; the plugin's author \
             must report on the calling thread"
                .to_string()
        });
        let changed = self.globals.take().and_then(|before| {
            let changed = before.differences(&Globals::now().ok()?);
            let told = (!changed.is_empty()).then(|| {
                format!("it changed {} of libtorch; the plugin's author must put it back", changed.join(" and "))
            })?;
            before.restore().ok()?;
            Some(told)
        });
        let wrong = reported.odd.take();
        (reported, spoken.or(wrong).or(changed))
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if self.slot.is_some()
            && let (_, Some(wrong)) = self.put_back()
        {
            tracing::error!("{} {}: {wrong}", self.of.component, self.name);
        }
    }
}
