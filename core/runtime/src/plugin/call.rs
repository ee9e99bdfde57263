//! One call into a plugin: its reports, its duration, and the global state that it must not change.

use std::ffi::c_void;

use anyflow_abi::{Report, float, status};
use anyflow_diffusion::Globals;

use super::instance::Instance;
use super::report::Reported;
use super::slot::Slot;
use super::watch::Watched;
use crate::Result;

/// A running call on this thread.
pub(super) struct Call<'a> {
    of: &'a Instance,
    name: &'static str,
    slot: Option<&'static Slot>,
    globals: Option<Globals>,
    _watched: Watched,
}

impl<'a> Call<'a> {
    /// Starts the call `name` of an instance.
    pub fn begin(of: &'a Instance, name: &'static str) -> Self {
        Self::start(of, name, of.watched(name))
    }

    /// Starts a call on a thread that has no current node.
    pub fn begin_in(of: &'a Instance, node: Option<&str>, name: &'static str) -> Self {
        Self::start(of, name, of.watched_in(node, name))
    }

    fn start(of: &'a Instance, name: &'static str, watched: Watched) -> Self {
        float::reset();
        // A plugin that is not linked to libtorch cannot change libtorch's settings.
        let globals = of.plugin.descriptor.libtorch.is_some().then(Globals::now).and_then(Result::ok);
        let slot = Some(Slot::take(&of.plugin.descriptor.plugin));
        Call { of, name, slot, globals, _watched: watched }
    }

    /// The table of callbacks to pass to the plugin.
    pub fn report(&self) -> *const Report {
        self.slot.map_or(std::ptr::null(), Slot::report)
    }

    /// The context for callbacks outside of the table, which pass it to [`super::slot::heard`].
    pub fn context(&self) -> *mut c_void {
        // SAFETY: the report belongs to a slot, which is never freed.
        unsafe { self.report().as_ref() }.map_or(std::ptr::null_mut(), |report| report.context)
    }

    /// Ends the call, which returned `code`, and returns its reports.
    ///
    /// # Errors
    /// The plugin's error; a violation of the ABI.
    pub fn end(mut self, code: u32) -> Result<Reported> {
        let (reported, wrong) = self.put_back();
        match wrong {
            Some(wrong) => Err(self.of.error(self.name, &wrong)),
            None if code == status::OK => Ok(reported),
            None => Err(self.of.error(self.name, &reported.sentence(code))),
        }
    }

    /// Frees the slot and restores the state of this thread. Returns the reports and a violation of the ABI.
    fn put_back(&mut self) -> (Reported, Option<String>) {
        float::reset();
        let (mut reported, is_misused) = self.slot.take().map(Slot::give_back).unwrap_or_default();
        let misused = is_misused.then(|| {
            "it reported from another thread than the calling one, or after a call had returned; the plugin's author must \
             report on the calling thread, before the call returns"
                .to_string()
        });
        let changed = self.globals.take().and_then(restored);
        let invalid = reported.invalid.take();
        (reported, misused.or(invalid).or(changed))
    }
}

/// Restores libtorch's global settings, and says which of them a call changed.
fn restored(before: Globals) -> Option<String> {
    let changed = before.differences(&Globals::now().ok()?);
    if changed.is_empty() {
        return None;
    }
    before.restore().ok()?;
    Some(format!("it changed {} of libtorch; the plugin's author must restore it", changed.join(" and ")))
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
